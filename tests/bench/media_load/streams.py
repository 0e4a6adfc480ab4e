"""Running calls: a stream each way, 50 packets a second, and what becomes of them.

One loop in one process: sends a fiftieth of a second's packets in twenty portions, reads in between. Knows RTP's
header and the clock. Must not know who relays.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import pylibsrtp

from tests.bench.media_load.web_leg import WebLeg
from tests.contract.rtpengine.rtp_peer import CODECS, loudest_frequency_hz, tone_payloads

PTIME_S: Final = 0.02
PORTIONS: Final = 20
WEB_HZ: Final = 1000
CORE_HZ: Final = 440
_TONE_PACKETS: Final = 50
_OPENED_EVERY: Final = 50
"""One of so many packets is decrypted, for the relay's key may be wrong; all are counted."""
_KEPT: Final = 40
_UNDER_WAY_S: Final = 0.3
_LARGEST: Final = 2048


@dataclass
class Received:
    """What came in at one end of a stream."""

    packets: int = 0
    jitter_s: float = 0.0
    """RFC 3550 §6.4.1, of the moments this process read them."""
    _transit_s: float | None = None

    def take(self, packet: bytes, now_s: float, clock_hz: int) -> None:
        """Count a packet."""
        self.packets += 1
        transit_s = now_s - int.from_bytes(packet[4:8], "big") / clock_hz
        if self._transit_s is not None:
            self.jitter_s += (abs(transit_s - self._transit_s) - self.jitter_s) / 16
        self._transit_s = transit_s


class Sender:
    """The outgoing packets of one end: a tone, over and over."""

    def __init__(self, codec: str, hz: int, payload_type: int, ssrc: int) -> None:
        self._payloads = tone_of(codec, hz)
        self._type, self._ssrc = payload_type, ssrc
        self._step = int(CODECS[codec].rtp_clock_hz * PTIME_S)
        self.number = 0

    def next(self) -> bytes:
        """Return the next packet."""
        self.number += 1
        number = self.number
        head = struct.pack(
            "!BBHII", 0x80, self._type, number & 0xFFFF, number * self._step & 0xFFFFFFFF, self._ssrc
        )
        return head + self._payloads[number % _TONE_PACKETS]


_tones: Final[dict[tuple[str, int], list[bytes]]] = {}


def tone_of(codec: str, hz: int) -> list[bytes]:
    """Return a second of a tone; it is a whole number of periods, so it can be repeated."""
    if (codec, hz) not in _tones:
        _tones[codec, hz] = tone_payloads(codec, hz, _TONE_PACKETS + 10)[10:][:_TONE_PACKETS]
    return _tones[codec, hz]


@dataclass
class Call:
    """Both ends of a running call."""

    web: WebLeg
    core: socket.socket
    core_target: tuple[str, int]
    from_web: Sender
    from_core: Sender
    web_codec: str
    core_codec: str
    at_web: Received = field(default_factory=Received)
    at_core: Received = field(default_factory=Received)
    kept_at_web: list[bytes] | None = None
    kept_at_core: list[bytes] | None = None
    """The last payloads, where somebody wants to hear them."""
    broken: int = 0
    """Packets whose authentication failed."""

    def send(self) -> None:
        """Send a packet each way."""
        self.web.send(self.from_web.next())
        self.core.sendto(self.from_core.next(), self.core_target)

    def read_web(self) -> None:
        """Take one datagram at the page."""
        packet = self.web.receive()
        if not packet:
            return
        self.at_web.take(packet, time.monotonic(), CODECS[self.web_codec].rtp_clock_hz)
        if self.kept_at_web is None and self.at_web.packets % _OPENED_EVERY:
            return
        try:
            opened = self.web.opened(packet)
        except pylibsrtp.Error:
            self.broken += 1
            return
        if self.kept_at_web is not None:
            self.kept_at_web.append(payload_of(opened))
            del self.kept_at_web[:-_KEPT]

    def read_core(self) -> None:
        """Take one datagram at the core."""
        with suppress(ConnectionError):
            packet = self.core.recv(_LARGEST)
            if 192 <= packet[1] < 224:
                return
            self.at_core.take(packet, time.monotonic(), CODECS[self.core_codec].rtp_clock_hz)
            if self.kept_at_core is not None:
                self.kept_at_core.append(payload_of(packet))
                del self.kept_at_core[:-_KEPT]

    def heard(self) -> tuple[int, int]:
        """Return the tone that the core hears, and that which the page hears, in Hz."""
        return (
            loudest_frequency_hz(self.core_codec, self.kept_at_core or []),
            loudest_frequency_hz(self.web_codec, self.kept_at_web or []),
        )


def payload_of(packet: bytes) -> bytes:
    """Return the payload of an RTP packet."""
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return packet[start:]


@dataclass(frozen=True)
class Flow:
    """What became of one direction's packets, over all calls."""

    sent: int
    received: int
    jitter_ms: float
    """Of the call it was worst for."""

    @property
    def loss(self) -> float:
        """Return the lost share; what came twice does not count against it."""
        return max(0.0, 1 - self.received / self.sent) if self.sent else 0.0


class Generator:
    """Runs calls; add them while nothing runs."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._poll = select.epoll()
        self._read: dict[int, Callable[[], None]] = {}
        self._sent_before = (0, 0)
        self.late_s = 0.0
        """How late a portion left at worst: a generator that cannot keep up proves nothing of the relay."""

    def add(self, call: Call) -> None:
        """Take a call on."""
        self.calls.append(call)
        for descriptor, read in ((call.web.fileno(), call.read_web), (call.core.fileno(), call.read_core)):
            self._read[descriptor] = read
            self._poll.register(descriptor, select.EPOLLIN)

    def run(self, seconds: float, sent: Callable[[], None] = lambda: None) -> None:
        """Send for a while; call `sent`; then wait for what is under way."""
        began = time.monotonic()
        portions: list[Sequence[Call]] = [self.calls[at::PORTIONS] for at in range(PORTIONS)]
        for number in range(int(seconds / PTIME_S) * PORTIONS):
            due = began + number * PTIME_S / PORTIONS
            self._read_until(due)
            self.late_s = max(self.late_s, time.monotonic() - due)
            for call in portions[number % PORTIONS]:
                call.send()
        sent()
        self._read_until(time.monotonic() + _UNDER_WAY_S)

    def flows(self) -> tuple[Flow, Flow]:
        """Return what became of page-to-core and core-to-page packets since `forget`."""
        return (
            Flow(
                sum(call.from_web.number for call in self.calls) - self._sent_before[0],
                sum(call.at_core.packets for call in self.calls),
                _worst_ms(call.at_core for call in self.calls),
            ),
            Flow(
                sum(call.from_core.number for call in self.calls) - self._sent_before[1],
                sum(call.at_web.packets for call in self.calls),
                _worst_ms(call.at_web for call in self.calls),
            ),
        )

    def forget(self) -> None:
        """Count anew."""
        self.late_s = 0.0
        self._sent_before = (
            sum(call.from_web.number for call in self.calls),
            sum(call.from_core.number for call in self.calls),
        )
        for call in self.calls:
            call.at_web, call.at_core, call.broken = Received(), Received(), 0

    def close(self) -> None:
        """End all calls at this end."""
        for call in self.calls:
            call.web.close()
            call.core.close()
        self._poll.close()

    def _read_until(self, until: float) -> None:
        read, poll = self._read, self._poll.poll
        while True:
            for descriptor, _ in poll(max(0.0, until - time.monotonic())):
                read[descriptor]()
            if time.monotonic() >= until:
                return


def _worst_ms(received: Iterable[Received]) -> float:
    return round(1000 * max((one.jitter_s for one in received), default=0.0), 2)
