"""A stand-in for the relay's control port, as fast as Python can be: answers, counts, and loses on purpose.

As rtpengine does, it carries a command out once for each cookie and answers a cookie it knows with the same reply. It
never sleeps: a core is its own, so that it is not what is measured.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from rtpengine.ng.commands import Command, command_to_bytes
from rtpengine.pool import NodeAddress

HOST: Final = "127.0.0.1"
_REPORT: Final = b"report"
_COMMANDS: Final = (b"7:command", b'"command": ')
"""What stands before a command's name, in bencode and in JSON."""
_KEY_BYTES: Final = 6
"""So much of the name tells it from the others of a call."""
_RECEIVE_BUFFER_BYTES: Final = 8 << 20
_LARGEST: Final = 65_507
_REPORT_S: Final = 5.0


@dataclass(frozen=True)
class StubReport:
    """What the stub saw since the last report."""

    executed: int
    """Commands carried out: different cookies."""
    repeated: int
    """Commands that came again and got the reply they had got before."""
    lost_commands: int
    lost_replies: int


def key_of(command: Command[Any]) -> bytes:
    """Return what the stub knows a command by."""
    return _key(command_to_bytes(command))


def _key(datagram: bytes) -> bytes:
    for before in _COMMANDS:
        _, found, name = datagram.partition(before)
        if found:
            return name[:_KEY_BYTES]
    raise ValueError("this is no command")


class Stub:
    """A running stub."""

    def __init__(self, port: int) -> None:
        self.address = NodeAddress(HOST, port)

    def report(self) -> StubReport:
        """Read all counters and set them back."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_REPORT_S)
            asking.sendto(_REPORT, (self.address.host, self.address.port))
            return StubReport(**json.loads(asking.recv(_LARGEST)))


@contextmanager
def running_stub(replies: Mapping[bytes, bytes], loss: float = 0.0, seed: int = 5) -> Iterator[Stub]:
    """Run a stub in a process of its own; `replies` by `key_of`, `loss` is the share lost in each direction."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=_run, args=(there, dict(replies), loss, seed), daemon=True)
    process.start()
    try:
        yield Stub(here.recv())
    finally:
        process.terminate()
        process.join()


def _run(parent: Connection, replies: Mapping[bytes, bytes], loss: float, seed: int) -> None:
    chance = random.Random(seed).random
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        control.setblocking(False)
        control.bind((HOST, 0))
        parent.send(control.getsockname()[1])
        _serve(control, replies, (lambda: chance() < loss) if loss else (lambda: False))


def _serve(control: socket.socket, replies: Mapping[bytes, bytes], lost: Callable[[], bool]) -> None:
    receive, send = control.recvfrom, control.sendto
    given: dict[bytes, bytes] = {}
    repeated = lost_commands = lost_replies = 0
    while True:
        try:
            datagram, peer = receive(_LARGEST)
        except BlockingIOError:
            continue
        cookie, space, _ = datagram.partition(b" ")
        if not space:
            report = StubReport(len(given), repeated, lost_commands, lost_replies)
            send(json.dumps(asdict(report)).encode(), peer)
            given.clear()
            repeated = lost_commands = lost_replies = 0
            continue
        if lost():
            lost_commands += 1
            continue
        reply = given.get(cookie)
        if reply is None:
            reply = given[cookie] = replies[_key(datagram)]
        else:
            repeated += 1
        if lost():
            lost_replies += 1
            continue
        send(cookie + b" " + reply, peer)
