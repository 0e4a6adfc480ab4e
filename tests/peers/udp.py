"""SIP over one UDP socket: transactions, but no meaning.

Knows retransmission both ways (RFC 3261 §17) and the trace. Must not know what a call is.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Coroutine
from typing import Any, Final, cast

from tests.peers.sip import (
    SipRequest,
    SipResponse,
    message_from_bytes,
    message_to_bytes,
    new_branch,
)
from tests.peers.trace import DEFAULT_WAIT_S, Direction, Trace

T1_S: Final = 0.5
T2_S: Final = 4.0
_RECEIVE_BUFFER_BYTES: Final = 4 << 20

Address = tuple[str, int]


class UdpPeer(asyncio.DatagramProtocol):
    """Base of a UDP peer; subclasses say what a request means."""

    def __init__(self, name: str) -> None:
        self.trace = Trace(name)
        self._transport: asyncio.DatagramTransport | None = None
        self._answered: dict[tuple[str, str], bytes | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind; port 0 lets the system choose."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        except OSError:
            gc.collect()  # a peer that nobody closed is a circle, and has the port until then
            await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))

    async def close(self) -> None:
        """Stop all work and close the socket; what the work failed with is in the trace."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self.transport.close()
        await asyncio.sleep(0)  # the loop gives the port back in its next round

    @property
    def transport(self) -> asyncio.DatagramTransport:
        """The socket."""
        if self._transport is None:
            raise RuntimeError(f"{self.trace.name} is not open")
        return self._transport

    @property
    def address(self) -> Address:
        """Where the peer listens."""
        host, port = self.transport.get_extra_info("sockname")[:2]
        return host, port

    @property
    def host_port(self) -> str:
        """The address as in a SIP URI."""
        return f"{self.address[0]}:{self.address[1]}"

    def new_via(self) -> str:
        """Return a Via with a fresh branch."""
        return f"SIP/2.0/UDP {self.host_port};branch={new_branch()};rport"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, with room for bursts: a page over WebSocket sends a 2xx only once."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own class is no subclass
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Record and hand on; a retransmitted request gets the same response again."""
        if not data.strip():
            return
        try:
            message = message_from_bytes(data)
        except ValueError as error:
            self.trace.fail(error)
            return
        self.trace.record(Direction.RECEIVED, message)
        if isinstance(message, SipResponse):
            self.response_received(message, addr)
            return
        key = (message.via_branch, message.method)
        if message.method != "ACK" and key in self._answered:
            again = self._answered[key]
            if again is not None:
                self.transport.sendto(again, addr)
            return
        self._answered[key] = None
        self.request_received(message, addr)

    def request_received(self, request: SipRequest, source: Address) -> None:
        """Act on a request seen for the first time."""
        raise NotImplementedError

    def response_received(self, response: SipResponse, source: Address) -> None:
        """Act on a response; waiting for finals goes through the trace."""

    def send(self, message: SipRequest | SipResponse, destination: Address) -> None:
        """Send and record; the last response to a request is kept for its retransmissions."""
        data = message_to_bytes(message)
        if isinstance(message, SipResponse):
            self._answered[(message.via_branch, message.cseq.method)] = data
        self.trace.record(Direction.SENT, message)
        self.transport.sendto(data, destination)

    async def ask(
        self, request: SipRequest, destination: Address, *, timeout_s: float = DEFAULT_WAIT_S
    ) -> SipResponse:
        """Send a request, retransmit it (timers A and E), and return the final response."""
        self.send(request, destination)
        answer = asyncio.ensure_future(
            self.trace.wait_response(
                range(200, 700),
                request.method,
                call_id=request.call_id,
                cseq=request.cseq.number,
                timeout_s=timeout_s,
            )
        )
        repeat = asyncio.create_task(self._repeat(request, destination))
        try:
            return await answer
        finally:
            repeat.cancel()

    async def _repeat(self, request: SipRequest, destination: Address) -> None:
        interval_s = T1_S
        deadline = time.monotonic() + 64 * T1_S
        while time.monotonic() < deadline:
            await asyncio.sleep(interval_s)
            entries = self.trace.of_call(request.call_id)
            heard = any(
                isinstance(e.message, SipResponse)
                and (e.message.via_branch, e.message.cseq.method) == (request.via_branch, request.method)
                for e in entries
            )
            if heard and request.method == "INVITE":
                return
            self.send(request, destination)
            interval_s = min(2 * interval_s, T2_S)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work beside the socket; its failure fails every wait on the trace."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.trace.fail(error)
