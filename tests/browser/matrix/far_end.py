"""The far end of the mapped calls: a scripted core in a thread of its own, with a device that speaks, listens, shows
pictures and decodes what it is shown, whatever is changed.

Knows the core's side. Must not know pages.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tests.lab.subscribers import REALM
from tests.peers.calling_device import CallingDevice
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.core_call import CalledDevice, CoreCall
from tests.peers.core_script import CoreScript, answers, rejects
from tests.peers.device_sdp import DeviceMedia, device_offer, orientation_numbers
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import MediaSection, Sdp, sdp_from_text, sdp_to_text
from tests.peers.trace import Direction

T = TypeVar("T")

PCMA: Final = 8
HEARD_WITHIN_S: Final = 30.0
_ANSWER_S: Final = 20.0
_PACKETS: Final = 15
"""Enough to tell a tone from silence."""
_ASK_AGAIN_S: Final = 0.5
QUARTER_TURN: Final = 1
"""In the extension's byte (TS 26.114 §7.4.5)."""


@dataclass
class Device:
    """One device of the core; its call comes later."""

    user: str
    tone_hz: float
    asks_by: str = "PLI"
    """How it asks for a key frame, and how it says that it may be asked; one that knows FIR knows RTP/AVPF, too."""
    video: str | None = "VP8"
    """Its codec; None: it has no camera and takes no pictures."""
    challenge: str = ""
    """What the core says once before it lets a call to this device on: a WWW-Authenticate value; "": it asks nobody."""
    ear: RtpEndpoint = field(default_factory=RtpEndpoint)
    camera: RtpEndpoint = field(default_factory=RtpEndpoint)
    call: CoreCall | None = None
    version: int = 1
    """Of its last description."""

    @property
    def media(self) -> DeviceMedia:
        """What it takes: audio as PCMA, video as VP8 and turned."""
        return DeviceMedia(
            audio_port=self.ear.port,
            video=self.video,
            video_port=self.camera.port,
            feedback=("ccm fir",) if self.asks_by == "FIR" else (),
            avpf=self.asks_by == "FIR",
            orientation=True,
        )

    def close(self) -> None:
        """Give the ports back."""
        self.ear.close()
        self.camera.close()

    # ------------------------------------------------------------------ what was agreed

    @property
    def descriptions(self) -> list[str]:
        """The gateway's descriptions in this call, offers and answers, in order."""
        assert self.call is not None
        return [
            entry.message.body
            for entry in self.call.trace.of_call(self.call.call_id)
            if entry.direction is Direction.RECEIVED and entry.message.has_sdp
        ]

    @property
    def told(self) -> Sdp:
        """The last of them."""
        return sdp_from_text(self.descriptions[-1])

    @property
    def protocol(self) -> str:
        """What the gateway says now of the transport of video."""
        return self._video_section.protocol

    @property
    def wanted_protocol(self) -> str:
        """What the device likes best."""
        return "RTP/AVPF" if self.media.avpf else "RTP/AVP"

    def direction(self, kind: str) -> str:
        """What the gateway says of a medium: a direction, or "off"."""
        sections = [section for section in self.told.media if section.kind == kind and section.port]
        return sections[0].direction if sections else "off"

    # ------------------------------------------------------------------ media

    def speak(self) -> None:
        """Send to where the gateway wants audio."""
        self.ear.send_to_sdp(sdp_to_text(self.told))
        self.ear.start_tone(self.tone_hz, PCMA)

    def show(self) -> None:
        """Send pictures to where the gateway wants them, as a new stream (RFC 3550 §8.1)."""
        self.camera.stop_sending()
        self.camera.ssrc = random.getrandbits(32)
        self.camera.send_to_sdp(sdp_to_text(self.told), "video")
        self.camera.extensions = {number: bytes([QUARTER_TURN]) for number in self.turned_numbers}
        self.camera.start_video("VP8", self._video_type)

    def show_what_has_begun(self) -> None:
        """Send pictures as a new stream without a key frame at its beginning."""
        self.camera.stop_sending()
        self.camera.ssrc = random.getrandbits(32)
        self.camera.key_frame_requests.clear()
        self.camera.start_video("VP8", self._video_type, begun=True)

    @property
    def turned_numbers(self) -> list[int]:
        """Under which number the packets of this call say how the picture is turned: one, or none."""
        return orientation_numbers(self._video_section)

    @property
    def _video_type(self) -> int:
        number = self._video_section.payload_type("VP8")
        assert number is not None
        return number

    @property
    def _video_section(self) -> MediaSection:
        return next(section for section in self.told.media if section.kind == "video" and section.port)

    def hears(self, hz: float) -> None:
        """Wait until the last of what arrives is a tone of that frequency."""
        self.ear.forget_received()

        def heard(ear: RtpEndpoint) -> bool:
            peak = ear.heard(PCMA)
            return peak is not None and peak.is_near(hz)

        self.ear.wait(heard, what=f"{hz} Hz at the device", timeout_s=HEARD_WITHIN_S)

    def hears_silence(self) -> None:
        """Wait until what arrives has no sound: packets of silence, or none."""
        deadline = time.monotonic() + HEARD_WITHIN_S
        while True:
            self.ear.forget_received()
            time.sleep(_PACKETS * 0.02)
            peak = self.ear.heard(PCMA)
            if peak is None or peak.level_db < -50.0:
                return
            assert time.monotonic() < deadline, f"the device hears {peak}"

    def sees(self, frames: int) -> tuple[int, int]:
        """Wait until that many pictures have been decoded anew; returns their size."""
        self.camera.forget_received()
        deadline = time.monotonic() + HEARD_WITHIN_S
        asked_at_s = 0.0
        while (found := self.camera.decoded("VP8", self._video_type)).frames < frames:
            assert time.monotonic() < deadline, f"the device decodes {found}"
            if time.monotonic() > asked_at_s + _ASK_AGAIN_S:
                self.camera.request_key_frame(self.asks_by)
                asked_at_s = time.monotonic()
            time.sleep(0.05)
        assert found.size is not None
        return found.size

    def turns(self) -> set[int]:
        """Return how what came since `sees` began is to be turned, in quarters; empty: nothing is said."""
        packets = self.camera.packets(self._video_type)
        return {
            packet.extensions[number][0] & 3
            for packet in packets
            for number in self.turned_numbers
            if number in packet.extensions
        }


class _Scripts(dict[str, CoreScript]):
    """What calls to a user meet; the first one perhaps something else."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, CoreScript] = {}

    def get(self, user: str, default: Any = None) -> Any:
        """Return what the next call to this user meets."""
        return self.first.pop(user, None) or super().get(user, default)


class FarEnd:
    """The core; use as a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self.core = ScriptedCore(host, port)
        self._scripts = _Scripts()
        self.core.scripts = self._scripts
        self.core.registrar = RegistrarScript(realm=REALM, associated_uris=())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self.core.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self.core.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def expect(self, device: Device) -> None:
        """Let the device answer when it is called."""
        if device.challenge:
            asks = rejects(401, ("WWW-Authenticate", device.challenge), ringing=False)
            self._scripts.first[device.user] = asks
        self._scripts[device.user] = answers(device.media)

    def called(self, device: Device) -> str:
        """Wait for the page's call to the device and its ACK; return its credentials, "" for none."""

        async def find() -> CoreCall:
            while True:
                for call in list(self.core.calls.values()):
                    is_meant = (
                        isinstance(call, CalledDevice) and f"sip:{device.user}@" in call.invite.request_uri
                    )
                    if device.challenge and is_meant:
                        is_meant = "Authorization" in call.invite.headers
                    if isinstance(call, CalledDevice) and is_meant:
                        await call.wait_ack()
                        return call
                await asyncio.sleep(0.02)

        device.call = self._run(find())
        device.call.media = device.media
        return device.call.invite.headers.get("Authorization") or ""

    def dial(self, device: Device, aor: str, *, video: bool) -> None:
        """Let the device call a page."""
        offered = device_offer(replace(device.media, video="VP8" if video else None))
        device.call = self._do(lambda: self.core.call(aor, media=device.media, sdp=offered))

    def answered(self, device: Device) -> None:
        """Wait for the page's answer to a call of the device."""
        assert isinstance(device.call, CallingDevice)
        self._run(device.call.wait_status(200))

    def reoffer(self, device: Device, *, video: bool) -> None:
        """Let the device offer its media anew, with pictures or without; the page has to agree."""
        call = device.call
        assert call is not None
        device.version += 1
        body = device_offer(replace(device.media, video="VP8", version=device.version))
        if not video:
            body = body.replace(f"m=video {device.camera.port} ", "m=video 0 ")
        response = self._run(call.reinvite(body))
        assert response.status == 200, response
        agreed = [section.kind for section in sdp_from_text(response.body).media if section.port]
        assert agreed == (["audio", "video"] if video else ["audio"]), response.body

    def _do(self, work: Callable[[], T]) -> T:
        async def done() -> T:
            return work()

        return self._run(done())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_S)
