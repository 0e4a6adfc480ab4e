"""When the first sound came: of each packet as it arrives, and of what the client plays.

Knows Opus and G.711 payloads and loudness.  Must not know calls.  aiortc plays only when it has four packets in its
jitter buffer; a packet's own time, decoded at once, is what network and gateway are answerable for.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from aiortc.mediastreams import MediaStreamTrack

from tests.peers.aiortc_wic import AiortcMedia, ReceivedAudio
from tests.peers.tone import Samples, g711_to_samples

AUDIBLE: Final = 328
"""A hundredth of full scale."""
_G711: Final = {0: "PCMU", 8: "PCMA"}


@dataclass
class FirstSound:
    """Monotonic seconds, 0 for what has not happened."""

    packet_s: float = 0.0
    """The first media packet of any content."""
    decoded_s: float = 0.0
    """The first packet that decodes to sound."""
    played_s: float = 0.0
    """The first sound out of the client's jitter buffer."""


def is_audible(samples: Samples) -> bool:
    """Whether there is anything to hear."""
    return bool(len(samples)) and int(np.abs(samples.astype(np.int32)).max()) > AUDIBLE


class PacketDecoder:
    """Decodes payloads in the order they came."""

    def __init__(self) -> None:
        decoder = av.CodecContext.create("opus", "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.sample_rate = 48000
        decoder.layout = "mono"
        self._opus = decoder
        self._to_integers = av.AudioResampler(format="s16", layout="mono", rate=48000)

    def samples(self, payload_type: int, payload: bytes) -> Samples:
        """Return the samples of a packet; everything but G.711 is Opus."""
        if payload_type in _G711:
            return g711_to_samples(payload, _G711[payload_type])
        parts = [
            part.to_ndarray().reshape(-1)
            for frame in self._opus.decode(av.Packet(payload))
            for part in self._to_integers.resample(frame)
        ]
        return np.concatenate(parts).astype(np.int16) if parts else np.zeros(0, np.int16)


class _Played(ReceivedAudio):
    def __init__(self, sound: FirstSound) -> None:
        super().__init__()
        self._sound = sound

    def take(self, frame: av.AudioFrame) -> None:
        if not self._sound.played_s and is_audible(frame.to_ndarray().reshape(-1).astype(np.int16)):
            self._sound.played_s = time.monotonic()
        super().take(frame)


class ListeningMedia(AiortcMedia):
    """The peer connection of one call, which notes its first sound."""

    def __init__(self) -> None:
        super().__init__()
        self.sound = FirstSound()
        self._decoder = PacketDecoder()

    def _track_received(self, track: MediaStreamTrack) -> None:
        transceiver = next(t for t in self.connection.getTransceivers() if t.receiver.track is track)
        self.audio.setdefault(transceiver.mid or "", _Played(self.sound))
        receiver: Any = transceiver.receiver
        # aiortc shows a packet to nobody before its jitter buffer.
        receiver._handle_rtp_packet = self._noting(receiver._handle_rtp_packet)
        super()._track_received(track)

    async def until_heard_anything(self, timeout_s: float) -> None:
        """Wait until the first sound was played; raise MediaTimeoutError when it was not."""
        await self._until(lambda: bool(self.sound.played_s), "sound", timeout_s)

    def _noting(self, handle: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def handle_and_note(packet: Any, arrival_time_ms: int) -> None:
            if self._is_noting():
                self._note(packet.payload_type, packet.payload)
            await handle(packet, arrival_time_ms=arrival_time_ms)

        return handle_and_note

    def _is_noting(self) -> bool:
        return not self.sound.decoded_s

    def _note(self, payload_type: int, payload: bytes) -> None:
        came_s = time.monotonic()
        self.sound.packet_s = self.sound.packet_s or came_s
        if payload and is_audible(self._decoder.samples(payload_type, payload)):
            self.sound.decoded_s = came_s
            self._changed.set()
