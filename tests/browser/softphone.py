"""The softphone page in a real Chromium, driven as a person would, with a tone instead of a voice.

Knows the page's form fields, its documented test hook `window.softphone` and the SIP messages on the WebSocket.
Must not know the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from playwright.sync_api import Browser, Page, Playwright, WebSocket, sync_playwright

from tests.peers.sip import message_from_bytes
from tests.peers.trace import Direction, Entry

CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox",  # the lab may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
)
# A page that may use camera and microphone also sees its own addresses; without, they hide behind mDNS names and
# only STUN tells the page where it is.
PERMISSION: Final = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
POLL_S: Final = 0.05

_MAKE_STREAM: Final = """async ({toneHz, video}) => {
    const context = new AudioContext({sampleRate: 48000});
    await context.resume();
    const oscillator = new OscillatorNode(context, {frequency: toneHz});
    const gain = new GainNode(context, {gain: 0.3});
    const destination = context.createMediaStreamDestination();
    oscillator.connect(gain).connect(destination);
    oscillator.start();
    const tracks = destination.stream.getAudioTracks();
    if (video) {
        const camera = await navigator.mediaDevices.getUserMedia({video: {width: 352, height: 288}});
        tracks.push(...camera.getVideoTracks());
    }
    window.softphone.streams = new MediaStream(tracks);
}"""

_LISTEN: Final = """() => {
    const track = window.softphone.call.remoteStream.getAudioTracks()[0];
    if (!track) return {hz: 0, trackId: ''};
    const ear = window.testEar ??= {context: new AudioContext({sampleRate: 48000})};
    if (ear.track !== track) {  // another call may have a track of the same id
        ear.track = track;
        ear.analyser = new AnalyserNode(ear.context, {fftSize: 16384, smoothingTimeConstant: 0});
        ear.context.createMediaStreamSource(new MediaStream([track])).connect(ear.analyser);
        ear.context.resume();
    }
    const bins = new Float32Array(ear.analyser.frequencyBinCount);
    ear.analyser.getFloatFrequencyData(bins);
    let best = 3;
    for (let bin = 3; bin < bins.length; bin++) if (bins[bin] > bins[best]) best = bin;
    const loud = bins[best] > -60, perBin = ear.context.sampleRate / ear.analyser.fftSize;
    const tones = [];
    for (let bin = 8; loud && bin < bins.length - 8; bin++) {
        const around = Math.max(...bins.subarray(bin - 8, bin + 9));
        if (bins[bin] > bins[best] - 25 && bins[bin] === around) tones.push(bin * perBin);
    }
    return {hz: loud ? best * perBin : 0, tones, trackId: track.id};
}"""


@dataclass(frozen=True)
class RemoteVideo:
    """What the page shows of the other side."""

    width: int
    height: int
    frames_decoded: int


class SoftphoneBrowser:
    """One browser with one softphone page."""

    def __init__(
        self,
        origin: str,
        *,
        camera: bool = False,
        playwright: Playwright | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """`camera`: the person has let the page use camera and microphone (needed for video).

        `playwright`: of another browser that stays open longer; there can be only one of it.
        `arguments`: more of them for Chromium; of two that contradict each other the last one counts.
        """
        self.origin = origin
        self._arguments = [*ARGUMENTS, *(PERMISSION if camera else ()), *arguments]
        self.entries: list[Entry] = []
        self.console: list[str] = []
        self._borrowed = playwright
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._page: Page | None = None

    def __enter__(self) -> Self:
        self._playwright = self._borrowed or sync_playwright().start()
        try:
            self._browser = self._launch(self._playwright)
            # The lab signs its own certificate.
            page = self._browser.new_context(ignore_https_errors=True).new_page()
            self._listen(page)
            page.goto(self.origin, wait_until="load")
            page.wait_for_selector("#sign-in[data-ready]", state="attached")
        except BaseException:
            self._close()
            raise
        self._page = page
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _launch(self, playwright: Playwright) -> Browser:
        return playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=self._arguments)

    def _listen(self, page: Page) -> None:
        page.on("websocket", self._watch)
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(f"page error: {error}"))

    def _close(self) -> None:
        if self._browser is not None:
            self._browser.close()
        if self._playwright is not None and self._borrowed is None:
            self._playwright.stop()

    @property
    def playwright(self) -> Playwright:
        """For a second browser beside this one."""
        assert self._playwright is not None, "not opened"
        return self._playwright

    @property
    def page(self) -> Page:
        """The page itself."""
        assert self._page is not None, "not opened"
        return self._page

    # -- what a person does

    def sign_in(self, user: str, password: str, timeout_s: float = 30.0) -> None:
        """Sign in with a SIP password and wait until the page is registered."""
        if self.page.is_visible("#way-sip"):
            self.page.check("#way-sip")
        self.fill_in(user, password)
        self.wait_registered(timeout_s)

    def fill_in(self, user: str, password: str) -> None:
        """Fill in the form, whatever way is chosen, and press the button."""
        self.page.fill("#user", user)
        self.page.fill("#password", password)
        self.page.click("#sign-in button[type=submit]")

    def wait_registered(self, timeout_s: float = 30.0) -> None:
        """Wait until the page is registered."""
        self.wait(
            lambda: self.evaluate("() => window.softphone.phone?.state") == "registered",
            "registered",
            timeout_s,
        )

    def dial(self, target: str, *, tone_hz: float = 1000.0, video: bool = False) -> None:
        """Dial with a tone as voice, and the browser's test picture as camera."""
        self.speak(tone_hz, video=video)
        self.page.fill("#target", target)
        self.page.click(f"#dial button[value={'video' if video else 'audio'}]")

    def speak(self, tone_hz: float, *, video: bool = False) -> None:
        """Have this tone as voice, for a call that is to come."""
        self.page.evaluate(_MAKE_STREAM, {"toneHz": tone_hz, "video": video})

    def answer(self, timeout_s: float = 30.0, *, video: bool = False) -> None:
        """Wait until it rings, and take the call."""
        self.page.wait_for_selector("#incoming .ringing", timeout=timeout_s * 1000)
        self.page.click(f"#incoming [data-part={'answer-video' if video else 'answer'}]")

    def hang_up(self, timeout_s: float = 30.0) -> None:
        """Press the button and wait for the end."""
        self.page.click("#hangup")
        self.wait(lambda: self.state == "ended", "call ended", timeout_s)

    # -- what it leads to

    @property
    def state(self) -> str:
        """State of the current call."""
        return str(self.evaluate("() => window.softphone.call?.state ?? ''"))

    def wait_established(self, timeout_s: float = 30.0) -> None:
        """Wait until the call is answered; fails at once with the reason when it ends instead."""

        def answered() -> bool:
            state = self.state
            assert state != "ended", f"the call ended: {self.end_reason()}"
            return state == "established"

        self.wait(answered, "call established", timeout_s)

    def end_reason(self) -> str:
        """Say why the call ended."""
        return str(self.evaluate("() => String(window.softphone.call?.end?.error ?? '')"))

    def heard_hz(self) -> float:
        """Return the strongest frequency of the other side's voice, 0.0 for silence."""
        return float(self.evaluate(_LISTEN)["hz"])

    def wait_tones(self, *tones_hz: float, timeout_s: float = 30.0) -> None:
        """Wait until these tones (±15 Hz, lowest first) are all that is heard of the other side."""
        heard: list[float] = []

        def right() -> bool:
            heard[:] = self.evaluate(_LISTEN)["tones"]
            pairs = zip(heard, tones_hz, strict=False)
            return len(heard) == len(tones_hz) and all(abs(one - other) <= 15.0 for one, other in pairs)

        self.wait(right, f"tones {tones_hz}", timeout_s, lambda: f"heard {heard}")

    def wait_tone(self, hz: float, timeout_s: float = 30.0) -> float:
        """Wait until the other side's voice is this tone (±15 Hz)."""
        heard = [0.0]

        def right() -> bool:
            heard[0] = self.heard_hz()
            return abs(heard[0] - hz) <= 15.0

        self.wait(right, f"tone of {hz:.0f} Hz", timeout_s, lambda: f"heard {heard[0]:.0f} Hz")
        return heard[0]

    def stats(self) -> dict[str, Any]:
        """Return the SDK's statistics of this moment."""
        stats: dict[str, Any] = self.evaluate("() => window.softphone.call.stats()")
        return stats

    def diagnostics(self) -> dict[str, Any]:
        """Return the SDK's diagnostics."""
        found: dict[str, Any] = self.evaluate("() => window.softphone.call.diagnostics()")
        return found

    def inbound(self, kind: str) -> list[dict[str, Any]]:
        """Return the statistics of the lines of a kind that carry packets towards the page."""
        return [line for line in self.stats()["inbound"] if line["kind"] == kind and line["packets"] > 0]

    def remote_video(self) -> RemoteVideo:
        """Return what the page shows of the other side."""
        shown = self.evaluate(
            "() => { const v = document.getElementById('remote-video'); return [v.videoWidth, v.videoHeight]; }"
        )
        frames = sum(line["framesDecoded"] or 0 for line in self.inbound("video"))
        return RemoteVideo(int(shown[0]), int(shown[1]), frames)

    # -- helpers

    def ladder(self) -> list[str]:
        """Return the SIP messages of the current call, as on the wire."""
        call_id = self.diagnostics()["callId"]
        return [entry.label for entry in self.call_entries(call_id)]

    def call_entries(self, call_id: str) -> list[Entry]:
        """Return the messages of one call, with times."""
        return [entry for entry in self.entries if entry.message.call_id == call_id]

    def evaluate(self, script: str) -> Any:
        """Run a function in the page."""
        return self.page.evaluate(script)

    def wait(
        self, done: Callable[[], bool], what: str, timeout_s: float, detail: Callable[[], str] = lambda: ""
    ) -> None:
        """Poll until done; the failure says what was waited for and what the page complained about."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"no {what} within {timeout_s} s; {detail()} console: {self.console[-5:]}"
                )
            self.page.wait_for_timeout(POLL_S * 1000)

    def _watch(self, socket: WebSocket) -> None:
        if not socket.url.endswith("/sip"):
            return
        socket.on("framesent", lambda payload: self._record(Direction.SENT, payload))
        socket.on("framereceived", lambda payload: self._record(Direction.RECEIVED, payload))

    def _record(self, direction: Direction, payload: str | bytes) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        if data.strip():  # not the keep-alive's empty lines (RFC 5626 §3.5.1)
            self.entries.append(Entry(time.monotonic(), direction, message_from_bytes(data)))
