"""Lets programs that speak SIP over UDP only, as scanners do, speak with a WebSocket: each datagram is one message.

Knows datagrams and WebSockets.  Must not know SIP.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Final, Self

from websockets.exceptions import InvalidHandshake

from tests.peers.websocket import Handshake, PageSocket

_MOST_CONNECTIONS: Final = 50


class WebSocketBridge(asyncio.DatagramProtocol):
    """One program's way to the gateway; it connects again whenever the gateway ends its connection."""

    def __init__(self, handshake: Handshake, host: str) -> None:
        """``host``: where datagrams are taken."""
        self._handshake = handshake
        self._host = host
        self._datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self._peer: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._work: asyncio.Task[None] | None = None
        self.passed = 0
        """Messages that went to the gateway."""
        self.answers: list[bytes] = []
        self.connections = 0
        self.refused = 0
        """Connections that were not let in."""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._host, 0))
        self._work = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._work is not None
        self._work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._work
        if self._transport is not None:
            self._transport.close()

    @property
    def port(self) -> int:
        """Where datagrams are taken."""
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Something of the program's."""
        self._peer = addr
        self._datagrams.put_nowait(data)

    async def _run(self) -> None:
        while self.connections + self.refused < _MOST_CONNECTIONS:
            try:
                socket = await PageSocket.open(self._handshake)
            except (OSError, EOFError, InvalidHandshake):
                self.refused += 1
                await asyncio.sleep(0.1)
                continue
            self.connections += 1
            reader = asyncio.create_task(self._read(socket))
            try:
                while not reader.done():
                    next_one = asyncio.create_task(self._datagrams.get())
                    await asyncio.wait((reader, next_one), return_when=asyncio.FIRST_COMPLETED)
                    if not next_one.done():
                        next_one.cancel()
                        break
                    await socket.send(next_one.result())
                    self.passed += 1
            finally:
                reader.cancel()
                await socket.close()

    async def _read(self, socket: PageSocket) -> None:
        while (data := await socket.receive()) is not None:
            self.answers.append(data)
            if self._transport is not None and self._peer is not None:
                self._transport.sendto(data, self._peer)
