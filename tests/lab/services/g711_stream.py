"""One RTP stream of a lab service: G.711 in 20 ms frames both ways, telephone events both ways.

Knows RTP and samples; must not know SIP. Digits go to a callback and never to a log.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from tests.peers.rtp import (
    RtpPacket,
    dtmf_digit,
    dtmf_event_to_bytes,
    is_rtcp,
    rtp_from_bytes,
    rtp_to_bytes,
)
from tests.peers.tone import Samples, g711_to_samples, samples_to_g711

RATE_HZ: Final = 8000
FRAME_S: Final = 0.02
FRAME_SAMPLES: Final = int(RATE_HZ * FRAME_S)
SILENCE: Final[Samples] = np.zeros(FRAME_SAMPLES, np.int16)

_HEARD_FRAMES: Final = 100
_QUEUED_FRAMES: Final = 5
_EVENT_FRAMES: Final = 5
_EVENT_END_FRAMES: Final = 3


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What was negotiated: codec name, payload types, where packets go."""

    codec: str
    payload_type: int
    event_type: int | None
    remote: tuple[str, int]


class G711Stream(asyncio.DatagramProtocol):
    """Sends a frame when told to, keeps what came in; answers to where packets come from (symmetric RTP)."""

    def __init__(self, form: StreamFormat, on_digit: Callable[[str], None]) -> None:
        self.form = form
        self.packets_received = 0
        self._on_digit = on_digit
        self._remote = form.remote
        self._transport: asyncio.DatagramTransport | None = None
        self._ssrc = secrets.randbits(32)
        self._sequence_number = secrets.randbits(15)
        self._timestamp = secrets.randbits(30)
        self._heard: deque[Samples] = deque(maxlen=_HEARD_FRAMES)
        self._queue: deque[Samples] = deque(maxlen=_QUEUED_FRAMES)
        self._last_event: int | None = None
        self._event_frames: deque[tuple[str, int, bool]] = deque()
        self._event_timestamp = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reshape(self, form: StreamFormat) -> None:
        """Take over a new negotiation."""
        self.form = form
        self._remote = form.remote

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if is_rtcp(data):
            return
        try:
            packet = rtp_from_bytes(data)
        except ValueError:
            return
        self._remote = addr
        self.packets_received += 1
        if packet.payload_type == self.form.event_type:
            digit = dtmf_digit(packet.payload)
            if digit is not None and packet.timestamp != self._last_event:
                self._last_event = packet.timestamp
                self._on_digit(digit)
        elif packet.payload_type == self.form.payload_type:
            samples = g711_to_samples(packet.payload, self.form.codec)
            self._heard.append(samples)
            self._queue.append(samples)

    def error_received(self, exc: Exception) -> None:
        """Ignore ICMP: the far end may not listen yet."""

    def heard(self) -> Samples:
        """Return the last two seconds of what came in."""
        return np.concatenate(self._heard) if self._heard else SILENCE[:0]

    def take_frame(self) -> Samples | None:
        """Return the oldest frame nobody has taken, for mixing."""
        return self._queue.popleft() if self._queue else None

    def send_digit(self, digit: str) -> None:
        """Send a telephone event in place of the next frames."""
        for number in range(1, _EVENT_FRAMES + _EVENT_END_FRAMES + 1):
            self._event_frames.append((digit, min(number, _EVENT_FRAMES), number > _EVENT_FRAMES))

    def send_frame(self, samples: Samples) -> None:
        """Send 20 ms of sound, or of a digit that waits."""
        self._timestamp += FRAME_SAMPLES
        self._sequence_number += 1
        if self._event_frames and self.form.event_type is not None:
            digit, frames, end = self._event_frames.popleft()
            if frames == 1:
                self._event_timestamp = self._timestamp
            payload = dtmf_event_to_bytes(digit, duration=frames * FRAME_SAMPLES, end=end)
            self._send(self.form.event_type, self._event_timestamp, payload, marker=frames == 1)
        else:
            self._send(self.form.payload_type, self._timestamp, samples_to_g711(samples, self.form.codec))

    def _send(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool = False) -> None:
        packet = RtpPacket(payload_type, self._sequence_number, timestamp, self._ssrc, payload, marker)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(rtp_to_bytes(packet), self._remote)
