"""A page's media with a camera, in whatever browser; the signalling stays the scripted page's.

Knows RTCPeerConnection and when a browser has decoded a picture.  Must not know SIP, nor how a browser is driven.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from tests.peers.media import MediaTimeoutError

_CONNECTED_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.02

PAGE: Final = """
window.open_ = async () => {
    const size = {width: 320, height: 240, frameRate: 15};
    window.camera = (await navigator.mediaDevices.getUserMedia({video: size})).getVideoTracks()[0];
    window.microphone = (await navigator.mediaDevices.getUserMedia({audio: true})).getAudioTracks()[0];
};
const directionOf = (sdp, mid) => {
    const line = sdp.split("\\r\\nm=").find((text) => text.includes(`a=mid:${mid}\\r\\n`)) ?? "";
    return /a=(sendrecv|sendonly|recvonly|inactive)/.exec(line)?.[1] ?? "sendrecv";
};
const gathered = async (pc) => {
    while (pc.iceGatheringState !== "complete")
        await new Promise((done) => { pc.onicegatheringstatechange = done; });
    return pc.localDescription.sdp;
};
const decoded = async (pc) => {
    let frames = 0;
    for (const line of (await pc.getStats()).values())
        if (line.type === "inbound-rtp" && line.kind === "video") frames += line.framesDecoded;
    return frames;
};
window.offer_ = async ({direction, video}) => {
    const call = window.call_ = {pc: new RTCPeerConnection(), frames: 0, seenAt: 0};
    call.watch = setInterval(async () => {
        const frames = await decoded(call.pc);
        if (frames && frames !== call.frames) call.seenAt ||= performance.now();
        call.frames = frames;  // Chromium counts anew where a line begins anew
    }, 10);
    call.pc.ontrack = ({track}) => {  // Chromium decodes only what an element plays
        const sink = document.createElement(track.kind);
        sink.srcObject = new MediaStream([track]); sink.muted = true; sink.play();
    };
    call.pc.addTransceiver(window.microphone, {direction});
    if (video) {
        const line = call.pc.addTransceiver(window.camera, {direction});
        const {codecs} = RTCRtpReceiver.getCapabilities("video");
        line.setCodecPreferences(codecs.filter(({mimeType}) => /VP8|H264/.test(mimeType)));
    }
    await call.pc.setLocalDescription();
    return gathered(call.pc);
};
window.answer_ = async (sdp) => {
    const {pc} = window.call_;
    await pc.setRemoteDescription({type: "offer", sdp});
    for (const line of pc.getTransceivers()) {
        const direction = directionOf(sdp, line.mid);
        if (line.receiver.track.kind !== "video" || line.sender.track || !/recv/.test(direction)) continue;
        await line.sender.replaceTrack(window.camera);
        line.direction = direction === "recvonly" ? "sendonly" : "sendrecv";
    }
    await pc.setLocalDescription();
    return gathered(pc);
};
window.again_ = async () => {
    window.call_.frames = await decoded(window.call_.pc);
    window.call_.seenAt = 0;
};
"""
START: Final = "() => window.open_()"


Evaluate = Callable[..., Awaitable[Any]]
"""Calls a function of the page, with one argument or none, and returns what it returns."""


class CameraMedia:
    """The peer connection of one call, as the scripted page wants its media."""

    def __init__(self, evaluate: Evaluate, clock_s: float) -> None:
        self._evaluate = evaluate
        self._clock_s = clock_s

    async def offer(self, direction: str, *, video: bool) -> str:
        """Offer microphone and, if wanted, camera."""
        how = {"direction": direction, "video": video}
        sdp: str = await self._evaluate("(how) => window.offer_(how)", how)
        return sdp

    async def answer_received(self, sdp: str) -> None:
        """Apply an answer."""
        await self._evaluate("(sdp) => window.call_.pc.setRemoteDescription({type: 'answer', sdp})", sdp)

    async def answer_offer(self, sdp: str) -> str:
        """Answer an offer; where it wants a picture, the camera is switched on."""
        answer: str = await self._evaluate("(sdp) => window.answer_(sdp)", sdp)
        return answer

    async def until_connected(self) -> None:
        """Wait for ICE and DTLS."""
        connected = "() => window.call_.pc.connectionState === 'connected'"
        await self._until(connected, "the browser does not connect", _CONNECTED_WITHIN_S)

    async def forget_seen(self) -> None:
        """Look for a further picture from now on."""
        await self._evaluate("() => window.again_()")

    async def first_picture_s(self, timeout_s: float) -> float:
        """Return when the first picture was decoded, by the monotonic clock of this machine."""
        seen_ms = await self._until("() => window.call_.seenAt", "no picture in the browser", timeout_s)
        return self._clock_s + float(seen_ms) / 1000

    async def close(self) -> None:
        """End it."""
        await self._evaluate("() => { clearInterval(window.call_.watch); window.call_.pc.close(); }")

    async def _until(self, function: str, complaint: str, timeout_s: float) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (found := await self._evaluate(function)):
            if time.monotonic() > deadline:
                raise MediaTimeoutError(complaint)
            await asyncio.sleep(_POLL_S)
        return found


class CameraBrowser(Protocol):
    """A browser with a camera."""

    def media(self) -> CameraMedia:
        """Return the media of one call."""
