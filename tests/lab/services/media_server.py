"""A SIP user agent that answers and makes calls with G.711 sound: the base of PSTN gateway and conference.

Knows dialogs, offers and the frame clock. What a number does and what is heard is the subclass' business.
Reliable provisional responses (RFC 3262) are used for early media when the caller supports them.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tests.lab.services.g711_stream import FRAME_S, G711Stream
from tests.lab.services.leg import ANSWERED, Leg, Treatment
from tests.lab.services.negotiation import CODECS, first_codec, session_timer, stream_format, user_of
from tests.peers.addresses import name_addr_from_text
from tests.peers.device_sdp import DeviceMedia, NoCommonCodecError, device_answer, device_offer
from tests.peers.dialog import Dialog, dialog_of_callee, dialog_of_caller
from tests.peers.sip import CSeq, Headers, SipRequest, SipResponse, new_tag, response_to
from tests.peers.tone import Samples
from tests.peers.udp import T1_S, T2_S, Address, UdpPeer

log = logging.getLogger("media_server")

ALLOW: Final = "INVITE,ACK,BYE,CANCEL,OPTIONS,UPDATE,PRACK,INFO"
ENDED_CALLS_KEPT: Final = 50
ANSWER_TIMEOUT_S: Final = 60.0


class MediaServer(UdpPeer):
    """Calls by Call-ID, RTP ports from a range, one clock for all sound."""

    def __init__(self, name: str, rtp: tuple[int, int]) -> None:
        super().__init__(name)
        self._free_ports = deque(range(rtp[0], rtp[1], 2))
        self.legs: dict[str, Leg] = {}
        self._ended: deque[dict[str, Any]] = deque(maxlen=ENDED_CALLS_KEPT)
        self._handlers: Mapping[str, Callable[[SipRequest, Address], None]] = {
            "INVITE": self._invited,
            "ACK": self._acknowledged,
            "PRACK": self._pracked,
            "UPDATE": self._updated,
            "CANCEL": self._cancelled,
            "BYE": self._ended_by_far_end,
        }

    @property
    def contact(self) -> str:
        """Contact of every call."""
        return f"<sip:{self.trace.name}@{self.host_port}>" + self.contact_features

    # What a subclass says.

    contact_features = ""

    def treatment(self, user: str) -> Treatment:
        """Decide what a called user does."""
        raise NotImplementedError

    def sound(self, leg: Leg, frames: Mapping[str, Samples], tick: int) -> Samples:
        """Return the next frame for a leg; `frames` is what came in by Call-ID."""
        raise NotImplementedError

    def digit_received(self, leg: Leg, digit: str) -> None:
        """React to a digit."""
        leg.digits += digit

    def media(self, leg: Leg, offer: str = "") -> DeviceMedia:
        """Return what a leg can do, at an offer or (without one) for an offer of our own."""
        codec = first_codec(offer) if offer else CODECS[0]
        return DeviceMedia(address=self.address[0], audio_port=leg.port, audio=codec)

    def leg_ended(self, leg: Leg) -> None:
        """Take note of an end."""

    def described(self, leg: Leg) -> dict[str, Any]:
        """Return what the control line says of a leg."""
        return leg.described()

    # Sound.

    async def run_clock(self) -> None:
        """Send a frame to every leg every 20 ms."""
        loop = asyncio.get_running_loop()
        due, tick = loop.time(), 0
        while True:
            due, tick = due + FRAME_S, tick + 1
            await asyncio.sleep(max(0.0, due - loop.time()))
            streams = [(call_id, leg, leg.stream) for call_id, leg in self.legs.items() if leg.stream]
            taken = ((call_id, stream.take_frame()) for call_id, _, stream in streams)
            frames = {call_id: frame for call_id, frame in taken if frame is not None}
            for _, leg, stream in streams:
                stream.send_frame(self.sound(leg, frames, tick))

    async def open_media(self, leg: Leg, far_sdp: str) -> None:
        """Send and receive as the far end's description says, for the first time or anew."""
        form = stream_format(far_sdp)
        if leg.stream is not None:
            leg.stream.reshape(form)
            return

        stream = G711Stream(form, partial(self.digit_received, leg))
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: stream, local_addr=(self.address[0], leg.port))
        leg.stream = stream

    # Being called.

    def request_received(self, request: SipRequest, source: Address) -> None:
        handler = self._handlers.get(request.method)
        if handler is not None:
            handler(request, source)
        else:
            known = request.to_tag is None or request.call_id in self.legs
            self.respond(request, source, 200 if known else 481)

    def respond(
        self,
        request: SipRequest,
        source: Address,
        status: int,
        *,
        sdp: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        tag: str | None = None,
    ) -> SipResponse:
        fields = list(headers)
        if request.method in ("INVITE", "UPDATE") and 100 < status < 300:
            routes = [("Record-Route", route) for route in request.record_route]
            own = [("Contact", self.contact), ("Allow", ALLOW)]
            fields = [*routes, *own, ("Supported", "100rel,timer"), *fields]
        response = response_to(request, status, to_tag=tag or new_tag(), headers=fields, sdp=sdp)
        self.send(response, source)
        return response

    def _invited(self, request: SipRequest, source: Address) -> None:
        leg = self.legs.get(request.call_id)
        if request.to_tag is not None:
            if leg is None:
                self.respond(request, source, 481)
            else:
                self.spawn(self._renegotiate(leg, request, source))
            return
        self.respond(request, source, 100)
        user = user_of(request.request_uri)
        caller = request.headers.get("P-Asserted-Identity") or request.headers.get("From") or ""
        leg = Leg(user, name_addr_from_text(caller).uri, self.take_port(), request, source)
        leg.dialog = dialog_of_callee(request, new_tag())
        self.legs[request.call_id] = leg
        self.spawn(self.serve(leg))

    async def serve(self, leg: Leg) -> None:
        """Do with a new call what its number says."""
        treatment = self.treatment(leg.user)
        request = leg.invite
        try:
            leg.sdp = self.answer_sdp(leg, request)
        except NoCommonCodecError:
            self.refuse(leg, 488)
            return
        if treatment.early_media and request.has_sdp:
            await self.open_media(leg, request.body)
            await self._progress(leg)
        elif treatment.ring_s:
            self.ring(leg)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(leg.cancelled.wait(), treatment.ring_s)
        if leg.cancelled.is_set():
            self.refuse(leg, 487)
        elif treatment.status >= 300:
            self.refuse(leg, treatment.status)
        else:
            await self.answer(leg)

    def ring(self, leg: Leg) -> None:
        """Say that it rings."""
        assert leg.dialog is not None
        self.respond(leg.invite, leg.source, 180, tag=leg.dialog.local_tag)

    def answer_sdp(self, leg: Leg, request: SipRequest) -> str:
        if request.has_sdp:
            return device_answer(request.body, self.media(leg, request.body))
        return device_offer(self.media(leg))

    def refuse(self, leg: Leg, status: int) -> None:
        assert leg.dialog is not None
        self.respond(leg.invite, leg.source, status, tag=leg.dialog.local_tag)
        self._end(leg, f"refused {status}")

    async def _progress(self, leg: Leg) -> None:
        """Send 183 with SDP; reliably, and wait for the PRACK, when the caller can."""
        assert leg.dialog is not None
        supported = leg.invite.option_tags("Supported") | leg.invite.option_tags("Require")
        reliable = (("Require", "100rel"), ("RSeq", "1")) if "100rel" in supported else ()
        tag = leg.dialog.local_tag
        response = self.respond(leg.invite, leg.source, 183, sdp=leg.sdp, headers=reliable, tag=tag)
        if reliable:
            await self._repeat_until(leg.pracked, response, leg)

    async def answer(self, leg: Leg) -> None:
        assert leg.dialog is not None
        if leg.invite.has_sdp:
            await self.open_media(leg, leg.invite.body)
        sdp = "" if leg.pracked.is_set() else leg.sdp
        headers = session_timer(leg.invite)
        response = self.respond(
            leg.invite, leg.source, 200, sdp=sdp, headers=headers, tag=leg.dialog.local_tag
        )
        leg.state = ANSWERED
        await self._repeat_until(leg.acknowledged, response, leg)

    async def _repeat_until(self, done: asyncio.Event, response: SipResponse, leg: Leg) -> None:
        """Repeat a response at T1, 2*T1, ... for 64*T1 (RFC 3261 §13.3.1.4, RFC 3262 §3)."""
        interval_s, waited_s = T1_S, 0.0
        while not done.is_set() and not leg.cancelled.is_set() and waited_s < 64 * T1_S:
            try:
                await asyncio.wait_for(done.wait(), interval_s)
            except TimeoutError:
                self.send(response, leg.source)
            waited_s += interval_s
            interval_s = min(2 * interval_s, T2_S)

    def _acknowledged(self, request: SipRequest, _source: Address) -> None:
        leg = self.legs.get(request.call_id)
        if leg is None:
            return
        leg.acknowledged.set()
        if request.has_sdp:
            self.spawn(self.open_media(leg, request.body))

    def _pracked(self, request: SipRequest, source: Address) -> None:
        leg = self.legs.get(request.call_id)
        self.respond(request, source, 481 if leg is None else 200)
        if leg is not None:
            leg.pracked.set()

    def _updated(self, request: SipRequest, source: Address) -> None:
        leg = self.legs.get(request.call_id)
        if leg is None:
            self.respond(request, source, 481)
        else:
            self.spawn(self._renegotiate(leg, request, source))

    async def _renegotiate(self, leg: Leg, request: SipRequest, source: Address) -> None:
        """Answer re-INVITE or UPDATE; without an offer the last description is repeated."""
        try:
            sdp = device_answer(request.body, self.media(leg, request.body)) if request.has_sdp else ""
        except NoCommonCodecError:
            self.respond(request, source, 488)
            return
        if request.has_sdp:
            await self.open_media(leg, request.body)
        elif request.method == "INVITE":
            sdp = leg.sdp
        self.respond(request, source, 200, sdp=sdp, headers=session_timer(request))

    def _cancelled(self, request: SipRequest, source: Address) -> None:
        leg = self.legs.get(request.call_id)
        self.respond(request, source, 481 if leg is None else 200)
        if leg is not None:
            leg.cancelled.set()

    def _ended_by_far_end(self, request: SipRequest, source: Address) -> None:
        leg = self.legs.get(request.call_id)
        self.respond(request, source, 481 if leg is None else 200)
        if leg is not None:
            leg.end_reasons = tuple(request.headers.all("Reason"))
            self._end(leg, "ended by far end")

    # Calling.

    async def call(self, target: str, caller: str, first_hop: Address) -> str:
        """Start a call and return its Call-ID; it goes on by itself."""
        call_id = f"{new_tag()}{new_tag()}"
        fields = [
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", f"<{caller}>;tag={new_tag()}"),
            ("To", f"<{target}>"),
            ("Call-ID", call_id),
            ("CSeq", str(CSeq(1, "INVITE"))),
            ("Contact", self.contact),
            ("P-Asserted-Identity", f"<{caller}>"),
            ("Supported", "100rel,timer"),
            ("Allow", ALLOW),
        ]
        invite = SipRequest("INVITE", target, headers=Headers(fields))
        leg = Leg(user_of(caller), target, self.take_port(), invite, first_hop)
        leg.sdp = device_offer(self.media(leg))
        invite.set_body(leg.sdp)
        self.legs[call_id] = leg
        self.spawn(self._follow(leg))
        return call_id

    async def _follow(self, leg: Leg) -> None:
        try:
            response = await self.ask(leg.invite, leg.source, timeout_s=ANSWER_TIMEOUT_S)
        except AssertionError:
            self._end(leg, "not answered")
            return
        if response.status >= 300:
            copied = [
                (n, v) for n, v in leg.invite.headers if n in ("Via", "Max-Forwards", "From", "Call-ID")
            ]
            fields = [*copied, ("To", response.headers.get("To") or ""), ("CSeq", "1 ACK")]
            self.send(SipRequest("ACK", leg.invite.request_uri, headers=Headers(fields)), leg.source)
            leg.refusal = response.status
            self._end(leg, f"refused {response.status}")
            return
        pracked, leg.dialog = leg.dialog, dialog_of_caller(leg.invite, response)
        if pracked is not None:
            leg.dialog.local_cseq = pracked.local_cseq
        ack = leg.dialog.request("ACK", via=self.new_via(), cseq=leg.invite.cseq.number)
        self.send(ack, self._hop(leg.dialog))
        if response.has_sdp:
            await self.open_media(leg, response.body)
        leg.state = ANSWERED
        leg.settled.set()

    def response_received(self, response: SipResponse, source: Address) -> None:
        """Acknowledge reliable provisional responses of a call of ours."""
        leg = self.legs.get(response.call_id)
        if leg is None or not response.is_reliable or leg.pracked.is_set():
            return
        leg.pracked.set()
        leg.dialog = dialog_of_caller(leg.invite, response)
        self.spawn(self._acknowledge_provisional(leg, leg.dialog, response))

    async def _acknowledge_provisional(self, leg: Leg, dialog: Dialog, response: SipResponse) -> None:
        if response.has_sdp:
            await self.open_media(leg, response.body)
        rack = ("RAck", f"{response.rseq} {response.cseq}")
        prack = dialog.request("PRACK", via=self.new_via(), headers=[rack])
        await self.ask(prack, self._hop(dialog))

    @staticmethod
    def _hop(dialog: Dialog) -> Address:
        hop = dialog.next_hop
        return hop.host, hop.port or 5060

    async def hang_up(self, call_id: str, reasons: Sequence[str] = ()) -> int:
        """Send BYE and return its final status; `reasons` are values of Reason (RFC 3326)."""
        leg = self.legs[call_id]
        if leg.dialog is None:
            raise ValueError("the call is not answered")
        self._end(leg, "ended here")
        bye = leg.dialog.request(
            "BYE", via=self.new_via(), headers=[("Reason", reason) for reason in reasons]
        )
        return (await self.ask(bye, self._hop(leg.dialog))).status

    # Calls as data.

    def take_port(self) -> int:
        """Take the RTP port that has rested longest."""
        port = self._free_ports.popleft()
        self._free_ports.append(port)
        return port

    def _end(self, leg: Leg, state: str) -> None:
        leg.state = state
        leg.settled.set()
        self.legs.pop(leg.invite.call_id, None)
        self._ended.append(self.described(leg))
        if leg.stream is not None:
            leg.stream.close()
        self.leg_ended(leg)
        log.info("event=call_ended call_id=%s state=%r", leg.invite.call_id, state)

    # Control line.

    async def op_calls(self) -> list[dict[str, Any]]:
        """Describe the ended calls and then those that run, oldest first."""
        return [*self._ended, *(self.described(leg) for leg in self.legs.values())]

    async def op_hangup(self, call_id: str) -> int:
        return await self.hang_up(call_id)

    async def op_send_digits(self, call_id: str, digits: str) -> None:
        stream = self.legs[call_id].stream
        if stream is None:
            raise ValueError("the call has no sound yet")
        for digit in digits:
            stream.send_digit(digit)
