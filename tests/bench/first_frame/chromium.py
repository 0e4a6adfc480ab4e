"""Chromium as the page's media with a camera; the signalling stays the scripted page's.

Knows RTCPeerConnection and when a browser has decoded a picture.  Must not know SIP.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from playwright.async_api import Browser, Page, Playwright, async_playwright

from tests.browser.softphone import ARGUMENTS, CHROMIUM, PERMISSION
from tests.peers.media import MediaTimeoutError

_CONNECTED_WITHIN_MS: Final = 10_000
_ORIGIN: Final = "https://bench.example/"

_PAGE: Final = """
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
window.offer_ = async ({direction, video}) => {
    const call = window.call_ = {pc: new RTCPeerConnection(), seenAt: 0};
    call.watch = setInterval(async () => {
        for (const line of (await call.pc.getStats()).values())
            if (line.type === "inbound-rtp" && line.kind === "video" && line.framesDecoded > (call.before ?? 0))
                call.seenAt ||= performance.now();
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
    const {pc} = window.call_;
    let frames = 0;
    for (const line of (await pc.getStats()).values())
        if (line.type === "inbound-rtp" && line.kind === "video") frames += line.framesDecoded;
    window.call_.before = frames;
    window.call_.seenAt = 0;
};
"""


class CameraMedia:
    """The peer connection of one call, as the scripted page wants its media."""

    def __init__(self, page: Page, clock_s: float) -> None:
        self._page = page
        self._clock_s = clock_s

    async def offer(self, direction: str, *, video: bool) -> str:
        """Offer microphone and, if wanted, camera."""
        sdp: str = await self._page.evaluate(
            "(how) => window.offer_(how)", {"direction": direction, "video": video}
        )
        return sdp

    async def answer_received(self, sdp: str) -> None:
        """Apply an answer."""
        await self._page.evaluate("(sdp) => window.call_.pc.setRemoteDescription({type: 'answer', sdp})", sdp)

    async def answer_offer(self, sdp: str) -> str:
        """Answer an offer; where it wants a picture, the camera is switched on."""
        answer: str = await self._page.evaluate("(sdp) => window.answer_(sdp)", sdp)
        return answer

    async def until_connected(self) -> None:
        """Wait for ICE and DTLS."""
        await self._page.wait_for_function(
            "() => window.call_.pc.connectionState === 'connected'", timeout=_CONNECTED_WITHIN_MS
        )

    async def forget_seen(self) -> None:
        """Look for a further picture from now on."""
        await self._page.evaluate("() => window.again_()")

    async def first_picture_s(self, timeout_s: float) -> float:
        """Return when the first picture was decoded, by the monotonic clock of this machine."""
        deadline = time.monotonic() + timeout_s
        while not (seen_ms := await self._page.evaluate("() => window.call_.seenAt")):
            if time.monotonic() > deadline:
                raise MediaTimeoutError("no picture in the browser")
            await self._page.wait_for_timeout(20)
        return self._clock_s + float(seen_ms) / 1000

    async def close(self) -> None:
        """End it."""
        await self._page.evaluate("() => { clearInterval(window.call_.watch); window.call_.pc.close(); }")


class CameraBrowser:
    """One browser with one page for all calls; use as an async context manager."""

    _playwright: Playwright
    _browser: Browser
    _page: Page
    _clock_s: float

    async def __aenter__(self) -> Self:
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            executable_path=CHROMIUM,
            headless=True,
            args=(*ARGUMENTS, *PERMISSION, "--disable-features=WebRtcHideLocalIpsWithMdns"),
        )
        context = await self._browser.new_context(permissions=["microphone", "camera"])
        self._page = await context.new_page()
        await self._page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="<p>page"))
        await self._page.goto(_ORIGIN)
        await self._page.add_script_tag(content=_PAGE)
        await self._page.evaluate("() => window.open_()")
        before_s = time.monotonic()
        now_ms = await self._page.evaluate("() => performance.now()")
        self._clock_s = (before_s + time.monotonic()) / 2 - now_ms / 1000
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._browser.close()
        await self._playwright.stop()

    def media(self) -> CameraMedia:
        """Return the media of one call."""
        return CameraMedia(self._page, self._clock_s)
