"""The same softphone in Debian's Firefox ESR, with its fake microphone as voice.

Knows what Firefox does differently: no AudioContext without a sound device, no messages of a WebSocket for playwright.
Must not know the gateway.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, Final

from playwright.sync_api import Browser, Page, Playwright

from tests.browser.firefox import PREFERENCES
from tests.browser.firefox_for_playwright import launched
from tests.browser.softphone import SoftphoneBrowser
from tests.browser.web_user import WebUser
from tests.peers.sip import message_from_bytes
from tests.peers.trace import Direction, Entry

NO_PERMISSION: Final[dict[str, bool | int | str]] = {
    "media.navigator.permission.disabled": False,
    "permissions.default.microphone": 2,  # Firefox's number for "block"
}

_RECORD_SIP: Final = """(() => {
    window.sipFrames = [];
    const note = (sent, data) => window.sipFrames.push([sent, data, Date.now()]);
    window.WebSocket = class extends WebSocket {
        constructor(...all) {
            super(...all);
            if (this.url.endsWith("/sip")) this.addEventListener("message", ({data}) => note(false, data));
        }
        send(data) {
            if (this.url.endsWith("/sip")) note(true, data);
            super.send(data);
        }
    };
})()"""

_MAKE_STREAM: Final = """async ({video}) => {
    window.softphone.streams = await navigator.mediaDevices.getUserMedia({audio: true, video});
}"""

# Recorded and decoded: an analyser would need an AudioContext, and that a sound device.
_LISTEN: Final = """async () => {
    const track = window.softphone.call.remoteStream.getAudioTracks()[0];
    if (!track || track.readyState !== "live") return 0;
    const recorder = new MediaRecorder(new MediaStream([track])), parts = [];
    recorder.ondataavailable = ({data}) => parts.push(data);
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 400));
    if (recorder.state !== "inactive") recorder.stop();
    await stopped;
    const recorded = await new Blob(parts).arrayBuffer(), rate = 16000;
    const sound = await new OfflineAudioContext(1, rate, rate).decodeAudioData(recorded).catch(() => null);
    const samples = sound?.getChannelData(0).slice(-rate / 5) ?? [];
    let best = {hz: 0, level: 0.003};
    for (let hz = 200; hz <= 1500; hz += 5) {
        const step = 2 * Math.PI * hz / rate;
        let real = 0, imaginary = 0;
        samples.forEach((sample, index) => {
            real += sample * Math.cos(step * index);
            imaginary += sample * Math.sin(step * index);
        });
        const level = 2 * Math.hypot(real, imaginary) / samples.length;
        if (level > best.level) best = {hz, level};
    }
    return best.hz;
}"""


class FirefoxSoftphone(SoftphoneBrowser):
    """One Firefox with one softphone page."""

    def __init__(
        self,
        origin: str,
        *,
        voice_hz: float = 1000.0,
        playwright: Playwright | None = None,
        preferences: dict[str, bool | int | str] | None = None,
    ) -> None:
        """`voice_hz`: what the fake microphone of this browser sounds like, for good."""
        super().__init__(origin, playwright=playwright)
        self._voice_hz = voice_hz
        self._preferences = {
            **PREFERENCES,
            "media.navigator.audio.fake_frequency": round(voice_hz),
            **(preferences or {}),
        }
        self._open = ExitStack()
        self._taken = 0

    def speak(self, tone_hz: float, *, video: bool = False) -> None:
        assert tone_hz == self._voice_hz, "Firefox has one voice"
        self.page.evaluate(_MAKE_STREAM, {"video": video})

    def heard_hz(self) -> float:
        return float(self.evaluate(_LISTEN))

    def wait_tones(self, *tones_hz: float, timeout_s: float = 30.0) -> None:
        raise NotImplementedError("this ear hears one tone")

    def call_entries(self, call_id: str) -> list[Entry]:
        self._take_frames()
        return super().call_entries(call_id)

    def _launch(self, playwright: Playwright) -> Browser:
        return self._open.enter_context(launched(playwright, self._preferences))

    def _listen(self, page: Page) -> None:
        page.add_init_script(_RECORD_SIP)
        super()._listen(page)

    def _close(self) -> None:
        self._open.close()
        self._browser = None
        super()._close()

    def _take_frames(self) -> None:
        frames: list[Any] = self.page.evaluate("() => window.sipFrames")
        offset = time.monotonic() - time.time()
        for is_sent, text, at_ms in frames[self._taken :]:
            if text.strip():
                direction = Direction.SENT if is_sent else Direction.RECEIVED
                self.entries.append(
                    Entry(at_ms / 1000 + offset, direction, message_from_bytes(text.encode()))
                )
        self._taken = len(frames)


class FirefoxWebUser(FirefoxSoftphone, WebUser):
    """A person who logs in on the web."""
