"""A scripted page: SIP over WebSocket (RFC 7118) without a browser.

Knows registration (RFC 5626 contact), which message belongs to which call, and the record of
everything said. Must not know the gateway's inside; the calls themselves are in `wic_call`.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from tests.peers.addresses import sip_uri_from_text
from tests.peers.call_plan import FINAL, CallPlan
from tests.peers.dialog import Pairs
from tests.peers.digest import CHALLENGES, Credentials, authorization, page_challenge
from tests.peers.multipart import Part
from tests.peers.sip import (
    CSeq,
    Headers,
    SipRequest,
    SipResponse,
    message_from_bytes,
    message_to_bytes,
    new_branch,
    new_tag,
    response_to,
)
from tests.peers.trace import DEFAULT_WAIT_S, Direction, Trace
from tests.peers.websocket import Handshake, Loss, PageSocket
from tests.peers.wic_call import IncomingCall, OutgoingCall, PageMedia, TextMedia, WicCall

ALLOW: Final = "INVITE,ACK,CANCEL,BYE,PRACK,UPDATE,INFO,MESSAGE,OPTIONS,REFER,NOTIFY"
"""Joined Allow of a page with the UPDATE extension."""

MAX_CHALLENGES: Final = 3


@dataclass(frozen=True)
class WicIdentity:
    """Who the page is."""

    aor: str = "sip:alice@ims.example"
    credentials: Credentials | None = None
    instance: str = field(default_factory=lambda: uuid.uuid4().urn)
    """Every page is an instance of its own, which it stays when it connects again (RFC 5626 §4.1)."""
    reg_id: int = 1
    feature_tags: tuple[str, ...] = ()
    """Further ones in the Contact of REGISTER (RFC 3840)."""

    @property
    def user(self) -> str:
        """User part of the address of record."""
        return sip_uri_from_text(self.aor).user


@dataclass
class _Registration:
    call_id: str = field(default_factory=lambda: secrets.token_hex(10))
    tag: str = field(default_factory=new_tag)
    cseq: int = 0


class ScriptedWic:
    """One page with one WebSocket; survives losing it when connected again."""

    def __init__(self, handshake: Handshake | str, identity: WicIdentity | None = None) -> None:
        self.handshake = Handshake(handshake) if isinstance(handshake, str) else handshake
        self.identity = identity or WicIdentity()
        self.trace = Trace(f"wic {self.identity.aor}")
        self.calls: dict[str, WicCall] = {}
        self.plan = CallPlan()
        """Plan of incoming calls."""
        self.incoming_media: Callable[[SipRequest], PageMedia] = lambda invite: TextMedia(invite.sdp)
        self.call_contact = ""
        """Contact URI of calls and dialogs, where that is not the registered one: a GRUU, an anonymous one."""
        self.dialogs: set[str] = set()
        """Call-IDs of dialogs that are no calls: what comes inside gets 200."""
        self._host = f"{secrets.token_hex(6)}.invalid"
        self._user = secrets.token_hex(4)
        self._registration = _Registration()
        self._socket: PageSocket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._incoming: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self.lost = asyncio.Event()
        """Set when the socket ended, whoever ended it."""

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Open the WebSocket; also after it was lost."""
        self._socket = await PageSocket.open(self.handshake)
        self.lost.clear()
        self._reader = asyncio.create_task(self._read(self._socket))
        self._reader.add_done_callback(self._finished)

    async def close(self) -> None:
        """Close the WebSocket and stop; what work beside it failed with is in the trace."""
        try:
            if self._socket is not None:
                await self._socket.close()
        finally:
            tasks = [*self._tasks, *([self._reader] if self._reader else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def lose(self, loss: Loss = Loss.RESET) -> None:
        """End the WebSocket abruptly."""
        if self._socket is not None:
            self._socket.lose(loss)

    @property
    def socket(self) -> PageSocket:
        """The current WebSocket."""
        if self._socket is None:
            raise RuntimeError("not connected")
        return self._socket

    @property
    def contact_uri(self) -> str:
        """The page's unroutable Contact URI (RFC 7118 §5.2)."""
        return f"sip:{self._user}@{self._host};transport=ws"

    @property
    def contact(self) -> str:
        """Contact value of calls."""
        return f"<{self.call_contact or f'{self.contact_uri};ob'}>"

    def new_via(self) -> str:
        """Return a Via with a fresh branch; a page always speaks WSS, whoever ends the TLS."""
        return f"SIP/2.0/WSS {self._host};branch={new_branch()}"

    async def send(self, message: SipRequest | SipResponse) -> None:
        """Send and record."""
        self.trace.record(Direction.SENT, message)
        data = message_to_bytes(message)
        try:
            await self.socket.send(data.decode())
        except UnicodeDecodeError:  # RFC 7118 §4.2
            await self.socket.send(data)

    async def send_raw(self, data: str | bytes) -> None:
        """Send a frame that need not be SIP; it is not recorded."""
        await self.socket.send(data)

    @property
    def has_credentials(self) -> bool:
        """Whether the page can answer a digest challenge."""
        return self.identity.credentials is not None

    def authorize(self, request: SipRequest, response: SipResponse) -> tuple[str, str]:
        """Return the credentials field that answers a 401 or 407."""
        if self.identity.credentials is None:
            raise RuntimeError(f"{response.status} for a page without credentials")
        challenge = page_challenge(response)
        value = authorization(challenge, self.identity.credentials, request.method, request.request_uri)
        return CHALLENGES[response.status][1], value

    async def register(
        self, *, expires_s: int = 600, headers: Pairs = (), timeout_s: float = DEFAULT_WAIT_S
    ) -> SipResponse:
        """Register, answering challenges, and return the last response (any status).

        `headers` go on every attempt, as "Authorization: Bearer ...".
        """
        extra: list[tuple[str, str]] = []
        for _ in range(MAX_CHALLENGES + 1):
            request = self._register_request(expires_s, [*headers, *extra])
            await self.send(request)
            response = await self.trace.wait_response(
                FINAL, "REGISTER", call_id=request.call_id, cseq=request.cseq.number, timeout_s=timeout_s
            )
            if response.status not in CHALLENGES or self.identity.credentials is None:
                break
            extra = [self.authorize(request, response)]
        return response

    async def unregister(self, *, headers: Pairs = ()) -> SipResponse:
        """Remove the registration."""
        return await self.register(expires_s=0, headers=headers)

    async def invite(
        self,
        target: str,
        sdp: str,
        *,
        plan: CallPlan | None = None,
        headers: Pairs = (),
        media: PageMedia | None = None,
        parts: Iterable[Part] = (),
        supported: str = "100rel, outbound",
        allow: str = ALLOW,
        call_id: str = "",
        to: str = "",
    ) -> OutgoingCall:
        """Send an INVITE and return the call.

        Args:
            target: Request-URI.
            sdp: the offer; "" for none.
            plan: what the page does on its own; everything, unless given.
            media: the media side; text made from `sdp` unless given.
            parts: further parts of the body.
            supported: option tags; "" leaves the field out.
            allow: joined Allow; "" leaves the field out.
            call_id: "" draws one.
            to: To; "" for the Request-URI.
        """
        fields = [
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", f"<{self.identity.aor}>;tag={new_tag()}"),
            ("To", f"<{to or target}>"),
            ("Call-ID", call_id or secrets.token_hex(12)),
            ("CSeq", str(CSeq(1, "INVITE"))),
            ("Contact", self.contact),
            *([("Supported", supported)] if supported else []),
            *([("Allow", allow)] if allow else []),
            *headers,
        ]
        invite = SipRequest("INVITE", target, headers=Headers(fields)).set_body(sdp)
        if parts:
            invite.add_parts(*parts)
        call = OutgoingCall(self, invite, plan or CallPlan(), media or TextMedia(sdp))
        self.calls[call.call_id] = call
        await call.start()
        return call

    async def wait_incoming(self, timeout_s: float = DEFAULT_WAIT_S) -> IncomingCall:
        """Return the next call the gateway delivers; nothing but 100 has been answered."""
        return await asyncio.wait_for(self._incoming.get(), timeout_s)

    async def request(self, method: str, target: str, *, headers: Pairs = (), body: str = "") -> SipResponse:
        """Send a request outside any dialog (MESSAGE, OPTIONS, SUBSCRIBE) and return the final response."""
        request = await self.send_request(method, target, headers=headers, body=body)
        return await self.trace.wait_response(FINAL, method, call_id=request.call_id)

    async def send_request(
        self, method: str, target: str, *, headers: Pairs = (), body: str = ""
    ) -> SipRequest:
        """Send a request outside any dialog and return it."""
        fields = [
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", f"<{self.identity.aor}>;tag={new_tag()}"),
            ("To", f"<{target}>"),
            ("Call-ID", secrets.token_hex(12)),
            ("CSeq", str(CSeq(1, method))),
            ("Contact", self.contact),
            *headers,
        ]
        request = SipRequest(method, target, headers=Headers(fields), body=body)
        await self.send(request)
        return request

    async def request_inside(
        self, began: SipRequest, answer: SipResponse, method: str, *, cseq: int, headers: Pairs = ()
    ) -> SipResponse:
        """Send a request inside the dialog that ``began`` and its answer made; return the final response."""
        fields = [
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", began.headers.get("From") or ""),
            ("To", answer.headers.get("To") or ""),
            ("Call-ID", began.call_id),
            ("CSeq", str(CSeq(cseq, method))),
            ("Contact", self.contact),
            *headers,
        ]
        await self.send(SipRequest(method, answer.contact_uri or "", headers=Headers(fields)))
        return await self.trace.wait_response(FINAL, method, call_id=began.call_id, cseq=cseq)

    def _register_request(self, expires_s: int, headers: Pairs) -> SipRequest:
        own = self._registration
        own.cseq += 1
        uri = sip_uri_from_text(self.identity.aor)
        contact = (
            f"<{self.contact_uri};ob>;reg-id={self.identity.reg_id}"
            f';+sip.instance="<{self.identity.instance}>";expires={expires_s}'
            ';+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"'
            + "".join(f";{tag}" for tag in self.identity.feature_tags)
        )
        fields = [
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", f"<{self.identity.aor}>;tag={own.tag}"),
            ("To", f"<{self.identity.aor}>"),
            ("Call-ID", own.call_id),
            ("CSeq", str(CSeq(own.cseq, "REGISTER"))),
            ("Contact", contact),
            ("Expires", str(expires_s)),
            ("Supported", "outbound, path, gruu"),
            ("Allow", ALLOW),
            *headers,
        ]
        return SipRequest("REGISTER", f"{uri.scheme}:{uri.host}", headers=Headers(fields))

    async def _read(self, page_socket: PageSocket) -> None:
        while (data := await page_socket.receive()) is not None:
            if not data.strip():  # CRLF keep-alive (RFC 5626 §4.4.1)
                continue
            try:
                message = message_from_bytes(data)
            except ValueError as error:
                self.trace.fail(error)
                return
            self.trace.record(Direction.RECEIVED, message)
            self._dispatch(message)
        self.lost.set()

    def _dispatch(self, message: SipRequest | SipResponse) -> None:
        call = self.calls.get(message.call_id)
        if isinstance(message, SipResponse):
            if call is not None:
                self._spawn(call.response_received(message))
        elif call is not None:
            self._spawn(call.request_received(message))
        elif message.method == "INVITE" and message.to_tag is None:
            incoming = IncomingCall(self, message, self.plan, self.incoming_media(message))
            self.calls[message.call_id] = incoming
            if self.plan.trying:
                self._spawn(incoming.respond(100))
            self._incoming.put_nowait(incoming)
        elif message.method != "ACK":
            status = 481 if message.to_tag and message.call_id not in self.dialogs else 200
            self._spawn(self.send(response_to(message, status, to_tag=new_tag())))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.trace.fail(error)
