"""A scripted page with real media: aiortc's ICE, DTLS-SRTP, Opus and VP8 behind ScriptedWic.

Knows how a page uses its RTCPeerConnection in the answer-then-UPDATE flow and measures what it
hears and sees. Must not know the gateway's inside. aiortc honours the first BUNDLE group only.
"""

from __future__ import annotations

import asyncio
import fractions
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Literal, Self

import av
import numpy as np
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from tests.peers.call_plan import CallPlan
from tests.peers.dialog import Pairs
from tests.peers.media import MediaTimeoutError
from tests.peers.refused_lines import held_instead, refuse
from tests.peers.tone import Peak, Samples, peak_of, sine
from tests.peers.video import FRAMES_PER_S, moving_picture
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall

SendDirection = Literal["sendonly", "sendrecv"]

TONE_HZ: Final = 1000.0
_AUDIO_RATE_HZ: Final = 48000
_AUDIO_FRAME: Final = 960
_HEARD_S: Final = 2
_MOST_LATE_S: Final = 0.2
"""Who is later goes on from where it is: no sound card sends a second's sound at once."""


class ToneTrack(MediaStreamTrack):
    """A sine at 48 kHz in 20 ms frames."""

    kind = "audio"

    def __init__(self, hz: float = TONE_HZ) -> None:
        super().__init__()
        self._hz = hz
        self._count = 0
        self._start_s: float | None = None

    async def recv(self) -> av.AudioFrame:
        """Return the next frame when it is due."""
        now = time.monotonic()
        self._start_s = now if self._start_s is None else self._start_s
        early_s = self._start_s + self._count * _AUDIO_FRAME / _AUDIO_RATE_HZ - now
        if early_s < -_MOST_LATE_S:
            self._start_s -= early_s
        await asyncio.sleep(max(0.0, early_s))
        start = self._count * _AUDIO_FRAME
        samples = sine(self._hz, rate_hz=_AUDIO_RATE_HZ, start=start, count=_AUDIO_FRAME)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.pts = start
        frame.sample_rate = _AUDIO_RATE_HZ
        frame.time_base = fractions.Fraction(1, _AUDIO_RATE_HZ)
        self._count += 1
        return frame


class PictureTrack(MediaStreamTrack):
    """The moving test picture."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._start_s: float | None = None

    async def recv(self) -> av.VideoFrame:
        """Return the next frame when it is due."""
        self._start_s = time.monotonic() if self._start_s is None else self._start_s
        await asyncio.sleep(max(0.0, self._start_s + self._number / FRAMES_PER_S - time.monotonic()))
        frame = moving_picture(self._number)
        self._number += 1
        return frame


class ReceivedAudio:
    """What one receiving audio line heard."""

    def __init__(self) -> None:
        self._samples: Samples = np.zeros(0, np.int16)
        self._rate_hz = _AUDIO_RATE_HZ
        self.frames = 0

    def take(self, frame: av.AudioFrame) -> None:
        """Keep the last two seconds, first channel, at the codec's rate; G.711 has 8 kHz."""
        self._rate_hz = frame.sample_rate
        channels = len(frame.layout.channels)
        samples: Samples = frame.to_ndarray().reshape(-1)[::channels].astype(np.int16)
        self._samples = np.concatenate([self._samples, samples])[-_HEARD_S * self._rate_hz :]
        self.frames += 1

    def forget(self) -> None:
        """Listen anew."""
        self._samples = self._samples[:0]

    @property
    def peak(self) -> Peak | None:
        """Spectral peak of the last second; None before a quarter second was heard."""
        return peak_of(self._samples, self._rate_hz)


class ReceivedVideo:
    """What one receiving video line showed."""

    def __init__(self) -> None:
        self.frames = 0
        self.size: tuple[int, int] | None = None

    def take(self, frame: av.VideoFrame) -> None:
        """Count a decoded frame."""
        self.frames += 1
        self.size = (frame.width, frame.height)


class AiortcMedia:
    """The peer connection of one call, as `PageMedia`."""

    def __init__(self) -> None:
        # Where there is no BUNDLE group each line has its own transport, as in a browser; by default aiortc would put
        # lines of one kind onto one.
        self.connection = RTCPeerConnection(RTCConfiguration(bundlePolicy=RTCBundlePolicy.MAX_COMPAT))
        self.turns_with_offers = False
        """As stock SIP.js: all its lines take the direction of the offer."""
        self.audio: dict[str, ReceivedAudio] = {}
        """By mid; the lines the gateway added are the ones that hear."""
        self.video: dict[str, ReceivedVideo] = {}
        self._pumps: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.connection.on("track", self._track_received)
        self.connection.on("connectionstatechange", self._changed.set)
        self.connection.on("signalingstatechange", self._changed.set)

    @property
    def mids(self) -> list[str]:
        """Mids of the lines in order, once they are negotiated."""
        return [t.mid for t in self.connection.getTransceivers() if t.mid is not None]

    async def offer(
        self,
        *,
        audio: SendDirection = "sendonly",
        video: SendDirection | None = None,
        tone_hz: float = TONE_HZ,
        video_codec: str = "",
    ) -> str:
        """Add the tracks and return the offer.

        `video_codec`: the only one that is offered, "VP8"; "" for all. aiortc goes on sending the codec it began with,
        whatever is negotiated later.
        """
        self.connection.addTransceiver(ToneTrack(tone_hz), direction=audio)
        if video is not None:
            line = self.connection.addTransceiver(PictureTrack(), direction=video)
            known = RTCRtpSender.getCapabilities("video").codecs
            line.setCodecPreferences([codec for codec in known if codec.name == video_codec])
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def offer_again(
        self, directions: Mapping[str, str] | None = None, *, video: SendDirection | None = None
    ) -> str:
        """Return an offer of the running session: other directions by mid, perhaps one more picture."""
        for transceiver in self.connection.getTransceivers():
            mid = transceiver.mid or ""
            transceiver.direction = (directions or {}).get(mid, transceiver.direction)
        if video is not None:
            self.connection.addTransceiver(PictureTrack(), direction=video)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def answer_received(self, sdp: str) -> None:
        """Apply an answer."""
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def answer_offer(self, sdp: str) -> str:
        """Apply an offer of the gateway and return the answer; added lines receive only.

        A call that came in sends the tone and, when asked for, the picture.
        """
        # The gateway may offer right behind its answer, which comes first for a page, too.
        await self._until(lambda: self.connection.signalingState != "have-local-offer", "an answer", 5.0)
        earlier = self.connection.remoteDescription
        applicable, stopped = held_instead(sdp, earlier.sdp if earlier is not None else "")
        await self.connection.setRemoteDescription(RTCSessionDescription(applicable, "offer"))
        if earlier is None:
            for transceiver in self.connection.getTransceivers():
                self.send_on(transceiver)
        elif self.turns_with_offers:
            for transceiver in self.connection.getTransceivers():
                transceiver.direction = "sendrecv"
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return refuse(self.connection.localDescription.sdp, stopped)

    async def until_connected(self, *, timeout_s: float = 10.0) -> None:
        """Wait for ICE and DTLS of every transport."""
        await self._until(lambda: self.connection.connectionState == "connected", "connected", timeout_s)

    async def until_heard(self, hz: float, *, mid: str, timeout_s: float = 10.0) -> Peak:
        """Wait for a tone on the line `mid` and return its peak."""

        def heard() -> bool:
            line = self.audio.get(mid)
            peak = line.peak if line is not None else None
            return peak is not None and peak.is_near(hz)

        await self._until(heard, f"{hz} Hz on {mid}", timeout_s)
        peak = self.audio[mid].peak
        assert peak is not None
        return peak

    def forget_received(self) -> None:
        """Listen anew: what was heard so far proves nothing of what comes after a change."""
        for line in self.audio.values():
            line.forget()

    async def until_seen(self, frames: int, *, mid: str, timeout_s: float = 15.0) -> ReceivedVideo:
        """Wait for that many decoded frames on the line `mid`."""
        await self._until(
            lambda: mid in self.video and self.video[mid].frames >= frames,
            f"{frames} frames on {mid}",
            timeout_s,
        )
        return self.video[mid]

    async def close(self) -> None:
        """Stop media."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self.connection.close()

    async def _until(self, done: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise MediaTimeoutError(f"no {what} within {timeout_s} s") from None

    async def _pump(self, track: MediaStreamTrack, sink: ReceivedAudio | ReceivedVideo) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(sink, ReceivedAudio):
                assert isinstance(frame, av.AudioFrame)
                sink.take(frame)
            else:
                assert isinstance(frame, av.VideoFrame)
                sink.take(frame)
            self._changed.set()

    def send_on(self, transceiver: RTCRtpTransceiver) -> None:
        """Let a line of an incoming call send the tone or the picture, as far as it was offered."""
        track: MediaStreamTrack = ToneTrack() if transceiver.kind == "audio" else PictureTrack()
        transceiver.sender.replaceTrack(track)
        transceiver.direction = "sendrecv"

    def _track_received(self, track: MediaStreamTrack) -> None:
        transceiver = next(t for t in self.connection.getTransceivers() if t.receiver.track is track)
        mid = transceiver.mid or ""
        sink: ReceivedAudio | ReceivedVideo
        if track.kind == "audio":
            sink = self.audio.setdefault(mid, ReceivedAudio())
        else:
            sink = self.video.setdefault(mid, ReceivedVideo())
        self._pumps.append(asyncio.create_task(self._pump(track, sink)))


class AiortcWic(ScriptedWic):
    """A scripted page with real media; use as an async context manager."""

    def __init__(self, handshake: Handshake | str, identity: WicIdentity | None = None) -> None:
        super().__init__(handshake, identity)
        self.media: list[AiortcMedia] = []
        self.incoming_media = lambda invite: self.new_media()

    def new_media(self) -> AiortcMedia:
        """Return media that this page closes."""
        media = AiortcMedia()
        self.media.append(media)
        return media

    async def dial(
        self,
        target: str,
        *,
        audio: SendDirection = "sendonly",
        video: SendDirection | None = None,
        tone_hz: float = TONE_HZ,
        plan: CallPlan | None = None,
        headers: Pairs = (),
    ) -> tuple[OutgoingCall, AiortcMedia]:
        """Offer live media and return the call with its media."""
        media = self.new_media()
        offer = await media.offer(audio=audio, video=video, tone_hz=tone_hz)
        return await self.invite(target, offer, plan=plan, headers=headers, media=media), media

    async def close(self) -> None:
        """Stop media and signalling."""
        for media in self.media:
            await media.close()
        await super().close()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
