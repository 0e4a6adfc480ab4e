"""The gateway's media. For calls of the page in SPLIT form: one transport takes the page's line, a second one sends the
added line. For calls to the page: one transport with a two-way line for each kind.

Knows session descriptions and tones. Must not know SIP.
"""

from __future__ import annotations

import asyncio
import fractions
import re
from typing import Final

import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from tests.peers.tone import Peak, Samples, peak_of, sine

RATE_HZ: Final = 48_000
FRAME_SAMPLES: Final = RATE_HZ // 50
REVERSE_MID: Final = "r0"


class ToneTrack(MediaStreamTrack):
    """A sine as the far side's voice, 20 ms a frame."""

    kind = "audio"

    def __init__(self, hz: float) -> None:
        super().__init__()
        self._hz = hz
        self._sent = 0
        self._started_s: float | None = None

    async def recv(self) -> AudioFrame:
        """Return the next frame when its time has come."""
        now_s = asyncio.get_running_loop().time()
        self._started_s = now_s if self._started_s is None else self._started_s
        await asyncio.sleep(max(0.0, self._started_s + self._sent / RATE_HZ - now_s))
        samples = sine(self._hz, rate_hz=RATE_HZ, start=self._sent, count=FRAME_SAMPLES)
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._sent
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self._sent += FRAME_SAMPLES
        return frame


class Ear:
    """What connections of the gateway get from the page: the last seconds of sound, and how many pictures."""

    def __init__(self, *connections: RTCPeerConnection) -> None:
        self.pictures = 0
        self._heard: list[Samples] = []
        self._listeners: list[asyncio.Task[None]] = []
        for connection in connections:
            self.listen_to(connection)

    def listen_to(self, connection: RTCPeerConnection) -> None:
        """Listen to one more connection."""
        connection.on("track", self._listen)

    async def hears(self, hz: float) -> Peak:
        """Wait until this tone is heard; the caller limits the time."""
        while True:
            peak = peak_of(np.concatenate(self._heard), RATE_HZ) if self._heard else None
            if peak is not None and peak.is_near(hz):
                return peak
            await asyncio.sleep(0.05)

    async def sees(self, pictures: int) -> None:
        """Wait until that many pictures were decoded; the caller limits the time."""
        while self.pictures < pictures:
            await asyncio.sleep(0.05)

    def forget(self) -> None:
        """Forget what was heard and seen so far."""
        self._heard.clear()
        self.pictures = 0

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.cancel()

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listeners.append(asyncio.ensure_future(self._record(track)))

    async def _record(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if not isinstance(frame, AudioFrame):
                self.pictures += 1
                continue
            samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
            self._heard.append(samples[:, 0].astype(np.int16))
            del self._heard[:-150]


class TwoWayPeer:
    """Offers the page one two-way line for each kind on one transport, and takes its answer."""

    def __init__(self, tone_hz: float, *, video: bool = False) -> None:
        self._connection = RTCPeerConnection()
        self._connection.addTrack(ToneTrack(tone_hz))
        if video:
            self._connection.addTrack(VideoStreamTrack())
        self.ear = Ear(self._connection)

    async def offer(self) -> str:
        """The offer of the INVITE."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return without_ssrc(self._connection.localDescription.sdp)

    async def take_answer(self, answer: str) -> None:
        """Take the answer in the page's 200."""
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        """Close the transport."""
        self.ear.close()
        await self._connection.close()


class MediaPeer:
    """Answers the page's one-way offer, then offers the other direction on a transport of its own."""

    def __init__(self, tone_hz: float) -> None:
        self._forward = RTCPeerConnection()
        self._reverse = RTCPeerConnection()
        self._reverse.addTransceiver(ToneTrack(tone_hz), direction="sendonly")
        self.ear = Ear(self._forward)

    async def answer(self, offer: str) -> str:
        """The answer to the page's offer: recvonly, no BUNDLE group (each line keeps its transport)."""
        await self._forward.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self._forward.setLocalDescription(await self._forward.createAnswer())
        return _without_group(self._forward.localDescription.sdp)

    async def offer_reverse_line(self) -> str:
        """The UPDATE's offer: the first line as it is, and the added one with its own transport."""
        await self._reverse.setLocalDescription(await self._reverse.createOffer())
        first = _without_group(self._forward.localDescription.sdp).replace(
            "a=setup:active", "a=setup:actpass"
        )
        _, added = _sections(without_ssrc(self._reverse.localDescription.sdp))
        # The transport knows its line as "0" and would stamp that into the packets (RFC 9143 §15).
        added = re.sub(r"^a=extmap:\S+ urn:ietf:params:rtp-hdrext:sdes:mid\r\n", "", added, flags=re.M)
        return _next_version(first) + re.sub(r"^a=mid:\S+", f"a=mid:{REVERSE_MID}", added, flags=re.M)

    async def take_answer(self, answer: str) -> None:
        """Take the page's answer for the added line."""
        session, *media = re.split(r"(?=^m=)", answer, flags=re.M)
        added = next(section for section in media if f"a=mid:{REVERSE_MID}" in section)
        text = _without_group(session) + added.replace(f"a=mid:{REVERSE_MID}", "a=mid:0")
        await self._reverse.setRemoteDescription(RTCSessionDescription(text, "answer"))

    async def close(self) -> None:
        """Close both transports."""
        self.ear.close()
        await self._forward.close()
        await self._reverse.close()


def without_ssrc(sdp: str) -> str:
    """As rtpengine describes what it sends: it names no sources."""
    return re.sub(r"^a=ssrc(-group)?:[^\r\n]*\r\n", "", sdp, flags=re.M)


def _without_group(sdp: str) -> str:
    return re.sub(r"^a=group:[^\r\n]*\r\n", "", sdp, flags=re.M)


def _sections(sdp: str) -> tuple[str, str]:
    session, media = re.split(r"(?=^m=)", sdp, maxsplit=1, flags=re.M)
    return session, media


def _next_version(sdp: str) -> str:
    return re.sub(r"^(o=\S+ \S+ )(\d+)", lambda match: f"{match[1]}{int(match[2]) + 1}", sdp, flags=re.M)
