"""Pages that place whole calls: over SIP, and over Janus' own protocol.

Knows what a page says and when. Must not know rates, or what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import Any, Final, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.bench.full_call.media import HOST, PageMedia
from tests.bench.full_call.phone import uri_user
from tests.bench.generator import LoadConnection, LoadOrder
from tests.bench.load_call import LoadCall
from tests.bench.media_load.web_leg import UFRAG, fingerprint
from tests.peers.sdp import answer_to, page_offer

_PATIENCE_S: Final = 10.0
_OFFERED_PORT: Final = 43158
_OFFERED_SSRC: Final = "2238466194"
_OFFERED_UFRAG: Final = "8mon"
_OFFERED_PASSWORD: Final = "wA4CQ24PYRqosPb0v1SRgedx"
_OFFERED_ADDRESS: Final = "192.0.2.2"


class CallFailedError(RuntimeError):
    """The call was refused, or nobody answered."""


class Page(Protocol):
    """A page that is connected and, where it must be, registered; one call at a time."""

    host: str
    """Address of its media."""

    async def call(self, number: int, media: PageMedia) -> None:
        """Return when the callee has answered; raises CallFailedError."""

    async def hang_up(self) -> None:
        """Return when the other end knows; raises CallFailedError."""

    async def close(self) -> None:
        """Leave."""


@dataclass(frozen=True)
class Kind:
    """What a page offers by SIP."""

    direction: str
    supported: str
    allow: str = "INVITE,ACK,CANCEL,BYE,PRACK,UPDATE,INFO"


UPDATE: Final = Kind("sendonly", "100rel, outbound")
TWO_WAY: Final = Kind("sendrecv", "100rel, outbound")
CLASSIC: Final = Kind("sendrecv", "outbound", "INVITE,ACK,CANCEL,BYE,INFO")


def own_offer(direction: str, media: PageMedia) -> str:
    """Return Chromium's offer of audio with this call's transport."""
    return _with_transport(page_offer(audio=direction), media)


_answers: Final[dict[tuple[str, str], str]] = {}


def own_answer(offer: str, direction: str, first_answer: str, media: PageMedia) -> str:
    """Answer the gateway's offer.  The lines are the same in all calls, so that they are made once."""
    role = "passive" if "a=setup:passive" in first_answer else "active"
    key = (direction, role)
    if key not in _answers:
        _answers[key] = answer_to(offer, page_offer(audio=direction), first_answer=first_answer)
    return _with_transport(_answers[key], media)


_FINGERPRINT_OF_OFFER: Final = next(
    line for line in page_offer().splitlines() if line.startswith("a=fingerprint:")
)


def _with_transport(sdp: str, media: PageMedia) -> str:
    leg = media.leg
    for old, new in (
        (_FINGERPRINT_OF_OFFER, f"a=fingerprint:sha-256 {fingerprint()}"),
        (f" {_OFFERED_PORT} ", f" {leg.port} "),
        (_OFFERED_SSRC, str(leg.ssrc)),
        (f"a=ice-ufrag:{_OFFERED_UFRAG}", f"a=ice-ufrag:{UFRAG}"),
        (_OFFERED_PASSWORD, leg.password),
        (_OFFERED_ADDRESS, leg.host),
    ):
        sdp = sdp.replace(old, new)
    return sdp


class FullCall(LoadCall):
    """A SIP call whose descriptions are those of its media, and which lasts until `hang_up`."""

    def __init__(
        self, connection: LoadConnection, realm: str, number: int, kind: Kind, media: PageMedia
    ) -> None:
        loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        super().__init__(
            connection.host,
            connection.user,
            connection.send,
            self._over,
            realm=realm,
            target=f"sip:{uri_user(number)}@{realm}",
        )
        self._kind, self._media = kind, media
        self._offer = own_offer(kind.direction, media)
        self._first_answer = ""
        self._final = ""

    def start(self) -> None:
        """Send the INVITE."""
        self._invite_via = self._via()
        self.times.invite_at_s = time.monotonic()
        headers = (
            f"Supported: {self._kind.supported}\r\nAllow: {self._kind.allow}\r\n"
            f"Contact: <sip:{self._user}@{self._host};transport=ws;ob>\r\n"
        )
        self._request(
            "INVITE", self._target, f"<{self._target}>", 1, headers, self._offer, via=self._invite_via
        )

    def received(self, message: str, read_at_s: float) -> None:
        """Answer the gateway's offer; all else as ever."""
        if message.startswith("UPDATE "):
            offer = message.partition("\r\n\r\n")[2]
            answer = own_answer(offer, self._kind.direction, self._first_answer, self._media) if offer else ""
            self._answer(message, answer)
        else:
            super().received(message, read_at_s)

    def hang_up(self) -> None:
        """Send BYE."""
        self._in_dialog("BYE", self._final, self._to(self._final))

    def _invite_response(self, message: str, status: int, read_at_s: float) -> None:
        sdp = message.partition("\r\n\r\n")[2]
        if sdp and status < 300 and not self._media.leg.has_begun:
            self._first_answer = sdp
            self._media.begin(sdp)
        if not 200 <= status < 300:
            super()._invite_response(message, status, read_at_s)
            return
        self._in_dialog("ACK", message, self._to(message))
        if not self._final:
            self._final, self.times.answered_at_s = message, read_at_s
            if not self.answered.done():
                self.answered.set_result(None)

    @staticmethod
    def _to(message: str) -> str:
        return message.partition("\r\nTo: ")[2].partition("\r\n")[0]

    def _over(self, _call: LoadCall, failure: str | None) -> None:
        waited = self.ended if self.answered.done() else self.answered
        if waited.done():
            return
        if failure is None:
            waited.set_result(None)
        else:
            waited.set_exception(CallFailedError(failure))


class SipPage:
    """A page on a SIP WebSocket."""

    def __init__(self, connection: LoadConnection, realm: str, kind: Kind) -> None:
        self.host = HOST
        self._connection, self._realm, self._kind = connection, realm, kind
        self._current: FullCall | None = None

    async def call(self, number: int, media: PageMedia) -> None:
        """Invite, and wait for the 200."""
        call = self._current = FullCall(self._connection, self._realm, number, self._kind, media)
        self._connection.calls[call.call_id] = call
        call.start()
        await asyncio.wait_for(call.answered, _PATIENCE_S)

    async def hang_up(self) -> None:
        """Send BYE, and wait for its 200."""
        call = self._current
        assert call is not None
        call.hang_up()
        try:
            await asyncio.wait_for(call.ended, _PATIENCE_S)
        finally:
            self._connection.calls.pop(call.call_id, None)

    async def close(self) -> None:
        """Close the socket."""
        self._connection.transport.close()


async def sip_page(order: LoadOrder, number: int, kind: Kind, tls: ssl.SSLContext | None) -> SipPage:
    """Connect, and register where the order says so."""
    connection = LoadConnection(order, number)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: connection, order.host, order.port, ssl=tls)
    await connection.upgraded
    if order.register:
        await connection.register()
    return SipPage(connection, order.realm, kind)


class JanusPage:
    """A page with a session and a handle of Janus' SIP plugin."""

    _users: Final = itertools.count(1)

    def __init__(self, socket: ClientConnection, host: str, phone_port: int) -> None:
        self.host = host
        self._socket, self._phone_port = socket, phone_port
        self._ids: dict[str, int] = {}
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._events: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def open(self) -> None:
        """Get a handle, as a guest: no registrar is part of what is measured."""
        self._ids["session_id"] = (await self._ask({"janus": "create"}))["data"]["id"]
        attached = await self._ask({"janus": "attach", "plugin": "janus.plugin.sip"})
        self._ids["handle_id"] = attached["data"]["id"]
        user = f"sip:page{next(self._users)}@{HOST}"
        await self._message({"request": "register", "type": "guest", "username": user})
        await self._event("registered")

    async def call(self, number: int, media: PageMedia) -> None:
        """Call, and wait for the answer."""
        while not self._events.empty():
            self._events.get_nowait()
        uri = f"sip:{uri_user(number)}@{HOST}:{self._phone_port}"
        offer = {"type": "offer", "sdp": own_offer("sendrecv", media)}
        await self._message({"request": "call", "uri": uri}, offer)
        event = await self._event("accepted", "progress")
        media.begin(event["jsep"]["sdp"])

    async def hang_up(self) -> None:
        """Hang up, and wait until the handle is free."""
        await self._message({"request": "hangup"})
        await self._event("janus hangup")

    async def close(self) -> None:
        """Close the socket."""
        self._reading.cancel()
        await self._socket.close()

    async def _message(self, body: dict[str, Any], jsep: dict[str, str] | None = None) -> None:
        message: dict[str, Any] = {"janus": "message", "body": body}
        await self._ask(message if jsep is None else {**message, "jsep": jsep})

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        transaction = secrets.token_hex(6)
        self._replies[transaction] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({**message, **self._ids, "transaction": transaction}))
        reply = await asyncio.wait_for(self._replies[transaction], _PATIENCE_S)
        if reply["janus"] == "error":
            raise CallFailedError(str(reply["error"]))
        return reply

    async def _event(self, *names: str) -> dict[str, Any]:
        while True:
            name, event = await asyncio.wait_for(self._events.get(), _PATIENCE_S)
            if name in names:
                return event
            if name == "error" or (name == "janus hangup" and "janus hangup" not in names):
                raise CallFailedError(str(event.get("plugindata", event))[:200])

    async def _read(self) -> None:
        async for text in self._socket:
            message: dict[str, Any] = json.loads(text)
            kind, transaction = message["janus"], message.get("transaction", "")
            if kind in ("success", "ack", "error") and transaction in self._replies:
                self._replies.pop(transaction).set_result(message)
            elif kind == "event":
                data = message["plugindata"]["data"]
                name = "error" if "error" in data else data.get("result", {}).get("event", "")
                self._events.put_nowait((name, message))
            elif kind == "hangup":
                self._events.put_nowait(("janus hangup", message))


async def janus_page(port: int, host: str, phone_port: int) -> JanusPage:
    """Connect to Janus."""
    url, protocol = f"ws://{HOST}:{port}", Subprotocol("janus-protocol")
    socket = await connect(url, subprotocols=[protocol], compression=None, ping_interval=None)
    page = JanusPage(socket, host, phone_port)
    await page.open()
    return page
