"""An independent WebRTC stack (aiortc) is called through the gateway: the core's device and the page are heard."""

from __future__ import annotations

import pytest

from tests.integration.calls.audio import opus_peak, wideband_peak
from tests.integration.calls.incoming import PageCall, answered
from tests.integration.calls.stage import Stage
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text

pytestmark = pytest.mark.lab

DEVICE_HZ = 440.0
FRAMES = 15
HALF_A_SECOND_PACKETS = 25


async def talking(stage: Stage, page: AiortcWic, media: DeviceMedia) -> tuple[PageCall, AiortcMedia, str]:
    """Call the page and let it answer; return both ends, its media and what the core was answered."""
    call = await answered(stage, page, media=media)
    (real,) = page.media
    await real.until_connected()
    return call, real, (await call.ims.wait_status(200)).body


@pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in ("PCMA", "PCMU")])
async def test_both_hear_each_other_as_g711(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, codec: str
) -> None:
    call, media, answer = await talking(stage, page, DeviceMedia(audio=codec, audio_port=phone.port))
    number = sdp_from_text(answer).section("audio").payload_type(codec)
    assert number is not None
    phone.send_to_sdp(answer)
    phone.start_tone(DEVICE_HZ, number)
    await phone.until_tone(TONE_HZ, payload_type=number, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="0")
    assert set(phone.packets_by_payload_type) == {number}
    assert (await call.ims.bye()).status == 200


@pytest.mark.parametrize(
    ("codec", "peak_of"),
    [pytest.param("opus", opus_peak, id="Opus"), pytest.param("AMR-WB", wideband_peak, id="AMR-WB")],
)
async def test_the_device_hears_the_page_in_its_own_codec(
    stage: Stage,
    page: AiortcWic,
    phone: RtpEndpoint,
    codec: str,
    peak_of: type,
) -> None:
    call, _, answer = await talking(stage, page, DeviceMedia(audio=codec, audio_port=phone.port))
    number = sdp_from_text(answer).section("audio").payload_type(codec)
    assert number is not None
    await phone.until(lambda p: len(p.packets(number)) > 75, what=f"{codec} packets", timeout_s=10)
    peak = peak_of(phone.packets(number))
    assert peak.is_near(TONE_HZ), peak
    await call.ims.bye()


@pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in ("VP8", "H264")])
async def test_pictures_pass_both_ways(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, camera: RtpEndpoint, codec: str
) -> None:
    offered = DeviceMedia(audio_port=phone.port, video=codec, video_port=camera.port)
    call, media, answer = await talking(stage, page, offered)
    number = sdp_from_text(answer).section("video").payload_type(codec)
    assert number is not None
    camera.send_to_sdp(answer, "video")
    camera.start_video(codec, number)
    await camera.until(lambda c: bool(c.packets(number)), what="first packets of a picture", timeout_s=10)
    camera.request_key_frame()
    await camera.until(
        lambda c: c.decoded(codec, number).frames >= FRAMES, what=f"{FRAMES} pictures", timeout_s=15
    )
    seen = await media.until_seen(FRAMES, mid="1")
    assert seen.size == camera.decoded(codec, number).size
    await phone.until_tone(TONE_HZ, timeout_s=10)
    assert (await call.wic.bye()).status == 200


async def test_after_the_hang_up_the_device_hears_nothing_more(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    call, _, answer = await talking(stage, page, DeviceMedia(audio_port=phone.port))
    await phone.until_tone(TONE_HZ, timeout_s=10)
    phone.send_to_sdp(answer)
    await call.ims.bye()
    heard = phone.packets_received
    phone.start_tone(DEVICE_HZ)
    await phone.until(lambda p: p.packets_sent > HALF_A_SECOND_PACKETS, what="half a second")
    assert phone.packets_received <= heard + 2  # what was under way
