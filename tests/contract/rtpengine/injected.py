"""A call under attack, from the reservation to a far end that has moved: what reaches page and far end, phase by phase.

Used by the contract test with a few thousand packets and by `python -m tests.bench.injection` with many.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from aioice.ice import Connection

from kemi.core.call import actions as act
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, Daemon
from tests.contract.rtpengine.live_call import CALL_ID, LiveCall
from tests.contract.rtpengine.rtp_peer import tone_payloads
from tests.peers.injection import KINDS, Attacker, Kind
from tests.peers.media import even_port_pair

FAR_HZ: Final = 440
FAR_SSRC: Final = 0x0FA4E4D0
GATEWAY_SSRC: Final = 1
"""Who asks for key frames in the gateway's name (rtpengine/rtcp.py)."""
PTIME_S: Final = 0.02
_TONE_S: Final = 0.7
"""Long enough to be told from what was heard before."""
_AT_MOST_PER_S: Final = {"rtp": 120, "rtcp": 15}
"""What an end of a call sends under one SSRC; what names its SSRC and is more is somebody else's."""
_RECEIVER_REPORT: Final = 201
_REPORTS: Final = range(192, 224)
_FIRST_OF_RTP: Final = 128

Seen = Counter[tuple[str, int]]
"""(medium as the header tells it, SSRC) -> packets."""


@dataclass(frozen=True)
class Shape:
    """How a call is made."""

    page_calls: bool = True
    transport: str = "shared"
    one_way: bool = False
    """The page has a line to send and one to receive."""
    lines: tuple[str, ...] = ()
    """What else the far end says of its line."""


SHAPES: Final = {
    "page calls": Shape(),
    "page calls, split": Shape(transport="split", one_way=True),
    "core calls": Shape(page_calls=False, transport=""),
    "core calls, rtcp-mux": Shape(page_calls=False, transport="", lines=("rtcp-mux",)),
}


def described(data: bytes) -> tuple[str, int] | None:
    """Return what a packet is and whose; SRTP leaves the header readable.

    Receiver reports about somebody are left out: no attacker writes one, and a page's comes rarely, under any SSRC.
    """
    if len(data) < 12 or not 128 <= data[0] < 192 or (data[1] == _RECEIVER_REPORT and data[0] & 0x1F):
        return None
    reports = data[1] in _REPORTS
    return (
        ("rtcp", struct.unpack("!I", data[4:8])[0])
        if reports
        else ("rtp", struct.unpack("!I", data[8:12])[0])
    )


@contextmanager
def pages_without(is_lost: Callable[[bytes], bool]) -> Iterator[None]:
    """Show ``is_lost`` all that arrives at any page of this process; what it says so of, the page never gets."""
    original = Connection.recvfrom

    async def recvfrom(connection: Connection) -> Any:
        while True:
            data, component = await original(connection)
            if not is_lost(data):
                return data, component

    Connection.recvfrom = recvfrom  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Connection.recvfrom = original  # type: ignore[method-assign]


def page_watched(seen: Seen) -> AbstractContextManager[None]:
    """Count everything that arrives at any page of this process."""

    def count(data: bytes) -> bool:
        if (found := described(data)) is not None:
            seen[found] += 1
        return False

    return pages_without(count)


class FarEnd:
    """RTP and RTCP ports of a device in the core that counts what comes, by sender, and sends a tone when told."""

    def __init__(self, host: str, seen: Seen, numbers: Iterator[int]) -> None:
        """`numbers`: of the packets; a device that moves goes on counting."""
        self.host = host
        self.sequence: list[int] = []
        """Sequence numbers of RTP that came."""
        self.others = 0
        """What came that is neither RTP nor RTCP (RFC 7983)."""
        self._seen = seen
        self._numbers = numbers
        self._rtp, self._rtcp = even_port_pair(host)
        self.port: int = self._rtp.getsockname()[1]
        self._stopped = False
        self._readers = [
            threading.Thread(target=self._read, args=(one,), daemon=True) for one in (self._rtp, self._rtcp)
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        for one in (self._rtp, self._rtcp):
            one.sendto(b"", one.getsockname())
        for reader in self._readers:
            reader.join()
        self._rtp.close()
        self._rtcp.close()

    async def talk(self, to: tuple[str, int], duration_s: float, hz: int = FAR_HZ) -> int:
        """Send a tone, as PCMA; return how many packets that were."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        payloads = tone_payloads("PCMA", hz, round(duration_s / PTIME_S))
        for index, payload in enumerate(payloads, start=1):
            number = next(self._numbers)
            header = struct.pack("!BBHII", 0x80, 8, number & 0xFFFF, number * 160, FAR_SSRC)
            self._rtp.sendto(header + payload, to)
            await asyncio.sleep(max(0.0, began + index * PTIME_S - loop.time()))
        return len(payloads)

    def _read(self, one: socket.socket) -> None:
        while not self._stopped:
            data = one.recv(2048)
            if (found := described(data)) is None:
                self.others += bool(data) and data[0] < _FIRST_OF_RTP
                continue
            self._seen[found] += 1
            if found[0] == "rtp":
                self.sequence.append(struct.unpack("!H", data[2:4])[0])


@dataclass
class Phase:
    """What happened in one part of a call."""

    name: str
    injected: dict[str, int] = field(default_factory=dict)
    """Leg -> packets."""
    stolen: int = 0
    """Packets that came to an attacker."""
    at_page: Seen = field(default_factory=Counter)
    """What came that is not the call's own, by what it looks like and its SSRC."""
    at_far_end: Seen = field(default_factory=Counter)

    @property
    def relayed(self) -> int:
        """How many packets of theirs reached somebody."""
        return sum((self.at_page + self.at_far_end).values())


@dataclass
class _Note:
    """What was counted in a phase, before anybody knows whose it is."""

    phase: Phase
    duration_s: float
    at_page: Seen
    at_far_end: Seen


class Siege:
    """Calls with attackers at every port of both legs: a stranger, one who has the address of an end of the call and
    another port (its neighbour behind a NAT), and one who names SSRCs of the call."""

    def __init__(
        self,
        daemon: Daemon,
        spare: Daemon,
        *,
        packets_per_s: int,
        phase_s: float,
        shape: Shape,
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        """`packets_per_s`: at each leg; `phase_s`: how long each part of a call is, at least 0.5 s; `spare`: where
        the call moves."""
        self._packets_per_s = packets_per_s
        self._phase_s = phase_s
        self._page_seen: Seen = Counter()
        self._far_seen: Seen = Counter()
        self._notes: list[_Note] = []
        self._numbers = itertools.count(1)
        self._tones = itertools.count(600, 60)
        self._shape, self._kinds = shape, kinds
        self._call = LiveCall(daemon, shape.transport, one_way=shape.one_way, spare=spare, mute=True)
        self._own: set[int] = set()
        """SSRCs of the page."""
        self.phases: list[Phase] = []
        self.lost_by_far_end = 0
        """Packets of the page that were sent while it was attacked and did not come."""

    async def run(self) -> None:
        """Play the call; `phases` has what came of it."""
        with ExitStack() as stack:
            stack.enter_context(page_watched(self._page_seen))
            first, second, video = (
                stack.enter_context(FarEnd(f"127.0.0.{number}", self._far_seen, self._numbers))
                for number in (9, 10, 11)
            )
            self._far = first
            async with self._call:
                await self._set_up(first)
                await self._talk(first)
                await self._change(first, second)
                await self._add_video(video)
                await self._move(second)
        self._judge()

    async def _set_up(self, far: FarEnd) -> None:
        call = self._call

        async def reserved() -> None:
            await self._besieged("reserved, the page not there yet")

        async def connected() -> None:
            await self._besieged("the page there, the gate shut")

        async def answering() -> None:
            await self._besieged("the page's answer under way")

        if self._shape.page_calls:
            await call.page_offers(
                "audio", "PCMA/8000", host=far.host, port=far.port, reserved=reserved, connected=connected
            )
        else:
            offer = core_offer(far, *self._shape.lines)
            await call.core_offers("audio", offer, ringing=reserved, answering=answering)
        await self._besieged("answered, nobody speaks")
        call.speak("audio")
        await self._besieged("the page speaks, the far end silent")

    async def _talk(self, far: FarEnd) -> None:
        async with self._phase("talking"):
            first = len(far.sequence)
            await self._talk_until_heard(far, FAR_HZ, max(self._phase_s, _TONE_S))
        arrived = far.sequence[first:]
        self.lost_by_far_end = arrived[-1] - arrived[0] + 1 - len(arrived)
        await self._calm(far)

    async def _change(self, far: FarEnd, moved: FarEnd) -> None:
        call = self._call
        async with self._phase("hold and resume"):
            for passing in ((False, False), (True, True)):
                call.passing = passing
                await asyncio.to_thread(call.renew, "audio")
                await far.talk(self._core, self._phase_s / 2)
        async with self._phase("the core asks again"):
            offer = call.media["audio"].ims_line
            await asyncio.to_thread(call.core_reoffers, "audio", offer)
            await far.talk(self._core, self._phase_s)
        async with self._phase("the page restarts ICE elsewhere"):
            await call.restart_ice()
            await far.talk(self._core, self._phase_s)
        if call.media["audio"].reverse_line is None:
            async with self._phase("the page is elsewhere, and offered a restart of ICE"):
                await call.go_over(40_000)
                await far.talk(self._core, self._phase_s / 2)
                await call.offer_restart()
                await far.talk(self._core, self._phase_s / 2)
        async with self._phase("the far end moves"):
            await asyncio.to_thread(call.core_reoffers, "audio", core_offer(moved, *self._shape.lines))
            self._far = moved
            await moved.talk(self._core, self._phase_s)
        assert moved.sequence, "nothing came to the far end that moved"
        await self._heard(moved)
        await self._calm(moved)

    async def _add_video(self, far: FarEnd) -> None:
        async def reserved() -> None:
            await self._besieged("video reserved")

        if self._shape.page_calls:
            await self._call.page_offers("video", host=far.host, port=far.port, reserved=reserved)
            await self._besieged("video", guess=False)

    async def _move(self, far: FarEnd) -> None:
        call = self._call

        async def asked() -> None:
            await self._besieged("another node, nobody there yet")

        await self._calm(far)
        node = call.node
        await call.move(asked=asked)
        call.relay.release(act.ReleaseMedia(CALL_ID, node, tuple(call.media)))
        await self._besieged("another node, the far end silent", guess=False)
        async with self._phase("another node"):
            await far.talk(self._core, self._phase_s)
        await self._heard(far)
        await self._calm(far)

    @property
    def _core(self) -> tuple[str, int]:
        return IMS_ADDRESS, self._call.media["audio"].ims_port

    async def _heard(self, far: FarEnd) -> None:
        """Wait for the tone on both sides, and show that nobody is at the wrong address."""
        before = len(far.sequence)
        await self._talk_until_heard(far, next(self._tones), _TONE_S)
        deadline = time.monotonic() + 3
        while len(far.sequence) <= before + 15:
            assert time.monotonic() < deadline, "the page is not heard"
            await asyncio.sleep(0.05)

    async def _talk_until_heard(self, far: FarEnd, hz: int, at_least_s: float) -> None:
        """Talk in one breath until the page hears it: on a busy machine its ear may miss what is short."""
        heard = asyncio.create_task(
            self._call.page.until_heard(hz, mid=self._call.media["audio"].heard)  # gives up by itself
        )
        while True:
            await far.talk(self._core, at_least_s, hz)
            if heard.done():
                break
            at_least_s = 0.1  # whole periods of all tones here
        await heard

    async def _besieged(self, name: str, *, guess: bool = True) -> None:
        async with self._phase(name, guess=guess):
            await asyncio.sleep(self._phase_s)

    async def _calm(self, far: FarEnd) -> None:
        """Let the call alone: whatever comes now is its own."""
        async with self._phase("calm", attack=False):
            await far.talk(self._core, 0.4)

    def _attackers(self, leg: str, guess: bool) -> list[Attacker]:
        call = self._call
        if leg == "web":
            ports, host = [(WIC_ADDRESS, port) for port in call.web_ports], WIC_ADDRESS
            ssrc = call.page.ssrcs[0] if call.page.ssrcs else FAR_SSRC
        else:
            ports, host, ssrc = [(IMS_ADDRESS, port) for port in call.core_ports], self._far.host, FAR_SSRC
        if not ports:
            return []
        attackers: list[dict[str, Any]] = [{}, {"host": host}, *([{"ssrc": ssrc}] if guess else [])]
        rate = self._packets_per_s / len(attackers)
        return [Attacker(ports, rate, kinds=self._kinds, **one) for one in attackers]

    @asynccontextmanager
    async def _phase(self, name: str, *, attack: bool = True, guess: bool = True) -> AsyncIterator[None]:
        phase = Phase(name)
        page, far, began = self._page_seen.copy(), self._far_seen.copy(), time.monotonic()
        attackers = {leg: self._attackers(leg, guess) if attack else [] for leg in ("core", "web")}
        with ExitStack() as stack:
            for one in itertools.chain(*attackers.values()):
                stack.enter_context(one)
            yield
        await asyncio.sleep(0.1)  # what is under way
        phase.injected = {leg: sum(one.sent for one in them) for leg, them in attackers.items() if them}
        self._own.update(self._call.page.ssrcs)
        phase.stolen = sum(one.stolen for them in attackers.values() for one in them)
        duration_s = time.monotonic() - began
        self._notes.append(_Note(phase, duration_s, self._page_seen - page, self._far_seen - far))

    def _judge(self) -> None:
        """Count what is not the call's own: of SSRCs that are not there in the calm, or more than an end sends."""
        calm = [note for note in self._notes if note.phase.name == "calm"]
        own_page = {ssrc for note in calm for _, ssrc in note.at_page} | {GATEWAY_SSRC}
        own_far = {ssrc for note in calm for _, ssrc in note.at_far_end} | {GATEWAY_SSRC} | self._own
        for note in self._notes:
            note.phase.at_page = _foreign(note.at_page, own_page, note.duration_s)
            note.phase.at_far_end = _foreign(note.at_far_end, own_far, note.duration_s)
            self.phases.append(note.phase)


def _foreign(seen: Seen, own: set[int], duration_s: float) -> Seen:
    def allowed(key: tuple[str, int]) -> float:
        return _AT_MOST_PER_S[key[0]] * duration_s if key[1] in own else 0

    return Counter({key: count for key, count in seen.items() if count > allowed(key)})


def core_offer(peer: FarEnd, *lines: str) -> str:
    """Return a description of the far end, with further lines of its own."""
    head = ["v=0", f"o=- 1 1 IN IP4 {peer.host}", "s=-", "t=0 0", f"m=audio {peer.port} RTP/AVP 8"]
    attributes = [f"a={line}" for line in (*lines, "sendrecv")]
    return "\r\n".join([*head, f"c=IN IP4 {peer.host}", *attributes, ""])
