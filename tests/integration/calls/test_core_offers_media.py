"""The far end changes a running session: who hears whom afterwards, with an independent WebRTC stack and real RTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.audio import wideband_peak
from tests.integration.calls.stage import BOB, Call, Stage
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text

pytestmark = pytest.mark.lab

DEVICE_HZ = 440.0
ELSEWHERE_HZ = 640.0
FRAMES = 15
HALF_A_SECOND_PACKETS = 25


@pytest.fixture
def other() -> Iterator[RtpEndpoint]:
    """Where the far end goes; or its camera."""
    with RtpEndpoint() as endpoint:
        yield endpoint


async def talking(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, **how: object
) -> tuple[Call, AiortcMedia]:
    """Call, and let both hear each other."""
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    wic, media = await page.dial(BOB, **how)  # type: ignore[arg-type]
    await wic.wait_answer(timeout_s=10)
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    await media.until_connected()
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid=hearing(media))
    return call, media


def hearing(media: AiortcMedia) -> str:
    """Return the mid of the line the page hears on."""
    return "r0" if "r0" in media.mids else "0"


async def falls_silent(phone: RtpEndpoint) -> None:
    """See that nothing reaches the device while it sends for half a second."""
    heard, sent = phone.packets_received, phone.packets_sent
    await phone.until(lambda p: p.packets_sent > sent + HALF_A_SECOND_PACKETS, what="half a second")
    assert phone.packets_received <= heard + 2  # what was under way


@pytest.mark.parametrize("lines", ["sendonly", "sendrecv"])
class TestAudio:
    async def test_it_moves_to_another_device(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint, other: RtpEndpoint, lines: str
    ) -> None:
        call, media = await talking(stage, page, phone, audio=lines)
        offer = device_offer(DeviceMedia(audio_port=other.port, audio="PCMU", version=2))
        assert (await call.ims.reinvite(offer)).status == 200
        phone.stop_sending()
        other.send_to_sdp(call.ims.invite.body)
        other.start_tone(ELSEWHERE_HZ, 0)
        await other.until_tone(TONE_HZ, payload_type=0, timeout_s=10)
        await media.until_heard(ELSEWHERE_HZ, mid=hearing(media))
        heard, sent = phone.packets_received, other.packets_sent
        await other.until(lambda p: p.packets_sent > sent + HALF_A_SECOND_PACKETS, what="half a second")
        assert phone.packets_received <= heard + 2
        await call.hang_up()

    async def test_it_holds_and_resumes(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint, lines: str
    ) -> None:
        call, media = await talking(stage, page, phone, audio=lines)
        held = DeviceMedia(audio_port=phone.port, direction="sendonly", version=2)
        assert (await call.ims.reinvite(device_offer(held))).status == 200
        await falls_silent(phone)
        phone.start_tone(ELSEWHERE_HZ)  # music on hold
        await media.until_heard(ELSEWHERE_HZ, mid=hearing(media))
        phone.forget_received()
        resumed = replace(held, direction="sendrecv", version=3)
        assert (await call.ims.reinvite(device_offer(resumed))).status == 200
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await call.hang_up()

    async def test_it_asks_for_an_offer_and_answers_elsewhere(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint, other: RtpEndpoint, lines: str
    ) -> None:
        call, _ = await talking(stage, page, phone, audio=lines)
        call.ims.media = DeviceMedia(audio_port=other.port, audio="AMR-WB", version=2)
        response = await call.ims.reinvite("")
        number = sdp_from_text(response.body).section("audio").payload_type("AMR-WB")
        assert number is not None
        phone.stop_sending()
        await other.until(lambda p: len(p.packets(number)) > 75, what="AMR-WB packets", timeout_s=10)
        assert wideband_peak(other.packets(number)).is_near(TONE_HZ)
        await call.hang_up()


async def test_a_page_that_was_called_is_held_too(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    call = await incoming.answered(stage, page, media=DeviceMedia(audio_port=phone.port))
    (media,) = page.media
    await media.until_connected()
    phone.send_to_sdp((await call.ims.wait_status(200)).body)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    held = DeviceMedia(audio_port=phone.port, direction="inactive", version=2)
    assert (await call.ims.reinvite(device_offer(held))).status == 200
    await falls_silent(phone)
    phone.forget_received()
    media.forget_received()
    resumed = replace(held, direction="sendrecv", version=3)
    assert (await call.ims.reinvite(device_offer(resumed))).status == 200
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="0")
    assert (await call.ims.bye()).status == 200


@pytest.mark.parametrize("direction", ["inactive", "sendonly", "recvonly"])
async def test_a_call_that_begins_on_hold_is_heard_both_ways_once_it_is_resumed(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, direction: str
) -> None:
    held = DeviceMedia(audio_port=phone.port, direction=direction)
    call = await incoming.answered(stage, page, media=held)
    (media,) = page.media
    await media.until_connected()
    phone.send_to_sdp((await call.ims.wait_status(200)).body)
    phone.start_tone(DEVICE_HZ)
    if direction == "sendonly":
        await media.until_heard(DEVICE_HZ, mid="0")
    if direction == "recvonly":
        await phone.until_tone(TONE_HZ, timeout_s=10)
    else:
        await falls_silent(phone)
    phone.forget_received()
    media.forget_received()
    assert (
        await call.ims.reinvite(device_offer(replace(held, direction="sendrecv", version=2)))
    ).status == 200
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="0")
    assert (await call.ims.bye()).status == 200


async def test_the_far_end_adds_its_camera(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, other: RtpEndpoint
) -> None:
    """Of a page with one-way lines this is proven in a browser: aiortc honours the first BUNDLE group only."""
    call, media = await talking(stage, page, phone, audio="sendrecv")
    offer = DeviceMedia(audio_port=phone.port, video="VP8", video_port=other.port, version=2)
    response = await call.ims.reinvite(device_offer(offer))
    assert response.status == 200
    number = sdp_from_text(response.body).section("video").payload_type("VP8")
    assert number is not None
    mid = next(mid for mid in media.mids if mid not in ("0", "r0"))
    other.send_to_sdp(response.body, "video")
    other.start_video("VP8", number)
    await media.until_seen(FRAMES, mid=mid)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await call.hang_up()
