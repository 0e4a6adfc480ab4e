"""A core that may be gone, or stand still.

Knows its socket.  Must not know what is said over it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tests.faults.lines import FarEnd
from tests.peers.core import ScriptedCore
from tests.peers.udp import Address


class _Nowhere:
    """In the place of a closed socket: what is sent there is lost."""

    def __init__(self, sockname: Address) -> None:
        self._sockname = sockname

    def sendto(self, data: bytes, addr: Address) -> None:
        """Lose it."""

    def get_extra_info(self, name: str) -> Any:
        """Return the address that it had."""
        return self._sockname if name == "sockname" else None

    def close(self) -> None:
        """Nothing is open."""


class FaultyCore(ScriptedCore):
    """The proxies of the core end and come back, or are stopped; devices behind them live on."""

    def __init__(self, host: str, port: int, network: FarEnd | None = None) -> None:
        """`network`: where it is, None for this process' own."""
        super().__init__(host, port)
        self._network = network
        self._backlog: list[tuple[bytes, Address]] | None = None

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind, in the network where the core is."""
        if self._network is None:
            await super().open(host, port)
            return
        made = self._network.socket(socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((host, port))
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=made)

    def kill(self) -> None:
        """Nobody listens any more: the system says so to whoever sends."""
        sockname = self.address
        self.transport.close()
        self._transport = _Nowhere(sockname)  # type: ignore[assignment]  # all that is asked of it

    async def start_again(self) -> None:
        """Listen on the same port."""
        await self.open(*self._bind)

    def stop(self) -> None:
        """Read nothing from now on."""
        self._backlog = []

    def go_on(self) -> None:
        """Read what has come meanwhile."""
        backlog, self._backlog = self._backlog or [], None
        for data, addr in backlog:
            self.datagram_received(data, addr)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Read, or leave it in the queue."""
        if self._backlog is not None:
            self._backlog.append((data, addr))
        else:
            super().datagram_received(data, addr)
