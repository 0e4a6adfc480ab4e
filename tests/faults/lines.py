"""Networks of their own for page, core, relay node and Redis, each behind a line that may be slow and lose packets.

Knows namespaces.  Must not know what is said over the lines.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.delay_line import DelayLine, delay_line

_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class FarEnd:
    """The namespace behind a line; the process `keeper` keeps it."""

    line: DelayLine
    keeper: int

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs there."""
        return ["nsenter", f"--net=/proc/{self.keeper}/ns/net", *argv]

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """Make a socket there; it stays there, whoever uses it."""
        with _inside(self.keeper):
            return socket.socket(socket.AF_INET, kind)


@dataclass(frozen=True)
class FarEnds:
    """Who is behind a line of their own."""

    page: FarEnd
    core: FarEnd
    relay: FarEnd
    redis: FarEnd


@contextmanager
def far_ends() -> Iterator[FarEnds]:
    """Make the four networks.

    Raises:
        NoDelayLineError: this machine or this user cannot have them.
    """
    with ExitStack() as stack:
        yield FarEnds(*(stack.enter_context(_far_end()) for _ in range(4)))


@contextmanager
def _far_end() -> Iterator[FarEnd]:
    with delay_line(0.0) as line:
        keeper = subprocess.Popen(line.program(["sleep", "infinity"]))
        try:
            line.attach(keeper.pid)
            yield FarEnd(line, keeper.pid)
        finally:
            keeper.kill()
            keeper.wait()


@contextmanager
def _inside(pid: int) -> Iterator[None]:
    """Put this thread into a process' network namespace until the block ends."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)
        os.close(there)


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
