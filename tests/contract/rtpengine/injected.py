"""A call under attack, from the reservation to a far end that has moved: what reaches page and far end, phase by phase.

Used by the contract test with a few thousand packets and by `python -m tests.bench.injection` with many.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from aioice.ice import Connection

from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, Daemon
from tests.contract.rtpengine.live_call import LiveCall
from tests.contract.rtpengine.rtp_peer import tone_payloads
from tests.peers.injection import Attacker
from tests.peers.media import even_port_pair

FAR_HZ: Final = 440
FAR_SSRC: Final = 0x0FA4E4D0
GATEWAY_SSRC: Final = 1
"""Who asks for key frames in the gateway's name (rtpengine/rtcp.py)."""
PTIME_S: Final = 0.02
_REPORTS: Final = range(192, 224)

Seen = Counter[tuple[str, int]]
"""(medium as the header tells it, SSRC) -> packets."""


def described(data: bytes) -> tuple[str, int] | None:
    """Return what a packet is and whose; SRTP leaves the header readable."""
    if len(data) < 12 or not 128 <= data[0] < 192:
        return None
    reports = data[1] in _REPORTS
    return (
        ("rtcp", struct.unpack("!I", data[4:8])[0])
        if reports
        else ("rtp", struct.unpack("!I", data[8:12])[0])
    )


@contextmanager
def page_watched(seen: Seen) -> Iterator[None]:
    """Count everything that arrives at any page of this process."""
    original = Connection.recvfrom

    async def recvfrom(connection: Connection) -> Any:
        data, component = await original(connection)
        if (found := described(data)) is not None:
            seen[found] += 1
        return data, component

    Connection.recvfrom = recvfrom  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Connection.recvfrom = original  # type: ignore[method-assign]


class FarEnd:
    """RTP and RTCP ports of a device in the core that counts what comes, by sender, and sends a tone when told."""

    def __init__(self, host: str, seen: Seen, numbers: Iterator[int]) -> None:
        """`numbers`: of the packets; a device that moves goes on counting."""
        self.host = host
        self.sequence: list[int] = []
        """Sequence numbers of RTP that came."""
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

    async def talk(self, to: tuple[str, int], duration_s: float) -> int:
        """Send a tone, as PCMA; return how many packets that were."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        payloads = tone_payloads("PCMA", FAR_HZ, round(duration_s / PTIME_S))
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
                continue
            self._seen[found] += 1
            if found[0] == "rtp":
                self.sequence.append(struct.unpack("!H", data[2:4])[0])


@dataclass
class Phase:
    """What happened in one part of the call."""

    name: str
    injected: dict[str, int] = field(default_factory=dict)
    """Leg -> packets."""
    stolen: int = 0
    """Packets that came to the attacker."""
    at_page: Seen = field(default_factory=Counter)
    """What came that is not the call's own, by what it looks like and its SSRC."""
    at_far_end: Seen = field(default_factory=Counter)

    @property
    def relayed(self) -> int:
        """How many packets of his reached somebody."""
        return sum((self.at_page + self.at_far_end).values())


class Siege:
    """One call of a page, with audio and video, and an attacker at every port of both legs."""

    def __init__(self, daemon: Daemon, *, packets_per_s: int, phase_s: float) -> None:
        """`packets_per_s`: at each leg; `phase_s`: how long each part of the call is, at least 1 s."""
        self._daemon = daemon
        self._packets_per_s = packets_per_s
        self._phase_s = phase_s
        self._page_seen: Seen = Counter()
        self._far_seen: Seen = Counter()
        self._ports: dict[str, list[tuple[str, int]]] = {"core": [], "web": []}
        self._noted: list[tuple[Phase, Seen, Seen]] = []
        self.phases: list[Phase] = []
        self.lost_by_page = self.lost_by_far_end = 0
        """Packets of the call that were sent while it was attacked and did not come."""

    async def run(self) -> None:
        """Play the call; `phases` has what came of it, the last one without an attack."""
        numbers = itertools.count(1)
        with ExitStack() as stack:
            stack.enter_context(page_watched(self._page_seen))
            audio, moved, video = (
                stack.enter_context(FarEnd(f"127.0.0.{number}", self._far_seen, numbers))
                for number in (9, 10, 11)
            )
            async with LiveCall(self._daemon) as call:
                await self._play(call, audio, moved, video)
        self._judge()

    async def _play(self, call: LiveCall, audio: FarEnd, moved: FarEnd, video: FarEnd) -> None:
        async def besieged(name: str) -> None:
            async with self._phase(name):
                await asyncio.sleep(self._phase_s)

        async def reserved(web_port: int, core_port: int) -> None:
            self._ports["web"] = [(WIC_ADDRESS, web_port)]
            self._ports["core"] = [(IMS_ADDRESS, core_port), (IMS_ADDRESS, core_port + 1)]
            await besieged("reserved, the page not there yet")

        async def connected() -> None:
            await besieged("the page there, the gate shut")

        await call.page_offers(
            "audio", "PCMA/8000", host=audio.host, port=audio.port, reserved=reserved, connected=connected
        )
        await besieged("answered, the far end silent")
        to = (IMS_ADDRESS, call.media["audio"].ims_port)
        async with self._phase("talking"):
            before, first = self._page_seen.copy(), len(audio.sequence)
            (sent, _) = await asyncio.gather(
                audio.talk(to, self._phase_s), call.page.until_heard(FAR_HZ, mid=call.media["audio"].heard)
            )
        arrived = audio.sequence[first:]
        self.lost_by_page = sent - sum((self._page_seen - before).values())
        self.lost_by_far_end = arrived[-1] - arrived[0] + 1 - len(arrived)
        async with self._phase("the far end moves"):
            await asyncio.to_thread(call.core_reoffers, "audio", _offer(moved))
            await moved.talk(to, self._phase_s)
        assert moved.sequence, "nothing came to the far end that moved"
        await call.page_offers(
            "video", host=video.host, port=video.port, reserved=reserved, connected=connected
        )
        await besieged("video")
        async with self._phase("calm", attack=False):
            await moved.talk(to, 1.0)

    @asynccontextmanager
    async def _phase(self, name: str, *, attack: bool = True) -> AsyncIterator[None]:
        phase = Phase(name)
        page, far = self._page_seen.copy(), self._far_seen.copy()
        with ExitStack() as stack:
            attackers = {
                leg: stack.enter_context(Attacker(ports, self._packets_per_s))
                for leg, ports in self._ports.items()
                if attack
            }
            yield
        await asyncio.sleep(0.1)  # what is under way
        phase.injected = {leg: attacker.sent for leg, attacker in attackers.items()}
        phase.stolen = sum(attacker.stolen for attacker in attackers.values())
        self._noted.append((phase, self._page_seen - page, self._far_seen - far))

    def _judge(self) -> None:
        """Count what is not the call's own: what came from others than in the calm."""
        _, at_page, at_far_end = self._noted[-1]
        own_page, own_far = ({ssrc for _, ssrc in seen} | {GATEWAY_SSRC} for seen in (at_page, at_far_end))
        for phase, page, far in self._noted:
            phase.at_page = Counter({key: count for key, count in page.items() if key[1] not in own_page})
            phase.at_far_end = Counter({key: count for key, count in far.items() if key[1] not in own_far})
            self.phases.append(phase)


def _offer(peer: FarEnd) -> str:
    lines = ["v=0", f"o=- 1 1 IN IP4 {peer.host}", "s=-", "t=0 0", f"m=audio {peer.port} RTP/AVP 8"]
    return "\r\n".join([*lines, f"c=IN IP4 {peer.host}", "a=sendrecv", ""])
