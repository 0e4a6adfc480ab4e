"""The phone's audio in the codec of a case.

Knows how Opus is sent and heard (RFC 7587).  Must not know calls.
"""

from __future__ import annotations

import random
import threading
from typing import Final

import av

from tests.bench.first_audio.sound import PacketDecoder, is_audible
from tests.peers.media import RtpEndpoint
from tests.peers.rtp import RtpPacket
from tests.peers.tone import sine

_RATE_HZ: Final = 48000
_FRAME: Final = 960
_FRAME_S: Final = 0.02
_PAYLOADS: Final = 50
_WARM_UP: Final = 5
"""Frames in which the encoder finds its way into the tone."""


def opus_tone(hz: float) -> list[bytes]:
    """Return a second of a tone, one payload for each frame."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate = _RATE_HZ
    encoder.layout = "mono"
    encoder.format = av.AudioFormat("s16")
    encoder.bit_rate = 32000
    payloads: list[bytes] = []
    for number in range(_PAYLOADS + _WARM_UP):
        samples = sine(hz, rate_hz=_RATE_HZ, start=number * _FRAME, count=_FRAME)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = _RATE_HZ
        frame.pts = number * _FRAME
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    return payloads[_WARM_UP:]


class OpusPhone(RtpEndpoint):
    """An endpoint that speaks and understands Opus."""

    def __init__(self) -> None:
        self._decoder = PacketDecoder()
        self._tone = opus_tone(440.0)
        super().__init__()

    def _send_tone(self, hz: float, payload_type: int, stop: threading.Event) -> None:
        offset, sequence = random.getrandbits(30), random.getrandbits(15)
        for number, _ in enumerate(self._ticks(_FRAME_S, stop)):
            payload = self._tone[number % len(self._tone)]
            self._send(payload_type, sequence + number, offset + number * _FRAME, payload, number == 0)

    def _is_sound(self, packet: RtpPacket) -> bool:
        return bool(packet.payload) and is_audible(self._decoder.samples(packet.payload_type, packet.payload))
