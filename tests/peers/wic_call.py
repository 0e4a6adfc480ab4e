"""One call of a scripted page: INVITE, PRACK, the answered UPDATE, ACK, BYE, and every departure from it.

Knows the page's side of RFC 3261, 3262 and 3311 as SIP.js with an UPDATE extension behaves.
Must not know sockets or media: it talks to a `Line` and to a `PageMedia`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from tests.peers.call_plan import FINAL, SUCCESS, CallPlan, Go, Step
from tests.peers.dialog import HOP_BY_HOP_FIELDS, Dialog, Pairs, dialog_of_callee, dialog_of_caller
from tests.peers.multipart import Part
from tests.peers.sdp import answer_to
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag, response_to
from tests.peers.trace import DEFAULT_WAIT_S, Trace
from tests.peers.websocket import Loss


class PageMedia(Protocol):
    """The media side of a page."""

    async def answer_received(self, sdp: str) -> None:
        """Apply the first answer."""

    async def answer_offer(self, sdp: str) -> str:
        """Apply an offer of the gateway and return the answer."""


class TextMedia:
    """Media of a page that exists only as text."""

    def __init__(self, own_offer: str) -> None:
        self.own_offer = own_offer
        self.local = own_offer
        """Its last description, offer or answer."""
        self.first_answer = ""
        self.offers: list[str] = []

    async def answer_received(self, sdp: str) -> None:
        """Remember the answer: it fixes the DTLS role."""
        self.first_answer = self.first_answer or sdp

    async def answer_offer(self, sdp: str) -> str:
        """Mirror the offer."""
        self.offers.append(sdp)
        version = 2 + len(self.offers)
        self.local = answer_to(sdp, self.own_offer, first_answer=self.first_answer, version=version)
        return self.local


class Line(Protocol):
    """What a call needs of its page."""

    trace: Trace

    @property
    def contact(self) -> str:
        """Contact value of the page."""

    def new_via(self) -> str:
        """Return a Via with a fresh branch."""

    async def send(self, message: SipRequest | SipResponse) -> None:
        """Send and record."""

    def lose(self, loss: Loss) -> None:
        """End the socket abruptly."""

    @property
    def has_credentials(self) -> bool:
        """Whether the page can answer a challenge."""

    def authorize(self, request: SipRequest, response: SipResponse) -> tuple[str, str]:
        """Return the credentials field that answers a 401 or 407."""


class WicCall:
    """A call of the page, either way round."""

    def __init__(self, line: Line, invite: SipRequest, plan: CallPlan, media: PageMedia) -> None:
        self.line = line
        self.invite = invite
        self.plan = plan
        self.media = media
        self.dialog: Dialog | None = None
        self.violations: list[str] = []
        """What the gateway did against an RFC, as seen by this page."""
        self._offers_seen = 0
        self._remote_cseq = -1
        self._last_invite = invite

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self.invite.call_id

    @property
    def trace(self) -> Trace:
        """The page's trace."""
        return self.line.trace

    def ladder(self) -> list[str]:
        """Return the labels of this call's messages in order."""
        return self.trace.ladder(self.call_id)

    async def wait_status(
        self, status: int | range, *, count: int = 1, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipResponse:
        """Return the `count`-th response of that status to an INVITE of this call."""
        return await self.trace.wait_response(
            status, "INVITE", call_id=self.call_id, count=count, timeout_s=timeout_s
        )

    async def wait_request(
        self, method: str, *, count: int = 1, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipRequest:
        """Return the `count`-th request of that method the gateway sent in this call."""
        return await self.trace.wait_request(method, call_id=self.call_id, count=count, timeout_s=timeout_s)

    def request(
        self, method: str, *, cseq: int | None = None, headers: Pairs = (), sdp: str = ""
    ) -> SipRequest:
        """Make, but do not send, an in-dialog request.

        Raises:
            RuntimeError: no response with a To-tag has made a dialog yet.
        """
        if self.dialog is None:
            raise RuntimeError(f"{method} before a dialog exists")
        contact = [("Contact", self.line.contact)] if method in ("INVITE", "UPDATE") else []
        return self.dialog.request(
            method, via=self.line.new_via(), cseq=cseq, headers=[*contact, *headers], sdp=sdp
        )

    async def send(self, message: SipRequest | SipResponse) -> None:
        """Send any message of this call."""
        await self.line.send(message)

    async def ask(self, request: SipRequest, *, timeout_s: float = DEFAULT_WAIT_S) -> SipResponse:
        """Send a request and return its final response."""
        await self.send(request)
        return await self.trace.wait_response(
            FINAL, request.method, call_id=self.call_id, cseq=request.cseq.number, timeout_s=timeout_s
        )

    async def prack(self, response: SipResponse, *, rack: str | None = None, sdp: str = "") -> SipResponse:
        """PRACK a reliable response and return the final response; `rack` overrides the RAck value."""
        return await self.ask(self._prack(response, rack, sdp))

    async def update(self, sdp: str = "") -> SipResponse:
        """Send UPDATE, with an offer or as a refresh, and return the final response."""
        return await self.ask(self.request("UPDATE", sdp=sdp))

    async def reinvite(self, sdp: str, *, headers: Pairs = ()) -> SipResponse:
        """Send re-INVITE and return the final response; 2xx and others are acknowledged."""
        return await self.ask(self.next_invite(sdp, headers=headers))

    def next_invite(self, sdp: str, *, headers: Pairs = ()) -> SipRequest:
        """Make, but do not send, a re-INVITE; `cancel` is about it from now on."""
        self._last_invite = self.request("INVITE", headers=headers, sdp=sdp)
        return self._last_invite

    async def info(
        self, text: str = "still here", content_type: str = "text/plain", *, headers: Pairs = ()
    ) -> SipResponse:
        """Send an INFO, of nothing the gateway takes for its own unless told, and return the final response."""
        request = self.request("INFO")
        for name, value in headers:
            request.headers.add(name, value)
        request.set_body(text, content_type)
        return await self.ask(request)

    async def info_dtmf(self, digit: str, duration_ms: int = 160) -> SipResponse:
        """Send a digit as SIP.js does (application/dtmf-relay) and return the final response."""
        request = self.request("INFO")
        request.set_body(f"Signal={digit}\r\nDuration={duration_ms}", "application/dtmf-relay")
        return await self.ask(request)

    async def bye(self) -> SipResponse:
        """Hang up and return the final response."""
        return await self.ask(self.request("BYE"))

    async def ack(self, response: SipResponse) -> None:
        """Acknowledge a final response: in the dialog for 2xx, hop by hop for others (RFC 3261 §17.1.1.3)."""
        if response.status in SUCCESS:
            late = response.has_sdp and not self._last_invite.has_sdp
            sdp = await self.media.answer_offer(response.body) if late else ""
            await self.send(self.request("ACK", cseq=response.cseq.number, sdp=sdp))
            return
        invite = self._last_invite
        kept = [(n, v) for n, v in invite.headers if n in HOP_BY_HOP_FIELDS]
        to = response.headers.get("To") or ""
        fields = [*kept, ("To", to), ("CSeq", str(CSeq(invite.cseq.number, "ACK")))]
        await self.send(SipRequest("ACK", invite.request_uri, headers=Headers(fields)))

    async def cancel(self) -> None:
        """CANCEL the newest INVITE; the 200 and the 487 are in the trace."""
        invite = self._last_invite
        kept = [
            (n, v)
            for n, v in invite.headers
            if n in ("Via", "Max-Forwards", "Route", "From", "To", "Call-ID")
        ]
        fields = [*kept, ("CSeq", str(CSeq(invite.cseq.number, "CANCEL")))]
        await self.send(SipRequest("CANCEL", invite.request_uri, headers=Headers(fields)))

    async def request_received(self, request: SipRequest) -> None:
        """Answer an in-dialog request of the gateway as the plan says."""
        if request.method == "ACK":
            return
        self._check_in_dialog(request)
        if request.method in ("UPDATE", "INVITE") and request.has_sdp:
            await self._answer_offer(request)
            return
        await self.send(response_to(request, self.plan.statuses.get(request.method, 200)))

    async def response_received(self, response: SipResponse) -> None:
        """Do what a page does on a response of this call."""
        if response.cseq.method == "INVITE" and response.status in FINAL and self.plan.ack:
            await self.ack(response)

    async def reached(self, step: Step) -> Go:
        """Run the hook of a step."""
        hook = self.plan.hooks.get(step)
        return Go.ON if hook is None else await hook(self)

    def _prack(self, response: SipResponse, rack: str | None, sdp: str) -> SipRequest:
        value = rack or f"{response.rseq} {response.cseq}"
        return self.request("PRACK", headers=[("RAck", value)], sdp=sdp)

    def _check_in_dialog(self, request: SipRequest) -> None:
        if self.dialog is not None and request.from_tag != self.dialog.remote_tag:
            self.violations.append(f"{request.method} with From-tag {request.from_tag}, not the dialog's")
        if request.method != "CANCEL" and request.cseq.number <= self._remote_cseq:
            self.violations.append(
                f"{request.method} with CSeq {request.cseq.number} after {self._remote_cseq}"
            )
        self._remote_cseq = max(self._remote_cseq, request.cseq.number)

    async def _answer_offer(self, request: SipRequest) -> None:
        if await self.reached(Step.UPDATE_RECEIVED) is Go.NO_FURTHER:
            return
        replies = self.plan.offer_replies
        reply = replies[min(self._offers_seen, len(replies) - 1)]
        self._offers_seen += 1
        if reply.status is None:
            return
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        sdp = ""
        if reply.status in SUCCESS:
            sdp = reply.sdp if reply.sdp is not None else await self.media.answer_offer(request.sdp)
        headers = [("Contact", self.line.contact), *reply.headers]
        await self.send(response_to(request, reply.status, headers=headers, sdp=sdp))
        await self.reached(Step.UPDATE_ANSWERED)


class OutgoingCall(WicCall):
    """A call the page makes."""

    def __init__(self, line: Line, invite: SipRequest, plan: CallPlan, media: PageMedia) -> None:
        super().__init__(line, invite, plan, media)
        self._rseq = 0
        self._answered_with: str | None = None

    async def start(self) -> None:
        """Send the INVITE."""
        await self.send(self.invite)
        await self.reached(Step.INVITE_SENT)

    async def wait_answer(self, timeout_s: float = DEFAULT_WAIT_S) -> SipResponse:
        """Return the 2xx to the INVITE."""
        return await self.wait_status(SUCCESS, timeout_s=timeout_s)

    async def response_received(self, response: SipResponse) -> None:
        """Follow the INVITE transaction."""
        if response.cseq.method != "INVITE" or response.status == 100:
            return
        if response.cseq.number != self.invite.cseq.number:
            await super().response_received(response)  # a re-INVITE's, or the challenged INVITE's again
        elif response.status in (401, 407) and self.line.has_credentials:
            await self._retry_with_credentials(response)
        elif response.status in SUCCESS:
            await self._answered(response)
        elif response.status in FINAL:
            await super().response_received(response)
        else:
            await self._progressed(response)

    async def _retry_with_credentials(self, response: SipResponse) -> None:
        await self.ack(response)
        again = SipRequest("INVITE", self.invite.request_uri, headers=self.invite.headers.copy())
        again.body = self.invite.body
        again.headers.remove("Via")
        again.headers.add_first("Via", self.line.new_via())
        again.headers.replace("CSeq", str(CSeq(self.invite.cseq.number + 1, "INVITE")))
        again.headers.add(*self.line.authorize(again, response))
        # A new transaction makes a new dialog, with RSeq and offer/answer from the start (RFC 3262 §3).
        self.dialog, self._rseq, self._answered_with, self._remote_cseq = None, 0, None, -1
        self.invite = self._last_invite = again
        await self.send(again)

    async def _progressed(self, response: SipResponse) -> None:
        self._check_response(response)
        await self._take_answer(response)
        if response.is_reliable:
            if not self._is_new(response):
                return
            if await self.reached(Step.RELIABLE_RECEIVED) is Go.NO_FURTHER:
                return
            if self.plan.prack:
                await self.send(self._prack(response, None, ""))
                await self.reached(Step.PRACK_SENT)
        if response.status == 180:
            await self.reached(Step.RINGING_RECEIVED)

    async def _answered(self, response: SipResponse) -> None:
        self._check_response(response)
        if self.dialog is not None:
            self.dialog.remote_target = response.contact_uri or self.dialog.remote_target
            self.dialog.route_set = response.record_route[::-1]  # RFC 3261 §13.2.2.4
        await self._take_answer(response)
        if await self.reached(Step.ANSWER_RECEIVED) is Go.NO_FURTHER or not self.plan.ack:
            return
        await self.ack(response)
        await self.reached(Step.ACK_SENT)

    async def _take_answer(self, response: SipResponse) -> None:
        if not response.has_sdp:
            return
        if self._answered_with is None:
            self._answered_with = response.sdp
            await self.media.answer_received(response.sdp)
        elif self._answered_with != response.sdp:  # RFC 6337 §3.1.1: one answer, repeated unchanged
            self.violations.append(f"{response.status} with another answer than the first")

    def _check_response(self, response: SipResponse) -> None:
        if response.to_tag is None:
            self.violations.append(f"{response.status} without To-tag")
            return
        if response.contact_uri is None:
            self.violations.append(f"{response.status} without Contact")
        if self.dialog is None:
            self.dialog = dialog_of_caller(self.invite, response)
        elif self.dialog.remote_tag != response.to_tag:
            self.violations.append(f"{response.status} with another To-tag")

    def _is_new(self, response: SipResponse) -> bool:
        """RFC 3262 §4: retransmissions and gaps get no PRACK."""
        rseq = response.rseq or 0
        if rseq <= self._rseq:
            return False
        if self._rseq and rseq != self._rseq + 1:
            self.violations.append(f"RSeq {rseq} after {self._rseq}")
            return False
        self._rseq = rseq
        return True


class IncomingCall(WicCall):
    """A call the page receives; the test decides what to answer."""

    def __init__(self, line: Line, invite: SipRequest, plan: CallPlan, media: PageMedia) -> None:
        super().__init__(line, invite, plan, media)
        self._tag = new_tag()
        self.dialog = dialog_of_callee(invite, self._tag)
        self._remote_cseq = invite.cseq.number

    async def respond(
        self, status: int, *, sdp: str = "", headers: Pairs = (), parts: Iterable[Part] = ()
    ) -> None:
        """Answer the INVITE; Record-Route and Contact are filled in."""
        routes = [("Record-Route", route) for route in self.invite.record_route]
        contact = [("Contact", self.line.contact)] if status < 300 else []
        fields = [*routes, *contact, *headers]
        response = response_to(self.invite, status, to_tag=self._tag, headers=fields, sdp=sdp)
        await self.send(response.add_parts(*parts) if parts else response)

    async def ring(self) -> None:
        """Send 180."""
        await self.respond(180)

    async def answer(
        self, sdp: str | None = None, *, parts: Iterable[Part] = (), timeout_s: float = DEFAULT_WAIT_S
    ) -> SipRequest:
        """Send 200 with `sdp` or the media's own answer, and return the ACK."""
        body = sdp if sdp is not None else await self.media.answer_offer(self.invite.sdp)
        await self.respond(200, sdp=body, parts=parts)
        return await self.wait_request("ACK", timeout_s=timeout_s)

    async def request_received(self, request: SipRequest) -> None:
        """Take CANCEL as the end of the INVITE (RFC 3261 §9.2)."""
        if request.method == "CANCEL":
            await self.send(response_to(request, 200, to_tag=self._tag))
            await self.respond(487)
            return
        await super().request_received(request)
