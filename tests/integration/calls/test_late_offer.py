"""The core calls a page without an offer: the gateway offers both sides, the core answers in its ACK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.calls.audio import wideband_peak
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.stage import ALICE, Stage, warning_of
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.one_way import ONE_WAY_STREAMS, OneWayMedia
from tests.peers.sdp import sdp_from_text
from tests.peers.wic import WicIdentity

pytestmark = [pytest.mark.lab, pytest.mark.conformance("S-25")]

DEVICE_HZ = 440.0
FRAMES = 15
WITH_VIDEO = (("Accept-Contact", "*;audio;video"),)
"""What a caller sends that has video (RFC 3840)."""


@pytest.fixture(params=[pytest.param(False, id="two-way"), pytest.param(True, id="one-way")])
async def page(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[AiortcWic]:
    """A page with real media; registered for one-way streams or not."""
    tags = (ONE_WAY_STREAMS,) if request.param else ()
    real = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=tags))
    if request.param:
        real.incoming_media = lambda invite: OneWayMedia(real.new_media)
    await stage.join(real)
    yield real


def media_of(call: PageCall, kind: str) -> AiortcMedia:
    """Return what carries a kind at the page."""
    own = call.wic.media
    if isinstance(own, OneWayMedia):
        return own.groups[kind]
    assert isinstance(own, AiortcMedia)
    return own


def line_it_listens_on(call: PageCall, mid: str) -> str:
    """Return the mid of the line that brings a medium to the page."""
    return f"r{mid}" if isinstance(call.wic.media, OneWayMedia) else mid


async def hears(call: PageCall, hz: float) -> None:
    """Wait until the page hears a tone."""
    await media_of(call, "audio").until_heard(hz, mid=line_it_listens_on(call, "0"))


async def called(
    stage: Stage, page: AiortcWic, media: DeviceMedia, headers: tuple[tuple[str, str], ...] = (), **how: Any
) -> tuple[PageCall, str]:
    """Call without an offer and let the page answer; return both ends and what the core was offered."""
    ims = stage.core.call(ALICE, sdp="", media=media, headers=headers, **how)
    wic = await page.wait_incoming()
    await wic.ring()
    ack = await wic.answer()
    assert not ack.has_sdp
    return PageCall(wic, ims), (await ims.wait_status(200)).body


async def test_both_hear_each_other(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    call, offer = await called(stage, page, DeviceMedia(audio_port=phone.port))
    (audio,) = sdp_from_text(offer).media
    assert (audio.protocol, audio.direction) == ("RTP/AVP", "sendrecv")
    codecs = [value.split(" ")[1].split("/")[0] for value in audio.attributes("rtpmap")]
    assert codecs[:5] == ["opus", "AMR-WB", "AMR-WB", "PCMA", "PCMU"]
    assert audio.port > 9
    phone.send_to_sdp(offer)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await hears(call, DEVICE_HZ)
    assert set(phone.packets_by_payload_type) == {8}
    await call.works()
    assert (await call.ims.bye()).status == 200


async def test_the_caller_chooses_its_codec(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    call, offer = await called(stage, page, DeviceMedia(audio="AMR-WB", audio_port=phone.port))
    number = sdp_from_text(offer).section("audio").payload_type("AMR-WB")
    assert number is not None
    await phone.until(lambda p: len(p.packets(number)) > 75, what="AMR-WB packets", timeout_s=10)
    peak = wideband_peak(phone.packets(number))
    assert peak.is_near(TONE_HZ), peak
    await call.ims.bye()


async def test_video_of_a_caller_that_has_it_passes_both_ways(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, camera: RtpEndpoint
) -> None:
    codec = "H264"  # what the page sends when it may choose
    media = DeviceMedia(audio_port=phone.port, video=codec, video_port=camera.port)
    call, offer = await called(stage, page, media, WITH_VIDEO)
    number = sdp_from_text(offer).section("video").payload_type(codec)
    assert number is not None
    assert len(sdp_from_text(offer).section("video").formats) == 2
    camera.send_to_sdp(offer, "video")
    camera.start_video(codec, number)
    await camera.until(lambda c: bool(c.packets(number)), what="first packets of a picture", timeout_s=10)
    camera.request_key_frame()
    await camera.until(
        lambda c: c.decoded(codec, number).frames >= FRAMES, what=f"{FRAMES} pictures", timeout_s=15
    )
    await media_of(call, "video").until_seen(FRAMES, mid=line_it_listens_on(call, "1"))
    await phone.until_tone(TONE_HZ, timeout_s=10)
    assert (await call.wic.bye()).status == 200


async def test_a_caller_that_refuses_video_talks(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    call, offer = await called(stage, page, DeviceMedia(audio_port=phone.port), WITH_VIDEO)
    assert [m.kind for m in sdp_from_text(offer).media if m.port] == ["audio", "video"]
    phone.send_to_sdp(offer)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await hears(call, DEVICE_HZ)
    await call.ims.bye()


async def test_a_page_that_refuses_video_talks(stage: Stage, phone: RtpEndpoint) -> None:
    page = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=(ONE_WAY_STREAMS,)))
    page.incoming_media = lambda invite: OneWayMedia(page.new_media, refused=("1", "r1"))
    await stage.join(page)
    call, offer = await called(stage, page, DeviceMedia(audio_port=phone.port), WITH_VIDEO)
    assert [(m.kind, bool(m.port)) for m in sdp_from_text(offer).media] == [("audio", True), ("video", False)]
    phone.send_to_sdp(offer)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await hears(call, DEVICE_HZ)
    await call.ims.bye()


async def test_the_page_learns_what_the_caller_chose(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp="", media=DeviceMedia(video="VP8"), headers=WITH_VIDEO)
    wic = await page.wait_incoming()
    await wic.answer()
    again = await wic.wait_request("INVITE", count=2)
    _, video = sdp_from_text(again.body).media
    assert [value.split(" ")[1] for value in video.attributes("rtpmap")] == ["VP8/90000"]
    await wic.wait_request("ACK", count=2)
    await PageCall(wic, ims).works()
    await ims.bye()


async def test_the_page_learns_that_the_caller_has_no_video(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp="", headers=WITH_VIDEO)
    wic = await page.wait_incoming()
    await wic.answer()
    again = await wic.wait_request("INVITE", count=2)
    assert [m.port > 0 for m in sdp_from_text(again.body).media] == [True, False]
    await wic.wait_request("ACK", count=2)
    await PageCall(wic, ims).works()
    await ims.bye()


async def test_nobody_s_camera_is_asked_for_unasked(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp="")
    wic = await page.wait_incoming()
    assert [m.kind for m in sdp_from_text(wic.invite.body).media] == ["audio"]
    assert "100rel" not in wic.invite.option_tags("Supported")
    await wic.respond(486)
    await ims.wait_status(486)


async def test_early_media_of_the_page_waits_for_the_200(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp="")
    wic = await page.wait_incoming()
    answer = await wic.media.answer_offer(wic.invite.body)
    await wic.respond(183, sdp=answer)
    assert not (await ims.wait_status(183)).has_sdp
    await wic.answer(answer)
    await PageCall(wic, ims).works()
    await ims.bye()


async def test_a_caller_that_gives_up_leaves_nothing(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp="")
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)
    ims.cancel()
    await ims.wait_status(487)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        pytest.param("", 502, "without a session description", id="none"),
        pytest.param("v=0\r\nrubbish\r\n", 502, "line 2", id="rubbish"),
    ],
)
async def test_an_answer_of_the_page_that_cannot_be_taken(
    stage: Stage, answer: str, status: int, words: str
) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp="")
    wic = await page.wait_incoming()
    await wic.respond(200, sdp=answer)
    assert words in warning_of(await ims.wait_status(status))
    await wic.wait_request("BYE")


async def test_a_caller_that_refuses_all_is_hung_up_with_the_page(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp="", media=DeviceMedia(audio=""))
    wic = await page.wait_incoming()
    await wic.answer()
    for bye in (await wic.wait_request("BYE"), await ims.wait_request("BYE")):
        assert "refused every medium" in (bye.headers.get("Reason") or "")
