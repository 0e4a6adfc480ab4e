"""A gateway that a test plays by hand: one origin with the web service's pages and SIP over WebSocket.

Knows SIP messages and the ladder they make. Must not know media: session descriptions are texts here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from flask import Flask
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.peers.digest import Challenge, Credentials, challenge_to_text, is_authorized
from tests.peers.sip import (
    Headers as SipHeaders,
)
from tests.peers.sip import (
    SipRequest,
    SipResponse,
    message_from_text,
    message_to_text,
    new_branch,
    new_tag,
    response_to,
)
from webapp_api.settings import SIP_PATH

PATIENCE_S: Final = 15.0
"""How long the page may take for its next message; generous, a slow machine must not fail a test."""
CONTACT: Final = ("Contact", "<sip:gateway@198.51.100.1;transport=ws>")


class UnexpectedMessageError(AssertionError):
    """The page sent something else than the script says."""


@dataclass
class Link:
    """The page's connection."""

    connection: ServerConnection
    received: asyncio.Queue[SipRequest | SipResponse] = field(default_factory=asyncio.Queue)


class ScriptedGateway:
    """Pages and SIP on one origin; the test says what comes next."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.ladder: list[str] = []
        """What went over the wire, in order: "> INVITE" from the page, "< 183 INVITE" to it."""
        self.accepts = True
        """False: the WebSocket handshake is refused, as by a front whose gateway is down."""
        self.connections = 0
        """How often the page connected."""
        self.register_contact = ""
        """Contact of the page's last REGISTER."""
        self._last_responses: dict[str, SipResponse] = {}
        self._last_requests: dict[str, SipRequest] = {}
        self._port = port
        self._link: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def serving(self, app: Flask) -> AsyncIterator[ScriptedGateway]:
        """Serve pages of `app` and SIP until the block ends."""

        def page(connection: ServerConnection, request: Request) -> Response | None:
            if request.path == SIP_PATH:
                return None if self.accepts else connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
            answer = app.test_client().get(request.path)
            fields = Headers([*answer.headers.items(), ("Connection", "close")])
            return Response(answer.status_code, answer.status, fields, answer.data)

        subprotocols = [Subprotocol("sip")]
        async with serve(
            self._talk,
            "127.0.0.1",
            self._port,
            process_request=page,
            subprotocols=subprotocols,
            max_size=None,
        ):
            yield self

    async def receive(self, expected: str) -> SipRequest | SipResponse:
        """Take the page's next message, which is a request "METHOD" or a response "STATUS METHOD"."""
        return (await self._receive(expected))[1]

    async def receive_any(self, *expected: str) -> str:
        """Take the page's next message, which is one of these; its name."""
        return (await self._receive(*expected))[0]

    async def _receive(self, *expected: str) -> tuple[str, SipRequest | SipResponse]:
        link = await asyncio.wait_for(asyncio.shield(self._link), PATIENCE_S)
        message = await asyncio.wait_for(link.received.get(), PATIENCE_S)
        if (name := _name(message)) not in expected:
            wanted = " or ".join(expected)
            raise UnexpectedMessageError(f"{name} came instead of {wanted}:\n{message_to_text(message)}")
        if isinstance(message, SipResponse):
            self._last_responses[message.cseq.method] = message
        else:
            self._last_requests[message.method] = message
        return name, message

    def last_request(self, method: str) -> SipRequest:
        """The last request of this method that was taken."""
        return self._last_requests[method]

    def last_response_to(self, method: str) -> SipResponse:
        """The last response to a request of this method that was taken."""
        return self._last_responses[method]

    async def receive_request(self, method: str) -> SipRequest:
        """Take the page's next message, a request."""
        message = await self.receive(method)
        assert isinstance(message, SipRequest)
        return message

    async def receive_response(self, status: int, method: str) -> SipResponse:
        """Take the page's next message, a response."""
        message = await self.receive(f"{status} {method}")
        assert isinstance(message, SipResponse)
        return message

    async def send(self, message: SipRequest | SipResponse) -> None:
        """Send one message to the page."""
        link = await asyncio.wait_for(asyncio.shield(self._link), PATIENCE_S)
        self.ladder.append(f"< {_name(message)}")
        await link.connection.send(message_to_text(message))

    async def drop_socket(self) -> None:
        """Break the page's connection without a closing handshake."""
        (await self._parted()).connection.transport.abort()

    async def next_connection(self) -> None:
        """Wait until the page gives its connection up; what comes next comes over its next one."""
        await asyncio.wait_for((await self._parted()).connection.wait_closed(), PATIENCE_S)

    async def close_socket(self, code: int) -> None:
        """Close the page's connection with this code (RFC 6455 §7.4)."""
        await (await self._parted()).connection.close(code)

    async def register(self, credentials: Credentials, challenges: int = 1) -> None:
        """Challenge a registration `challenges` times, each time anew although the credentials are right; grant it."""
        for number in range(1, challenges + 1):
            challenge = Challenge("ims.example.com", f"nonce-{number}")
            await self._refuse(await self.receive_request("REGISTER"), challenge)
            register = await self.receive_request("REGISTER")
            assert is_authorized(register, challenge, credentials)
            if number < challenges:
                await self._refuse(register, Challenge("ims.example.com", f"other-{number}"))
        await self._grant(register)

    async def register_with_token(self, token: str) -> None:
        """Grant a registration that brings this access token (RFC 8898)."""
        register = await self.receive_request("REGISTER")
        assert register.headers.get("Authorization") == f"Bearer {token}"
        await self._grant(register)

    async def _grant(self, register: SipRequest) -> None:
        contact = register.headers.get("Contact") or ""
        self.register_contact = contact
        granted = contact.partition(";expires=")[0] + ";expires=600"
        await self.send(response_to(register, 200, to_tag=new_tag(), headers=[("Contact", granted)]))

    async def register_again(self) -> None:
        """Grant the registration of a page that comes back, without a challenge."""
        await self._grant(await self.receive_request("REGISTER"))

    async def refuse(self, request: SipRequest, status: int) -> None:
        """Answer a request of the page that opens no dialog."""
        await self.send(response_to(request, status, to_tag=new_tag()))

    async def _parted(self) -> Link:
        """The page's link, no longer waited on: what comes next comes over its next one."""
        link = await self._link
        self._link = asyncio.get_running_loop().create_future()
        return link

    async def _refuse(self, register: SipRequest, challenge: Challenge) -> None:
        fields = [("WWW-Authenticate", challenge_to_text(challenge))]
        await self.send(response_to(register, 401, to_tag=new_tag(), headers=fields))

    async def _talk(self, connection: ServerConnection) -> None:
        link = Link(connection)
        self.connections += 1
        self._link.set_result(link)
        with contextlib.suppress(ConnectionClosed):
            async for text in connection:
                assert isinstance(text, str)
                message = message_from_text(text)
                self.ladder.append(f"> {_name(message)}")
                link.received.put_nowait(message)


class GatewayDialog:
    """The gateway's side of the dialog that an INVITE of the page opens."""

    def __init__(self, gateway: ScriptedGateway, invite: SipRequest) -> None:
        self._gateway = gateway
        self._invite = invite
        self.tag = new_tag()
        """The gateway's tag."""
        self.page_tag = invite.from_tag
        self.call_id = invite.call_id
        self._cseq = 0

    async def respond(
        self, status: int, *, sdp: str = "", headers: Iterable[tuple[str, str]] = (), rseq: int | None = None
    ) -> None:
        """Answer the INVITE; with `rseq`, reliably (RFC 3262)."""
        reliable = [] if rseq is None else [("Require", "100rel"), ("RSeq", str(rseq))]
        fields = [CONTACT, *reliable, *headers]
        await self._gateway.send(response_to(self._invite, status, to_tag=self.tag, headers=fields, sdp=sdp))

    async def request(
        self,
        method: str,
        *,
        sdp: str = "",
        headers: Iterable[tuple[str, str]] = (),
        cseq: int | None = None,
        to_tag: str | None = None,
        content_type: str = "application/sdp",
    ) -> None:
        """Send a request in the dialog; `cseq` and `to_tag` may be wrong on purpose."""
        self._cseq += 1
        page_tag = to_tag or self._invite.from_tag
        fields = [
            ("Via", f"SIP/2.0/WS 198.51.100.1;branch={new_branch()}"),
            ("Max-Forwards", "70"),
            ("From", f"{self._invite.headers.get('To')};tag={self.tag}"),
            ("To", f"<{self._invite.from_.uri}>;tag={page_tag}"),
            ("Call-ID", self._invite.call_id),
            ("CSeq", f"{self._cseq if cseq is None else cseq} {method}"),
            CONTACT,
            *headers,
        ]
        uri = self._invite.contact_uri or ""
        await self._gateway.send(
            SipRequest(method, uri, headers=SipHeaders(fields)).set_body(sdp, content_type)
        )

    async def send_request(self, method: str, *, sdp: str = "") -> None:
        """Send a request in the dialog."""
        await self.request(method, sdp=sdp)

    async def reinvite(self, *, sdp: str = "") -> SipResponse:
        """Offer in the running call, or ask for an offer; the page's 200, which is not acknowledged yet."""
        await self.request("INVITE", sdp=sdp)
        while await self._gateway.receive_any("100 INVITE", "200 INVITE") == "100 INVITE":
            pass
        return self._gateway.last_response_to("INVITE")

    async def ack(self, *, sdp: str = "") -> None:
        """Acknowledge the page's 200 to `reinvite`; with `sdp`, the answer to its offer."""
        cseq = self._cseq
        await self.request("ACK", cseq=cseq, sdp=sdp)
        self._cseq = cseq

    async def answer_request(
        self, request: SipRequest, status: int, *, sdp: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answer a request of the page in this dialog."""
        await self._gateway.send(response_to(request, status, headers=[CONTACT, *headers], sdp=sdp))

    async def acknowledge(self, method: str) -> SipRequest:
        """Take a request of the page in this dialog and answer it 200."""
        request = await self._gateway.receive_request(method)
        await self.respond_to(request)
        return request

    async def respond_to(self, request: SipRequest) -> None:
        """Answer a request of the page 200."""
        await self._gateway.send(response_to(request, 200))


def _name(message: SipRequest | SipResponse) -> str:
    if isinstance(message, SipRequest):
        return message.method
    return f"{message.status} {message.cseq.method}"
