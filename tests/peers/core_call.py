"""One call at the scripted core, called by the gateway or calling it.

Knows the far end's side of RFC 3261, 3262 and 3311. Must not know registration or which script
a call gets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final as Constant

from tests.peers.core_script import CoreScript, Final, OnCancel, Pause, Provisional, Step
from tests.peers.device_sdp import DeviceMedia, device_answer
from tests.peers.dialog import HOP_BY_HOP_FIELDS, Dialog, Pairs, dialog_of_callee
from tests.peers.multipart import Part
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag, response_to
from tests.peers.trace import DEFAULT_WAIT_S, Direction, Trace
from tests.peers.udp import T1_S, T2_S, Address, UdpPeer

SILENT: Constant = 0
"""Instead of a status: no response at all."""
SUCCESS: Constant = range(200, 300)
INNER_HOPS: Constant = (
    ("Via", "SIP/2.0/UDP as.core-internal;branch=z9hG4bK-as, SIP/2.0/TCP [2001:db8::5];branch=z9hG4bK-5"),
    ("v", "SIP/2.0/UDP ue.core-internal:5066;received=192.0.2.66;branch=z9hG4bK-ue"),
)
"""Hops inside the core that a request has passed before it reaches the gateway."""
_FIRST_RSEQ: Constant = {"a": 7000, "b": 42}
"""Forks number their reliable responses from different starts (RFC 3262 §3)."""


class CoreCall:
    """A call of the core, either way round; `fork` names one of several devices."""

    def __init__(self, peer: UdpPeer, invite: SipRequest, gateway: Address) -> None:
        self.peer = peer
        self.invite = invite
        self.gateway = gateway
        self.dialogs: dict[str, Dialog] = {}
        self.media = DeviceMedia()
        """Answers offers in later UPDATE and re-INVITE."""
        self.statuses: dict[str, int] = {}
        """Method → status of the next in-dialog requests; 200 unless given, SILENT for none."""
        self.says_nothing = False
        """Whether its ACK lacks the answer that it owes."""
        self.ack_parts: tuple[Part, ...] = ()
        """Further parts of the body of an ACK that has an answer."""
        self.answers: list[str] = []
        """Descriptions that answer the next offers as they are, instead of what the device would say."""
        self.violations: list[str] = []
        """What the gateway did against an RFC, as seen by the core."""
        self.pending: SipRequest | None = None
        """The request that gets no response of itself."""
        self.reply_headers: dict[str, Pairs] = {}
        """Method → header fields of their responses."""
        self.features = ""
        """Parameters of the device's Contact from now on."""
        self._remote_cseq = -1

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self.invite.call_id

    @property
    def trace(self) -> Trace:
        """The core's trace."""
        return self.peer.trace

    @property
    def contact(self) -> str:
        """Contact value of the device."""
        return f"<sip:device@{self.peer.host_port}>{self.features}"

    def ladder(self) -> list[str]:
        """Return the labels of this call's messages in order."""
        return self.trace.ladder(self.call_id)

    async def wait_request(
        self, method: str, *, count: int = 1, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipRequest:
        """Return the `count`-th request of that method the gateway sent in this call."""
        return await self.trace.wait_request(method, call_id=self.call_id, count=count, timeout_s=timeout_s)

    async def ask(
        self,
        method: str,
        *,
        fork: str = "a",
        headers: Pairs = (),
        sdp: str = "",
        parts: Iterable[Part] = (),
        body: tuple[str, str] | None = None,
    ) -> SipResponse:
        """Send an in-dialog request and return the final response; re-INVITE is acknowledged.

        `body` is (content type, text) for anything but SDP.
        """
        dialog = self.dialogs[fork]
        contact = [("Contact", self.contact)] if method in ("INVITE", "UPDATE") else []
        request = dialog.request(
            method, via=self.peer.new_via(), headers=[*INNER_HOPS, *contact, *headers], sdp=sdp
        )
        if body is not None:
            request.set_body(body[1], body[0])
        if parts:
            request.add_parts(*parts)
        hop = dialog.next_hop
        destination = (hop.host, hop.port or 5060)
        response = await self.peer.ask(request, destination)
        if method == "INVITE":
            self._acknowledge(request, response, dialog, destination)
        return response

    async def info(self, content_type: str, text: str, *, fork: str = "a") -> SipResponse:
        """Send INFO and return the final response."""
        return await self.ask("INFO", fork=fork, body=(content_type, text))

    async def bye(self, *, fork: str = "a", headers: Pairs = ()) -> SipResponse:
        """Hang up and return the final response."""
        return await self.ask("BYE", fork=fork, headers=headers)

    async def update(self, sdp: str = "", *, fork: str = "a") -> SipResponse:
        """Send UPDATE and return the final response."""
        return await self.ask("UPDATE", fork=fork, sdp=sdp)

    async def reinvite(self, sdp: str, *, fork: str = "a") -> SipResponse:
        """Send re-INVITE and return the final response."""
        return await self.ask("INVITE", fork=fork, sdp=sdp)

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Answer an in-dialog request of the gateway."""
        if request.method == "ACK":
            return
        self._check_in_dialog(request)
        status = self.statuses.get(request.method, 200)
        if status == SILENT:
            self.pending = request
            return
        offered = request.method in ("UPDATE", "INVITE") and request.has_sdp and status in SUCCESS
        sdp = ""
        if offered:
            sdp = self.answers.pop(0) if self.answers else device_answer(request.sdp, self.media)
        contact = [("Contact", self.contact)] if request.method in ("UPDATE", "INVITE") else []
        headers = [*contact, *self.reply_headers.get(request.method, ())]
        self.peer.send(response_to(request, status, headers=headers, sdp=sdp), source)

    def respond_to(
        self, request: SipRequest, status: int, *, sdp: str = "", headers: Pairs = ()
    ) -> SipResponse:
        """Answer an in-dialog request now."""
        fields = [("Contact", self.contact), *headers]
        response = response_to(request, status, headers=fields, sdp=sdp)
        self.peer.send(response, self.gateway)
        return response

    def response_received(self, response: SipResponse) -> None:
        """Check that a response comes back by all hops of its request (RFC 3261 §18.2.1, RFC 3581 §4)."""
        sent = next(
            entry.message
            for entry in self.trace.of_call(self.call_id)
            if isinstance(entry.message, SipRequest)
            and (entry.message.via_branch, entry.message.method)
            == (response.via_branch, response.cseq.method)
        )
        way, back = sent.headers.all("Via"), response.headers.all("Via")
        host, port = self.peer.address
        topmost = [part for part in back[0].split(";") if part not in (f"rport={port}", f"received={host}")]
        if sorted(topmost) != sorted(part for part in way[0].split(";") if part != "rport"):
            self.violations.append(f"{response.start_line} with {back[0]} for {way[0]}")
        if f"rport={port}" not in back[0] or ", ".join(back[1:]) != ", ".join(way[1:]):
            self.violations.append(f"{response.start_line} with Via {back}")

    def _check_in_dialog(self, request: SipRequest) -> None:
        dialog = next((d for d in self.dialogs.values() if d.local_tag == request.to_tag), None)
        if dialog is None:
            self.violations.append(f"{request.method} with unknown To-tag {request.to_tag}")
        elif request.headers.all("Route") != dialog.route_set_of_peer:
            self.violations.append(f"{request.method} with Route {request.headers.all('Route')}")
        if dialog is not None and request.method in ("INVITE", "UPDATE"):  # RFC 3261 §12.2.2
            dialog.remote_target = request.contact_uri or dialog.remote_target
        if request.cseq.number <= self._remote_cseq:
            self.violations.append(f"{request.cseq} after {self._remote_cseq}")
        self._remote_cseq = max(self._remote_cseq, request.cseq.number)

    def _acknowledge(
        self, invite: SipRequest, response: SipResponse, dialog: Dialog, destination: Address
    ) -> None:
        if response.status in SUCCESS:
            late = response.has_sdp and not invite.has_sdp  # our ACK has the answer (RFC 3261 §13.2.1)
            answer = device_answer(response.sdp, self.media) if late and not self.says_nothing else ""
            ack = dialog.request(
                "ACK", via=self.peer.new_via(), cseq=invite.cseq.number, headers=INNER_HOPS, sdp=answer
            )
            if answer and self.ack_parts:
                ack.add_parts(*self.ack_parts)
        else:
            kept = fields_of_hop(invite)
            fields = [
                *kept,
                ("To", response.headers.get("To") or ""),
                ("CSeq", str(CSeq(invite.cseq.number, "ACK"))),
            ]
            ack = SipRequest("ACK", invite.request_uri, headers=Headers(fields))
        self.peer.send(ack, destination)


class CalledDevice(CoreCall):
    """A call from the gateway to the core, treated by a script."""

    def __init__(self, peer: UdpPeer, invite: SipRequest, gateway: Address, script: CoreScript) -> None:
        super().__init__(peer, invite, gateway)
        self.script = script
        self.cancelled = asyncio.Event()
        self._remote_cseq = invite.cseq.number
        self._rseq = dict(_FIRST_RSEQ)
        self._open_rseq: dict[tuple[str, int], asyncio.Event] = {}
        self._acknowledged: dict[str, asyncio.Event] = {}
        self._task: asyncio.Task[None] | None = None
        self._final_sent = False
        self._own_hops = [f"<sip:{peer.host_port};lr;hop={hop}>" for hop in ("terminating", "originating")]
        self._record_routes = [*self._own_hops, *invite.record_route]

    @property
    def said(self) -> str:
        """The description in the last response to the INVITE that had one."""
        sent = (
            entry.message.body
            for entry in reversed(self.trace.entries)
            if entry.direction is Direction.SENT
            and isinstance(entry.message, SipResponse)
            and entry.message.call_id == self.call_id
            and entry.message.has_sdp
        )
        return next(sent, "")

    def start(self) -> None:
        """Run the script."""
        self._task = self.peer.spawn(self._run())

    async def wait_ack(self, *, fork: str = "a", timeout_s: float = DEFAULT_WAIT_S) -> None:
        """Wait for the ACK to a fork's 200."""
        await asyncio.wait_for(self._acknowledged.setdefault(fork, asyncio.Event()).wait(), timeout_s)

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Follow CANCEL, PRACK and ACK; the rest is for any call."""
        if request.method == "CANCEL" and request.cseq.number != self.invite.cseq.number:
            self.peer.send(response_to(request, 200), source)
            if self.pending is not None and self.pending.cseq.number == request.cseq.number:
                self.respond_to(self.pending, 487)
        elif request.method == "CANCEL":
            self._cancel(request, source)
        elif request.method == "ACK":
            fork = self._fork_of(request)
            if fork is not None:
                self._acknowledged.setdefault(fork, asyncio.Event()).set()
        elif request.method == "PRACK":
            self._prack(request, source)
        else:
            super().request_received(request, source)

    def respond(
        self,
        status: int,
        *,
        fork: str = "a",
        media: DeviceMedia | None = None,
        headers: Pairs = (),
        parts: Iterable[Part] = (),
    ) -> SipResponse:
        """Send one response to the INVITE now, outside the script."""
        dialog = self._dialog(fork)
        fields = list(headers)
        if 100 < status < 300:
            contact = [] if any(name == "Contact" for name, _ in fields) else [("Contact", self.contact)]
            fields = [*(("Record-Route", r) for r in self._record_routes), *contact, *fields]
        sdp = device_answer(self.invite.sdp, media) if media is not None else ""
        if media is not None:
            self.media = media
        tag = dialog.local_tag if status > 100 else None
        response = response_to(self.invite, status, to_tag=tag, headers=fields, sdp=sdp)
        if parts:
            response.add_parts(*parts)
        self._final_sent = self._final_sent or status >= 200
        self.peer.send(response, self.gateway)
        return response

    async def _run(self) -> None:
        if self.script.trying:
            self.respond(100)
        for step in self.script.steps:
            if isinstance(step, Provisional | Final):
                await asyncio.sleep(self.script.gap_s)
            await self._carry_out(step)

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Provisional():
                await self._progress(step)
            case Final():
                await self._finish(step)
            case _:
                await self.cancelled.wait()

    async def _progress(self, step: Provisional) -> None:
        if not step.reliable:
            self.respond(
                step.status, fork=step.fork, media=step.media, headers=step.headers, parts=step.parts
            )
            return
        number = self._rseq.setdefault(step.fork, 1)
        self._rseq[step.fork] += 1
        acknowledged = self._open_rseq[(step.fork, number)] = asyncio.Event()
        reliable = (("Require", "100rel"), ("RSeq", str(number)), *step.headers)
        response = self.respond(
            step.status, fork=step.fork, media=step.media, headers=reliable, parts=step.parts
        )
        repeat = self._repeat_until(acknowledged, response, limit_s=float("inf"))
        if step.await_prack:
            await repeat
        else:
            self.peer.spawn(repeat)

    async def _finish(self, step: Final) -> None:
        response = self.respond(
            step.status, fork=step.fork, media=step.media, headers=step.headers, parts=step.parts
        )
        if step.status not in SUCCESS:
            return
        acknowledged = self._acknowledged.setdefault(step.fork, asyncio.Event())
        repeat = self._repeat_until(acknowledged, response, limit_s=T2_S)
        if step.await_ack:
            await repeat
        else:
            self.peer.spawn(repeat)

    async def _repeat_until(self, done: asyncio.Event, response: SipResponse, *, limit_s: float) -> None:
        """Repeat at T1, 2·T1, ... for 64·T1 (RFC 3261 §13.3.1.4, RFC 3262 §3)."""
        interval_s = T1_S
        deadline = time.monotonic() + 64 * T1_S
        while not done.is_set() and time.monotonic() < deadline:
            try:
                await asyncio.wait_for(done.wait(), interval_s)
            except TimeoutError:
                self.peer.send(response, self.gateway)
            interval_s = min(2 * interval_s, limit_s)

    def _prack(self, request: SipRequest, source: Address) -> None:
        fork = self._fork_of(request)
        rack = (request.headers.get("RAck") or "").split()
        known = self._open_rseq.get((fork or "", int(rack[0]))) if rack and rack[0].isdigit() else None
        if known is None or rack[1:] != str(self.invite.cseq).split():
            self.violations.append(f"PRACK with RAck {' '.join(rack)} to fork {fork}")
            self.peer.send(response_to(request, 481), source)
            return
        super().request_received(request, source)
        known.set()

    def _cancel(self, request: SipRequest, source: Address) -> None:
        if request.to_tag is not None:
            self.violations.append(f"CANCEL with To-tag {request.to_tag}")
        self.peer.send(response_to(request, 200, to_tag=self._dialog("a").local_tag), source)
        self.cancelled.set()
        if self.script.on_cancel is OnCancel.TERMINATE and not self._final_sent:
            if self._task is not None:
                self._task.cancel()
            self.respond(487)

    def _dialog(self, fork: str) -> Dialog:
        if fork not in self.dialogs:
            dialog = dialog_of_callee(self.invite, f"{fork}-{new_tag()}")
            dialog.route_set_of_peer = self._own_hops[::-1]
            self.dialogs[fork] = dialog
        return self.dialogs[fork]

    def _fork_of(self, request: SipRequest) -> str | None:
        return next((fork for fork, d in self.dialogs.items() if d.local_tag == request.to_tag), None)


def fields_of_hop(invite: SipRequest, *further: str) -> list[tuple[str, str]]:
    """Return what CANCEL, and the ACK to a refusal, repeat of the INVITE: of its Vias the topmost only."""
    kept = (*HOP_BY_HOP_FIELDS, *further)
    topmost = ("Via", invite.headers.all("Via")[0])
    return [topmost, *((n, v) for n, v in invite.headers if n in kept and n != "Via")]
