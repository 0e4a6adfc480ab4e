"""SIP over TCP or TLS for a peer that is written for UDP: the same transactions on connections.

Knows framing by Content-Length (RFC 3261 §18.3). Must not know what a message means.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import Final

from tests.peers.sip import SipRequest, SipResponse, message_to_bytes, new_branch
from tests.peers.trace import Direction
from tests.peers.udp import Address, UdpPeer

_LENGTH: Final = re.compile(rb"^content-length[ \t]*:[ \t]*(\d+)", re.IGNORECASE | re.MULTILINE)


class StreamPeer(UdpPeer):
    """Base of a peer that speaks UDP, or with `transport` tcp or tls on connections."""

    def __init__(
        self,
        name: str,
        transport: str = "udp",
        *,
        server: ssl.SSLContext | None = None,
        client: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(name)
        self.protocol = transport
        self._server_context, self._client_context = server, client
        self._listener: asyncio.Server | None = None
        self._writers: dict[Address, asyncio.StreamWriter] = {}
        self._own: Address = ("", 0)

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen."""
        if self.protocol == "udp":
            await super().open(host, port)
            return
        self._listener = await asyncio.start_server(self._accepted, host, port, ssl=self._server_context)
        self._own = self._listener.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Stop all work and close every connection."""
        if self._listener is None:
            await super().close()
            return
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for writer in self._writers.values():
            writer.close()

    @property
    def address(self) -> Address:
        """Where the peer listens."""
        return super().address if self.protocol == "udp" else self._own

    def new_via(self) -> str:
        """Return a Via with a fresh branch."""
        return f"SIP/2.0/{self.protocol.upper()} {self.host_port};branch={new_branch()};rport"

    async def connect(self, destination: Address) -> None:
        """Open a connection; messages to this address go over it."""
        reader, writer = await asyncio.open_connection(
            *destination, ssl=self._client_context, local_addr=(self._own[0], 0)
        )
        self._writers[destination] = writer
        self.spawn(self._read(reader, destination))

    def send(self, message: SipRequest | SipResponse, destination: Address) -> None:
        """Send and record; a request only once, a connection loses nothing."""
        if self.protocol == "udp":
            super().send(message, destination)
            return
        self.trace.record(Direction.SENT, message)
        self._writers[destination].write(message_to_bytes(message))

    async def _repeat(self, request: SipRequest, destination: Address) -> None:
        if self.protocol == "udp":
            await super()._repeat(request, destination)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[:2]
        self._writers[source] = writer
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await self._read(reader, source)
        self._tasks.discard(task)

    async def _read(self, reader: asyncio.StreamReader, source: Address) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lstrip()
                if not head:
                    continue  # a keep-alive
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length.group(1))) if length else b""
                self.datagram_received(head + body, source)
