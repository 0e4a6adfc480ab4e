"""A call's set-up and end as the gateway asks for it: Chromium's offer, a far end that answers, our own sequences.

Descriptions are made once: what is measured is the client, not the reading and writing of SDP.
"""

from __future__ import annotations

import itertools
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Replies
from dataclasses import dataclass
from typing import Any, Final, cast

from kemi.core.sdp.interwork import repertoire, widened_offer
from rtpengine.ng import bencode
from rtpengine.ng.commands import Command, R
from rtpengine.ng.errors import NgError
from rtpengine.ng.protocol import NgClient
from rtpengine.ng.replies import Reply
from rtpengine.pool import NodeAddress
from rtpengine.profiles import MediaProfile, audio_profile
from rtpengine.sessions import (
    MediaSession,
    Requester,
    Reservation,
    Sequence,
    WicTransport,
    accept_reverse,
    connect,
    last_statistics,
    release_all,
    reserve,
    run,
)
from rtpengine.transport.udp import UdpClient
from tests.bench.ng.stub import key_of
from tests.contract.rtpengine.daemon import IMS_ADDRESS
from tests.contract.rtpengine.sdp import answer_to, browser_offer

VERSION: Final = (10, 5)
_PATIENCE_S: Final = 5.0
FAR_END: Final = "127.0.0.9"
_OFFER: Final = browser_offer("chromium-156-av-sendonly.sdp", "audio", "opus", "telephone-event")
_PCMA: Final = ("PCMA/8000", "telephone-event/8000")
OPUS: Final = ("opus/48000/2", "telephone-event/48000")
AMR_WB: Final = ("AMR-WB/16000", "telephone-event/16000")


def _reverse_answer(reverse_offer: str) -> str:
    """Answer as a browser does, transport aside."""
    return reverse_offer.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")


@dataclass(frozen=True)
class Cycle:
    """One kind of call, and all its descriptions."""

    transport: WicTransport
    profile: MediaProfile
    placeholder: str
    widened: str | None
    ims_answer: str
    reverse_answer: str | None
    answered: frozenset[str]

    def steps(self, call_id: str) -> Sequence[None]:
        """Reserve, connect, read the statistics and release, as the gateway does for each call."""
        session = MediaSession(call_id, "audio", _OFFER, self.transport)
        placeholder: Callable[[str], str] = lambda _: self.placeholder  # noqa: E731
        yield from reserve(session, self.profile, placeholder, reverse=True, widened_offer=self.widened)
        if self.reverse_answer is not None:
            yield from accept_reverse(session, self.profile, self.reverse_answer)
        yield from connect(
            session,
            self.profile,
            self.ims_answer,
            self.reverse_answer,
            daemon_version=VERSION,
            answered=self.answered,
        )
        yield from last_statistics([session])
        yield from release_all([session])


def learn(client: Requester, transport: WicTransport, far_end: tuple[str, ...] = AMR_WB) -> Cycle:
    """Carry one call out and keep its descriptions."""
    profile = audio_profile()
    session = MediaSession("learn", "audio", _OFFER, transport)
    assumed = OPUS if transport is WicTransport.SHARED else _PCMA
    stand_ins: list[str] = []

    def placeholder(offer: str) -> str:
        stand_ins.append(answer_to(offer, *assumed, host=IMS_ADDRESS))
        return stand_ins[-1]

    def reserved(widened: str | None) -> Reservation:
        return run(reserve(session, profile, placeholder, reverse=True, widened_offer=widened), client)

    found, widened = reserved(None), None
    if transport is WicTransport.SHARED:
        run(release_all([session]), client)
        widened = widened_offer(_OFFER, repertoire(found.relay_offer))
        found = reserved(widened)
    answer = answer_to(found.relay_offer, *far_end, host=FAR_END, port=40_000)
    run(release_all([session]), client)
    return Cycle(
        transport,
        profile,
        stand_ins[-1],
        widened,
        answer,
        None if found.reverse_offer is None else _reverse_answer(found.reverse_offer),
        frozenset(one.partition("/")[0] for one in repertoire(answer).encodings),
    )


class _Answering:
    """In the place of a socket: the replies that were recorded, one after the other, without the network."""

    def __init__(self, replies: Replies[bytes]) -> None:
        self._replies = itertools.cycle(replies)
        self._cookies: deque[bytes] = deque()

    def send(self, datagram: bytes) -> int:
        """Take a command."""
        self._cookies.append(datagram.partition(b" ")[0])
        return len(datagram)

    def recv(self, _size: int) -> bytes:
        """Answer the oldest command that has no reply yet."""
        return b"%b %b" % (self._cookies.popleft(), next(self._replies))


class ReplayingClient(UdpClient):
    """Our client with all of its code, and nothing of the system's."""

    def __init__(self, address: NodeAddress, replies: Replies[bytes]) -> None:
        """`replies`: to the commands of a cycle, in their order."""
        super().__init__(address)
        self._answering = _Answering(replies)

    def _ready_socket(self) -> socket.socket:
        return cast("socket.socket", self._answering)


def code_us(address: NodeAddress, cycle: Cycle, replies: Replies[bytes], count: int = 1000) -> float:
    """Measure what a cycle costs in our own code, in microseconds: system calls, waiting and waking left out."""
    client = ReplayingClient(address, replies)
    for number in range(count // 10):
        run(cycle.steps(f"warm-{number}"), client)
    before_s = time.process_time()
    for number in range(count):
        run(cycle.steps(f"replayed-{number}"), client)
    return 1e6 * (time.process_time() - before_s) / count


class Recorder:
    """A client that keeps commands, and the replies by what the stub knows a command by."""

    def __init__(self, address: NodeAddress) -> None:
        self.commands: list[Command[Any]] = []
        self.replies: dict[bytes, bytes] = {}
        self.in_order: list[bytes] = []
        """The replies once more, one for each command."""
        self._core = NgClient(lambda: secrets.token_hex(8))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(_PATIENCE_S)
        self._socket.connect((address.host, address.port))

    def request(self, command: Command[R]) -> R:
        """Send a command once and wait for its reply."""
        request = self._core.send(command, 0.0, deadline_s=_PATIENCE_S)
        self._socket.send(request.datagram)
        datagram = self._socket.recv(bencode.MAX_SIZE_BYTES)
        outcome = self._core.receive(datagram, 0.0)
        assert outcome is not None
        if isinstance(outcome.result, NgError):
            raise outcome.result
        self.commands.append(command)
        self.in_order.append(datagram.partition(b" ")[2])
        self.replies[key_of(command)] = self.in_order[-1]
        return cast("R", outcome.result)  # the core read it as this command's reply

    def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        """Send them one after the other."""
        return [self.request(command) for command in commands]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
