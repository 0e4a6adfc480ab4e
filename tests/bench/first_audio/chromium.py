"""Chromium as the page's media; the signalling stays the scripted page's.

Knows RTCPeerConnection and how sound is noticed in a browser.  Must not know SIP.
"""

from __future__ import annotations

import time
from typing import Final

from playwright.async_api import Page

from tests.bench.chromium_page import ChromiumPage
from tests.bench.first_audio.sound import AUDIBLE, FirstSound
from tests.peers.aiortc_wic import TONE_HZ, SendDirection
from tests.peers.media import MediaTimeoutError

_CONNECTED_WITHIN_MS: Final = 10_000

_PAGE: Final = """
const EAR = `registerProcessor("ear", class extends AudioWorkletProcessor {
    process([input]) {
        const channel = input[0];
        if (channel && channel.some((sample) => Math.abs(sample) > LEAST)) { this.port.postMessage(0); return false; }
        return true;
    }
})`;
window.open_ = async (least, hz) => {
    const context = window.context = new AudioContext({sampleRate: 48000});
    await context.resume();
    const url = URL.createObjectURL(new Blob([EAR.replace("LEAST", least)], {type: "text/javascript"}));
    await context.audioWorklet.addModule(url);
    const oscillator = new OscillatorNode(context, {frequency: hz});
    const destination = context.createMediaStreamDestination();
    oscillator.connect(new GainNode(context, {gain: 0.3})).connect(destination);
    oscillator.start();
    window.tone = destination.stream.getAudioTracks()[0];
};
window.offer_ = async (direction) => {
    const call = window.call_ = {pc: new RTCPeerConnection(), heardAt: 0};
    call.pc.ontrack = ({track, transceiver}) => {
        const sound = new MediaStream([track]);
        const sink = new Audio();  // Chromium decodes a remote track only where an element takes it
        sink.srcObject = sound; sink.muted = true; sink.play();
        const ear = new AudioWorkletNode(window.context, "ear");
        ear.port.onmessage = () => { call.heardAt ||= performance.now(); };
        window.context.createMediaStreamSource(sound).connect(ear);
    };
    call.pc.addTransceiver(window.tone, {direction});
    await call.pc.setLocalDescription();
    while (call.pc.iceGatheringState !== "complete")
        await new Promise((done) => { call.pc.onicegatheringstatechange = done; });
    return call.pc.localDescription.sdp;
};
window.answer_ = async (sdp) => {
    await window.call_.pc.setRemoteDescription({type: "offer", sdp});
    await window.call_.pc.setLocalDescription();
    return window.call_.pc.localDescription.sdp;
};
"""


class ChromiumMedia:
    """The peer connection of one call."""

    def __init__(self, page: Page, clock_s: float) -> None:
        self._page = page
        self._clock_s = clock_s
        self.sound = FirstSound()

    async def offer(self, *, audio: SendDirection) -> str:
        """Offer a tone."""
        sdp: str = await self._page.evaluate("(direction) => window.offer_(direction)", audio)
        return sdp

    async def answer_received(self, sdp: str) -> None:
        """Apply an answer."""
        await self._page.evaluate("(sdp) => window.call_.pc.setRemoteDescription({type: 'answer', sdp})", sdp)

    async def answer_offer(self, sdp: str) -> str:
        """Answer an offer of the gateway."""
        answer: str = await self._page.evaluate("(sdp) => window.answer_(sdp)", sdp)
        return answer

    async def until_connected(self) -> None:
        """Wait for ICE and DTLS."""
        await self._page.wait_for_function(
            "() => window.call_.pc.connectionState === 'connected'", timeout=_CONNECTED_WITHIN_MS
        )

    async def until_heard_anything(self, timeout_s: float) -> None:
        """Wait for sound; a browser does not show its packets, so that is all there is to know."""
        deadline = time.monotonic() + timeout_s
        while not (heard_ms := await self._page.evaluate("() => window.call_.heardAt")):
            if time.monotonic() > deadline:
                raise MediaTimeoutError("no sound in the browser")
            await self._page.wait_for_timeout(20)
        self.sound.played_s = self.sound.decoded_s = self._clock_s + heard_ms / 1000

    async def close(self) -> None:
        """End it."""
        await self._page.evaluate("() => window.call_.pc.close()")


class ChromiumClient(ChromiumPage):
    """The browser that speaks and listens."""

    def __init__(self) -> None:
        start = "([least, hz]) => window.open_(least, hz)"
        super().__init__(_PAGE, start, [AUDIBLE / 32768, TONE_HZ], permissions=["microphone"])

    def media(self) -> ChromiumMedia:
        """Return the media of one call."""
        return ChromiumMedia(self.page, self.clock_s)
