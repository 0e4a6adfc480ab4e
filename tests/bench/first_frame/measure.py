"""One call after the other: the phone answers, and both ends say when they saw their first picture.

The phone asks for no key frame, ever: what it sees at once, it sees because the gateway asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.first_audio.cases import Through
from tests.bench.first_audio.measure import ALICE, open_core
from tests.bench.first_audio.sites import site
from tests.bench.first_frame.camera import CameraBrowser, CameraMedia
from tests.bench.first_frame.chromium import ChromiumCamera
from tests.bench.first_frame.firefox import FirefoxCamera
from tests.browser.matrix.conftest import address_of_host
from tests.lab.ports import LOOPBACK
from tests.peers.core import ScriptedCore
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled
from tests.peers.device_sdp import DeviceMedia, device_answer, device_offer
from tests.peers.media import MediaTimeoutError, RtpEndpoint
from tests.peers.sdp import sdp_from_text
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall

CHROMIUM: Final = "chromium"
FIREFOX: Final = "firefox"
TARGET: Final = "sip:bob@ims.test"
SEEN_WITHIN_S: Final = 10.0
_RINGS_S: Final = 0.5
_HELD_S: Final = 0.5
_WAIT_S: Final = 20.0


@dataclass(frozen=True)
class Case:
    """One kind of call: direction of the page's lines, the phone's codec, and from when on is measured."""

    name: str
    label: str
    direction: str = "sendonly"
    codec: str = "VP8"
    begins: str = "answer"
    """"answer": the phone's 200; "resume": its offer after hold; "added": its offer that adds its camera."""


CASES: Final = {
    case.name: case
    for case in (
        Case("vp8", "answer, then UPDATE; VP8"),
        Case("h264", "answer, then UPDATE; H.264", codec="H264"),
        Case("two-way", "two-way lines; VP8", direction="sendrecv"),
        Case("resume", "the phone resumes; VP8", begins="resume"),
        Case("added", "the phone adds its camera; VP8", begins="added"),
    )
}


def cases_of(browser_name: str) -> list[str]:
    """Return what the browser can do: Debian's Firefox has no H.264 until it has fetched its plugin."""
    return [name for name, case in CASES.items() if browser_name != FIREFOX or case.codec != "H264"]


@dataclass(frozen=True)
class FrameTimes:
    """Seconds until the first picture was decoded, from the moment the case names."""

    page_s: float
    phone_s: float


@dataclass
class World:
    """What all calls of a run share."""

    core: ScriptedCore
    page: ScriptedWic
    browser: CameraBrowser

    async def measure(self, case: Case) -> FrameTimes:
        """Make one call and hang up.

        Raises:
            MediaTimeoutError: an end saw nothing.
        """
        media = self.browser.media()
        self.core.script = CoreScript((Provisional(180), UntilCancelled()))
        offer = await media.offer(case.direction, video=case.begins != "added")
        call = await self.page.invite(TARGET, offer, media=media)
        with RtpEndpoint() as voice, RtpEndpoint() as camera:
            try:
                device = await self.core.wait_call(_WAIT_S)
                await call.wait_status(180)
                await media.until_connected()
                await asyncio.sleep(_RINGS_S)
                return await self._call(case, call, device, media, voice, camera)
            finally:
                if call.dialog is not None:
                    await call.bye()
                await media.close()

    async def _call(
        self,
        case: Case,
        call: OutgoingCall,
        device: CalledDevice,
        media: CameraMedia,
        voice: RtpEndpoint,
        camera: RtpEndpoint,
    ) -> FrameTimes:
        with_camera = DeviceMedia(
            audio_port=voice.port, video=case.codec, video_port=camera.port, telephone_event=False
        )
        if case.begins == "added":
            device.respond(200, media=DeviceMedia(audio_port=voice.port))
            await call.wait_answer()
            began_s = time.monotonic()
            offer = device_offer(with_camera)
            answer = await device.reinvite(offer)
            assert answer.status == 200, answer.start_line
            return await self._seen(case, answer.body, media, camera, began_s)
        began_s = time.monotonic()
        device.respond(200, media=with_camera)
        seen = await self._seen(case, device.invite.body, media, camera, began_s)
        if case.begins == "answer":
            return seen
        await call.wait_answer()
        held = device_answer(device.invite.body, _turned(with_camera, "inactive", 2))
        assert (await device.reinvite(held)).status == 200
        await asyncio.sleep(_HELD_S)  # what the phone sends meanwhile goes no further than the relay
        camera.forget_received()
        await media.forget_seen()
        began_s = time.monotonic()
        resumed = device_answer(device.invite.body, _turned(with_camera, "sendrecv", 3))
        answer = await device.reinvite(resumed)
        assert answer.status == 200, answer.start_line
        return await self._seen(case, answer.body, media, camera, began_s)

    async def _seen(
        self, case: Case, ours: str, media: CameraMedia, camera: RtpEndpoint, began_s: float
    ) -> FrameTimes:
        """Send the phone's picture to our line, and wait for both."""
        number = sdp_from_text(ours).section("video").payload_type(case.codec)
        assert number is not None, ours
        if not camera.packets_sent:
            camera.send_to_sdp(ours, "video")
            camera.start_video(case.codec, number)
        at_phone = asyncio.create_task(_first_picture_s(camera, case.codec, number))
        at_page_s = await media.first_picture_s(SEEN_WITHIN_S)
        return FrameTimes(at_page_s - began_s, await at_phone - began_s)


def _turned(media: DeviceMedia, direction: str, version: int) -> DeviceMedia:
    return DeviceMedia(
        audio_port=media.audio_port,
        video=media.video,
        video_port=media.video_port,
        telephone_event=False,
        direction=direction,
        version=version,
    )


async def _first_picture_s(camera: RtpEndpoint, codec: str, number: int) -> float:
    deadline = time.monotonic() + SEEN_WITHIN_S
    while not (await asyncio.to_thread(camera.decoded, codec, number)).frames:
        if time.monotonic() > deadline:
            raise MediaTimeoutError(f"no picture at the phone; {camera.packets_received} packets")
        await asyncio.sleep(0.01)
    return time.monotonic()


@asynccontextmanager
async def open_world(browser_name: str = CHROMIUM) -> AsyncIterator[World]:
    """Run gateway, core, page and browser."""
    firefox = browser_name == FIREFOX
    # Firefox uses no candidate on the loopback interface.
    relay_address = address_of_host() if firefox else LOOPBACK
    async with open_core() as core:
        with site(Through.GATEWAY, 0, core.address[1], relay_address=relay_address) as running:
            handshake = Handshake(running.url, origin=running.origin, forwarded_for=None)
            page = ScriptedWic(handshake, WicIdentity(ALICE))
            await page.connect()
            assert (await page.register()).status == 200
            try:
                async with FirefoxCamera(running.origin) if firefox else ChromiumCamera() as browser:
                    yield World(core, page, browser)
            finally:
                await page.close()
