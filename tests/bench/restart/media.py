"""Media of many calls in one process: devices behind the core that send, and a few pages with real sound.

Knows what was sent and what arrived.  Must not know SIP.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from typing import Final, cast

from rtpengine.ng.statistics import CallStatistics
from tests.peers.sdp import sdp_from_text

PACKET_S: Final = 0.02
SPARING: Final = 20
"""A device that only has to be counted sends one packet of twenty: two hundred of them in one process."""
CODEC: Final = "opus"
"""As the pages: the relay passes it on, and costs nearly nothing."""
_FRAME: Final = 960
_SILENCE: Final = b"\xf8\xff\xfe"
"""20 ms of Opus."""
_OPUS: Final = re.compile(r"a=rtpmap:(\d+) opus/", re.IGNORECASE)


class Phone(asyncio.DatagramProtocol):
    """A device behind the core."""

    def __init__(self, *, sparing: bool) -> None:
        self.every = SPARING if sparing else 1
        self.target: tuple[str, int] | None = None
        self._payload_type = 0
        self.sent = self.received = 0
        self.longest_gap_s = 0.0
        self._heard_at = 0.0

    @classmethod
    async def open(cls, *, sparing: bool) -> Phone:
        """Return one that listens."""
        loop = asyncio.get_running_loop()
        _, phone = await loop.create_datagram_endpoint(
            lambda: cls(sparing=sparing), local_addr=("127.0.0.1", 0)
        )
        return phone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the socket."""
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Count RTP."""
        if len(data) <= 12 or 192 <= data[1] <= 223:  # RTCP, if any
            return
        now = time.monotonic()
        if self._heard_at:
            self.longest_gap_s = max(self.longest_gap_s, now - self._heard_at)
        self._heard_at = now
        self.received += 1

    def listen_anew(self) -> None:
        """Count gaps from now on."""
        self.longest_gap_s, self._heard_at = 0.0, time.monotonic()

    def send_to(self, sdp: str) -> None:
        """Send where a description says."""
        description = sdp_from_text(sdp)
        section = description.section("audio")
        self._payload_type = next(int(found[1]) for text in section.lines if (found := _OPUS.match(text)))
        line = next((text for text in section.lines if text.startswith("c=")), None)
        self.target = (line.split()[2] if line else description.address, section.port)

    def send(self) -> None:
        """Send the next packet."""
        if self.target is None:
            return
        self.sent += 1
        number = self.sent
        head = bytes((0x80, self._payload_type)) + (number & 0xFFFF).to_bytes(2)
        head += (number * _FRAME & 0xFFFFFFFF).to_bytes(4) + self.port.to_bytes(4)
        self.transport.sendto(head + _SILENCE, self.target)


async def tick(phones: list[Phone]) -> None:
    """Let all devices send, each in its own turn."""
    due, turn = time.monotonic(), 0
    while True:
        for number, phone in enumerate(phones):
            if (turn + number) % phone.every == 0:
                phone.send()
        turn += 1
        due = max(due + PACKET_S, time.monotonic() - 1)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def counted(statistics: CallStatistics, port: int) -> int:
    """Return how many packets of a device the relay has received."""
    streams: Iterable[int] = (
        stream.counters.packets
        for tag in statistics.tags.values()
        for media in tag.medias
        for stream in media.streams
        if stream.endpoint is not None and stream.endpoint[1] == port
    )
    return sum(streams)
