"""Ports on loopback for one lab: blocks below the ephemeral range that no other lab can take.

A block is claimed by holding a TCP socket bound to its first port. The sockets close with the process,
so a killed lab leaves no claim behind.
"""

import socket
from collections.abc import Iterator
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

LOOPBACK: Final = "127.0.0.1"
# Below Linux' ephemeral ports (from 32768): nobody's outgoing connection can sit on ours.
FIXED_PORT: Final = 25000
# Labs with free ports stay below the fixed one's, so that tests and `make run` do not meet.
FIRST_PORT: Final = 10000
LAST_PORT: Final = FIXED_PORT
BLOCK_PORTS: Final = 100


class PortMode(StrEnum):
    """Whether a lab takes the first free blocks or always the same ports."""

    FREE = "free"
    FIXED = "fixed"


class PortsExhausted(RuntimeError):
    """Too many labs, or the fixed ports are taken."""


def _claim(port: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        claim.bind((LOOPBACK, port))
    except OSError:
        claim.close()
        return None
    return claim


def port_is_free(port: int, address: str = LOOPBACK) -> bool:
    """Tell whether both UDP and TCP can be bound."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:  # a port in TIME_WAIT is free for a server
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


class PortBlocks:
    """Consecutive blocks claimed for one lab; hands out single ports and RTP ranges."""

    def __init__(self, mode: PortMode, rtp_ports: int, service_ports: int = BLOCK_PORTS) -> None:
        self._claims: list[socket.socket] = []
        wanted = -(-service_ports // BLOCK_PORTS) + -(-rtp_ports // BLOCK_PORTS)
        first = self._claim_blocks(wanted, mode)
        self._services = iter(range(first + 1, first + service_ports))
        rtp_first = first + -(-service_ports // BLOCK_PORTS) * BLOCK_PORTS
        self._next_rtp = rtp_first
        self._rtp_end = rtp_first + rtp_ports

    def _claim_blocks(self, count: int, mode: PortMode) -> int:
        """Claim that many blocks in a row; return the first port."""
        free = range(FIRST_PORT, LAST_PORT - count * BLOCK_PORTS, BLOCK_PORTS)
        starts = (FIXED_PORT,) if mode is PortMode.FIXED else free
        for start in starts:
            for block in range(count):
                claim = _claim(start + block * BLOCK_PORTS)
                if claim is None:
                    self.release()
                    break
                self._claims.append(claim)
            else:
                return start
            if mode is PortMode.FIXED:
                raise PortsExhausted(f"another program has port {start + block * BLOCK_PORTS} of {LOOPBACK}")
        raise PortsExhausted(f"no {count} blocks of {BLOCK_PORTS} ports to be had")

    def _free_services(self) -> Iterator[int]:
        return (port for port in self._services if port_is_free(port))

    def port(self) -> int:
        """Hand out one port, free for TCP and UDP."""
        for port in self._free_services():
            return port
        raise PortsExhausted("the block of service ports is used up")

    def fixed(self, port: int) -> int:
        """Hand out a port that everybody knows; PortsExhausted if another program has it."""
        if not port_is_free(port):
            raise PortsExhausted(f"another program has port {port} of {LOOPBACK}")
        return port

    def pair(self) -> int:
        """Hand out P where P and P+1 are free (a SIP phone listens on both)."""
        first = self.port()
        for port in self._free_services():
            if port == first + 1:
                return first
            first = port
        raise PortsExhausted("the block of service ports is used up")

    def rtp_range(self, count: int) -> tuple[int, int]:
        """Hand out (first, last) of a range of RTP ports; the first one is even."""
        first = self._next_rtp
        if first + count > self._rtp_end:
            raise PortsExhausted(f"{count} RTP ports wanted, {self._rtp_end - first} left")
        self._next_rtp += count
        return first, first + count - 1

    def release(self) -> None:
        """Give the blocks back."""
        for claim in self._claims:
            claim.close()
        self._claims.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_OWN: list[PortBlocks] = []


def own_port() -> int:
    """Return a port that stays this process's until it ends: test sessions side by side do not take each other's."""
    if not _OWN:
        _OWN.append(PortBlocks(PortMode.FREE, rtp_ports=0))
    return _OWN[0].port()
