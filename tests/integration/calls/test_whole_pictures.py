"""Whole pictures asked for by INFO (RFC 5168), for devices that know no RTCP feedback."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.offers import without_codec
from tests.integration.calls.stage import BOB, Call, Stage
from tests.peers.aiortc_wic import AiortcMedia, AiortcWic
from tests.peers.core_script import CoreScript, Provisional
from tests.peers.core_script import Final as Answer
from tests.peers.device_sdp import DeviceMedia, device_answer, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("caller", ["page", "phone"])]

FRAMES: Final = 5
TYPE: Final = "application/media_control+xml"
PICTURE: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\r\n<media_control>\r\n <vc_primitive>\r\n  <to_encoder>\r\n'
    "   <picture_fast_update/>\r\n  </to_encoder>\r\n </vc_primitive>\r\n</media_control>\r\n"
)
ACCEPT: Final = (("Accept", f"application/sdp, {TYPE}"),)


class Video:
    """A call with video whose device is `camera`; it has told the page where it is."""

    def __init__(self, stage: Stage, page: AiortcWic, camera: RtpEndpoint) -> None:
        self.stage, self.page, self.camera = stage, page, camera
        self.device = DeviceMedia(video="VP8", video_port=camera.port)
        self.media: AiortcMedia
        self.call: Call | PageCall
        self.ours: str

    async def begin(self, caller: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Make the call; the page is seen and sees."""
        if caller == "page":
            self.stage.core.script = CoreScript((Provisional(180), Answer(200, self.device, headers=headers)))
            self.media, self.seen_on = self.page.new_media(), "r1"
            offer = without_codec(await self.media.offer(video="sendonly"), "H264")
            wic = await self.page.invite(BOB, offer, media=self.media)
            await wic.wait_answer(timeout_s=10)
            call = Call(wic, await self.stage.core.wait_call())
            await call.ims.wait_ack()
            self.call, self.ours = call, call.ims.invite.body
        else:
            self.call = await incoming.answered(
                self.stage, self.page, media=self.device, sdp=device_offer(self.device), headers=headers
            )
            (self.media,), self.seen_on = self.page.media, "1"
            self.ours = (await self.call.ims.wait_status(200)).body
        await self.media.until_connected()
        number = sdp_from_text(self.ours).section("video").payload_type("VP8")
        assert number is not None
        self.number = number
        self.camera.send_to_sdp(self.ours, "video")

    async def seen_by_the_phone(self) -> None:
        """Wait until pictures decode that have come from now on."""
        self.camera.forget_received()
        await self.camera.until(
            lambda c: c.decoded("VP8", self.number).frames >= FRAMES, what="pictures", timeout_s=10
        )


@pytest.fixture
def video(stage: Stage, page: AiortcWic, camera: RtpEndpoint) -> Video:
    """A call to be made."""
    return Video(stage, page, camera)


async def test_the_page_is_asked_where_the_phone_sends_info(video: Video, caller: str) -> None:
    await video.begin(caller)
    await video.camera.until(lambda c: c.packets_received > 30, what="the page's camera", timeout_s=10)
    video.camera.forget_received()
    await asyncio.sleep(0.5)
    assert video.camera.packets(video.number)
    assert not video.camera.decoded("VP8", video.number).frames  # without a key frame there is no picture
    assert (await video.call.ims.info(TYPE, PICTURE)).status == 200
    await video.seen_by_the_phone()
    await video.call.ims.bye()


async def test_a_phone_that_knows_info_is_asked_so(video: Video, caller: str) -> None:
    video.camera.obeys_feedback = False
    await video.begin(caller, ACCEPT)
    video.camera.start_video("VP8", video.number, begun=True)
    asked = await video.call.ims.wait_request("INFO")
    assert asked.headers.get("Content-Type") == TYPE
    assert "<picture_fast_update/>" in asked.body
    assert not video.media.video[video.seen_on].frames
    video.camera.send_key_frame()
    await video.media.until_seen(FRAMES, mid=video.seen_on)
    for direction, times in (("inactive", 1), ("sendrecv", 2)):  # once more when it shows itself again
        media = DeviceMedia(video="VP8", video_port=video.camera.port, direction=direction, version=times + 1)
        assert (await video.call.ims.reinvite(device_answer(video.ours, media))).status == 200
        await video.call.ims.wait_request("INFO", count=times)
    await video.call.ims.bye()
