"""No video codec that both ends have: the page is told so (port 0), and audio goes on, heard on both sides.

Of a page that calls, its audio included: tests/browser/matrix/test_mapping.py; what it is told: test_corrections.py.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO_AND_VIDEO
from tests.integration.calls.stage import ALICE, Stage
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.one_way import ONE_WAY_STREAMS, OneWayMedia
from tests.peers.sdp import sdp_from_text
from tests.peers.wic import WicIdentity

pytestmark = pytest.mark.lab

DEVICE_HZ: Final = 440.0
OLD: Final = "H263"
"""A phone's, which no browser has."""


def video_ports(sdp: str) -> list[int]:
    """Return the port of each video line."""
    return [line.port for line in sdp_from_text(sdp).media if line.kind == "video"]


async def both_hear(phone: RtpEndpoint, media: AiortcMedia, ours: str, mid: str) -> None:
    """Speak, and wait until each has heard the other."""
    phone.send_to_sdp(ours)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid=mid)


async def test_a_page_calls_with_nothing_the_core_could_have(stage: Stage) -> None:
    offer = re.sub(r"(a=rtpmap:\d+ )(?:VP8|H264)/", r"\1AV1/", AUDIO_AND_VIDEO)
    call = await stage.answered(await stage.page(), offer)
    assert video_ports((await call.wic.wait_status(183)).body) == [0]
    assert video_ports(call.ims.invite.body) == []
    assert stage.lab.relay_calls() == (call.call_id,)
    await call.hang_up()


async def test_a_phone_calls_and_adds_its_video_later(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    device = DeviceMedia(audio_port=phone.port, video="VP8")
    offer = device_offer(device).replace("VP8", OLD)
    call = await incoming.answered(stage, page, sdp=offer)
    assert video_ports(call.wic.invite.body) == []
    ours = (await call.ims.wait_status(200)).body
    assert video_ports(ours) == [0]
    (media,) = page.media
    await both_hear(phone, media, ours, "0")
    again = device_offer(DeviceMedia(audio_port=phone.port, video="VP8", version=2)).replace("VP8", OLD)
    answer = await call.ims.reinvite(again)
    assert (answer.status, video_ports(answer.body)) == (200, [0])
    await both_hear(phone, media, answer.body, "0")
    assert (await call.ims.bye()).status == 200


async def test_a_phone_calls_a_page_that_lacks_its_codec(stage: Stage, phone: RtpEndpoint) -> None:
    page = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=(ONE_WAY_STREAMS,)))
    page.incoming_media = lambda invite: OneWayMedia(page.new_media, refused=("1", "r1"))
    await stage.join(page)
    offer = device_offer(DeviceMedia(audio_port=phone.port, video="VP8"))
    call = await incoming.answered(stage, page, sdp=offer)
    ours = (await call.ims.wait_status(200)).body
    assert video_ports(ours) == [0]
    assert isinstance(call.wic.media, OneWayMedia)
    await both_hear(phone, call.wic.media.audio, ours, "r0")
    assert (await call.ims.bye()).status == 200
