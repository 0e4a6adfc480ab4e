"""Both ends of a call with sound, and the longest time in which an end heard nothing.

Knows packets and frames.  Must not know calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, cast

import av
import numpy as np
from aiortc.mediastreams import MediaStreamTrack

from tests.peers.aiortc_wic import ReceivedAudio
from tests.peers.moving import MovingMedia
from tests.peers.sdp import sdp_from_text
from tests.peers.tone import samples_to_g711, sine

_FRAME: Final = 160
_FRAME_S: Final = 0.02
_LOUD: Final = 300
_TONE: Final = samples_to_g711(sine(500.0, rate_hz=8000, start=0, count=_FRAME), "PCMA")


class Pause:
    """The longest time without sound since `begin`."""

    def __init__(self) -> None:
        self._heard_at = 0.0
        self._longest_s = 0.0

    @property
    def has_heard(self) -> bool:
        """Whether there was sound at all."""
        return self._heard_at > 0

    def heard(self) -> None:
        """Note sound."""
        now = time.monotonic()
        if self._heard_at:
            self._longest_s = max(self._longest_s, now - self._heard_at)
        self._heard_at = now

    def begin(self) -> None:
        """Forget what was before."""
        self._longest_s = 0.0

    @property
    def longest_s(self) -> float:
        """The longest one, that of this moment included."""
        return max(self._longest_s, time.monotonic() - self._heard_at)


class Phone(asyncio.DatagramProtocol):
    """A device that sends a tone; light enough for many in a process."""

    def __init__(self) -> None:
        self.pause = Pause()
        self.target: tuple[str, int] | None = None
        self._count = 0

    @classmethod
    async def open(cls, address: str) -> Phone:
        """Bind to an address."""
        loop = asyncio.get_running_loop()
        _, phone = await loop.create_datagram_endpoint(cls, local_addr=(address, 0))
        return phone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Note what is not silence."""
        if len(data) > 12 and len(set(data[12:])) > 8:
            self.pause.heard()

    def send_to(self, sdp: str) -> None:
        """Send where a description says from now on."""
        description = sdp_from_text(sdp)
        section = description.section("audio")
        line = next((text for text in section.lines if text.startswith("c=")), None)
        self.target = (line.split()[2] if line else description.address, section.port)

    def tick(self) -> None:
        """Send the next 20 ms."""
        if self.target is None:
            return
        self._count += 1
        head = b"\x80\x08" + (self._count & 0xFFFF).to_bytes(2) + (self._count * _FRAME).to_bytes(4)
        self.transport.sendto(head + self.port.to_bytes(4) + _TONE, self.target)

    def close(self) -> None:
        """Close the socket."""
        self.target = None
        self.transport.close()


class Ticker:
    """Lets phones send every 20 ms, and notes when this process itself was too late to."""

    def __init__(self, phones: Sequence[Phone]) -> None:
        """`phones` may change."""
        self._phones = phones
        self.late_s = 0.0
        """The longest delay since this was set to 0: that of a busy machine, not of whom is measured."""

    async def run(self) -> None:
        """Work until cancelled."""
        due = time.monotonic()
        while True:
            for phone in list(self._phones):
                phone.tick()
            due += _FRAME_S
            late_s = time.monotonic() - due
            self.late_s = max(self.late_s, late_s)
            if late_s > 10 * _FRAME_S:
                due = time.monotonic()
            await asyncio.sleep(max(0.0, -late_s))


class _Ear(ReceivedAudio):
    def __init__(self, pause: Pause) -> None:
        super().__init__()
        self._pause = pause

    def take(self, frame: av.AudioFrame) -> None:
        if int(np.abs(frame.to_ndarray().astype(np.int32)).max()) > _LOUD:
            self._pause.heard()
        self.frames += 1


class HeardMedia(MovingMedia):
    """A page's media that notes pauses, on whichever line it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.pause = Pause()

    def _track_received(self, track: MediaStreamTrack) -> None:
        for one in self.connection.getTransceivers():
            if one.receiver.track is track and one.kind == "audio":
                self.audio.setdefault(one.mid or "", _Ear(self.pause))
        super()._track_received(track)
