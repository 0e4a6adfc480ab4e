"""What stands at the other end of a peer under test: a hand-played WebSocket edge and UDP edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.peers.sip import SipRequest, SipResponse, message_from_bytes, message_to_text
from tests.peers.trace import Trace
from tests.peers.udp import Address, UdpPeer


class WebSocketEdge:
    """A gateway played by the test: messages come out of `next`, go in by `send`."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[SipRequest | SipResponse] = asyncio.Queue()
        self.connections: list[ServerConnection] = []
        self.ended = asyncio.Event()
        self.url = ""

    async def serve(self, connection: ServerConnection) -> None:
        """Take one page's connection."""
        self.connections.append(connection)
        async for frame in connection:
            data = frame.encode() if isinstance(frame, str) else frame
            if data.strip():  # else a keep-alive
                self.messages.put_nowait(message_from_bytes(data))

    async def next_request(self, method: str) -> SipRequest:
        """Return the next message, which has to be this request."""
        message = await asyncio.wait_for(self.messages.get(), 2)
        assert isinstance(message, SipRequest), message.start_line
        assert message.method == method, message.start_line
        return message

    async def next_response(self, status: int) -> SipResponse:
        """Return the next message, which has to be a response of this status."""
        message = await asyncio.wait_for(self.messages.get(), 2)
        assert isinstance(message, SipResponse), message.start_line
        assert message.status == status, message.start_line
        return message

    async def send(self, message: SipRequest | SipResponse) -> None:
        """Send to the page that connected last."""
        await self.connections[-1].send(message_to_text(message))

    async def until_lost(self) -> None:
        """Wait for the end of the newest connection."""
        await asyncio.wait_for(self.connections[-1].wait_closed(), 2)


@asynccontextmanager
async def websocket_edge() -> AsyncIterator[WebSocketEdge]:
    """Serve on a free port of loopback."""
    edge = WebSocketEdge()
    async with serve(edge.serve, "127.0.0.1", 0, subprotocols=[Subprotocol("sip")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        edge.url = f"ws://127.0.0.1:{port}/sip"
        yield edge


class UdpEdge(UdpPeer):
    """A gateway played by the test on UDP; requests it receives come out of `requests`."""

    def __init__(self) -> None:
        super().__init__("edge")
        self.requests: asyncio.Queue[tuple[SipRequest, Address]] = asyncio.Queue()

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Hand the request to the test."""
        self.requests.put_nowait((request, source))

    async def next_request(self, method: str) -> tuple[SipRequest, Address]:
        """Return the next request, which has to be of this method."""
        request, source = await asyncio.wait_for(self.requests.get(), 3)
        assert request.method == method, request.start_line
        return request, source


@asynccontextmanager
async def udp_edge() -> AsyncIterator[UdpEdge]:
    """Listen on a free port of loopback."""
    edge = UdpEdge()
    await edge.open()
    try:
        yield edge
    finally:
        await edge.close()


def labels(trace: Trace) -> list[str]:
    """Return the ladder without SDP marks."""
    return [label.removesuffix(" (SDP)") for label in trace.ladder()]
