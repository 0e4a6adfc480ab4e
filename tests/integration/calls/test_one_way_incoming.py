"""A page that registered for one-way streams is called: two lines for each medium, media both ways over them."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests.integration.calls.incoming import PageCall, answered, ringing
from tests.integration.calls.stage import ALICE, Stage, warning_of
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.one_way import ONE_WAY_STREAMS, OneWayMedia
from tests.peers.sdp import sdp_from_text
from tests.peers.wic import WicIdentity

pytestmark = pytest.mark.lab

DEVICE_HZ = 440.0
FRAMES = 15


async def one_way_page(
    stage: Stage, *, refused: Collection[str] = (), inactive: Collection[str] = ()
) -> AiortcWic:
    """Open a page with real media that registers for one-way streams."""
    page = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=(ONE_WAY_STREAMS,)))
    page.incoming_media = lambda invite: OneWayMedia(page.new_media, refused=refused, inactive=inactive)
    await stage.join(page)
    return page


async def talking(stage: Stage, page: AiortcWic, media: DeviceMedia) -> tuple[PageCall, OneWayMedia, str]:
    """Call the page and let it answer; return both ends, its media and what the core was answered."""
    call = await answered(stage, page, media=media)
    own = call.wic.media
    assert isinstance(own, OneWayMedia)
    return call, own, (await call.ims.wait_status(200)).body


def lines_of(sdp: str) -> list[tuple[str, str, str]]:
    """Return kind, mid and direction of each m-line."""
    return [(m.kind, m.attribute("mid") or "", m.direction) for m in sdp_from_text(sdp).media]


def groups_of(sdp: str) -> list[str]:
    """Return the BUNDLE groups."""
    return [line for line in sdp.splitlines() if line.startswith("a=group:")]


class TestTheOffer:
    """What such a page is offered."""

    async def test_two_lines_for_each_medium_on_one_transport(self, stage: Stage) -> None:
        page = await one_way_page(stage)
        call = await ringing(stage, page, media=DeviceMedia(video="VP8"))
        offer = call.wic.invite.body
        assert lines_of(offer) == [
            ("audio", "0", "recvonly"),
            ("audio", "r0", "sendonly"),
            ("video", "1", "recvonly"),
            ("video", "r1", "sendonly"),
        ]
        assert groups_of(offer) == ["a=group:BUNDLE 0 r0", "a=group:BUNDLE 1 r1"]
        receiving, sending, camera, _ = sdp_from_text(offer).media
        for name in ("ice-ufrag", "ice-pwd", "fingerprint", "candidate", "rtpmap"):
            assert sending.attributes(name) == receiving.attributes(name) != []
        assert sending.port == receiving.port != camera.port
        assert sending.formats == receiving.formats
        assert sending.attribute("msid") is not None
        assert receiving.attribute("msid") is None
        # Nothing tells a browser the lines apart but the order and the payload types.
        assert "a=extmap" not in offer
        assert "a=ssrc" not in offer
        await call.wic.respond(486)
        await call.ims.wait_status(486)

    @pytest.mark.parametrize(
        ("core", "lines"),
        [
            pytest.param("sendonly", ["inactive", "sendonly"], id="sendonly"),
            pytest.param("recvonly", ["recvonly", "inactive"], id="recvonly"),
            pytest.param("inactive", ["inactive", "inactive"], id="inactive"),
        ],
    )
    async def test_a_stream_the_core_does_not_offer_keeps_its_place(
        self, stage: Stage, core: str, lines: list[str]
    ) -> None:
        call = await ringing(stage, await one_way_page(stage), media=DeviceMedia(direction=core))
        assert [direction for *_, direction in lines_of(call.wic.invite.body)] == lines
        await call.wic.answer()
        (answer,) = sdp_from_text((await call.ims.wait_status(200)).body).media
        assert answer.direction == {"sendonly": "recvonly", "recvonly": "sendonly"}.get(core, core)
        await call.works()
        await call.ims.bye()

    async def test_the_tag_survives_the_registration_being_refreshed_and_the_page_reconnecting(
        self, stage: Stage
    ) -> None:
        page = await one_way_page(stage)
        assert (await page.register()).status == 200
        page.lose()
        await page.lost.wait()
        await page.connect()
        assert (await page.register()).status == 200
        call = await ringing(stage, page)
        assert len(lines_of(call.wic.invite.body)) == 2
        await call.wic.respond(486)
        await call.ims.wait_status(486)

    async def test_a_page_that_registers_anew_without_the_tag_gets_one_line(self, stage: Stage) -> None:
        page = await one_way_page(stage)
        page.identity = WicIdentity(ALICE, instance=page.identity.instance)
        assert (await page.register()).status == 200
        call = await ringing(stage, page)
        assert lines_of(call.wic.invite.body) == [("audio", "0", "sendrecv")]
        await call.wic.respond(486)
        await call.ims.wait_status(486)


class TestMedia:
    """Who hears and sees whom."""

    @pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in ("PCMA", "PCMU")])
    async def test_both_hear_each_other_over_two_lines(
        self, stage: Stage, phone: RtpEndpoint, codec: str
    ) -> None:
        offered = DeviceMedia(audio=codec, audio_port=phone.port)
        call, media, answer = await talking(stage, await one_way_page(stage), offered)
        (audio,) = sdp_from_text(answer).media
        assert audio.direction == "sendrecv"
        number = audio.payload_type(codec)
        assert number is not None
        phone.send_to_sdp(answer)
        phone.start_tone(DEVICE_HZ, number)
        await phone.until_tone(TONE_HZ, payload_type=number, timeout_s=10)
        await media.audio.until_heard(DEVICE_HZ, mid="r0")
        assert list(media.audio.audio) == ["r0"]
        await call.works()
        assert (await call.ims.bye()).status == 200

    @pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in ("VP8", "H264")])
    async def test_pictures_pass_both_ways_over_lines_of_their_own(
        self, stage: Stage, phone: RtpEndpoint, camera: RtpEndpoint, codec: str
    ) -> None:
        offered = DeviceMedia(audio_port=phone.port, video=codec, video_port=camera.port)
        call, media, answer = await talking(stage, await one_way_page(stage), offered)
        number = sdp_from_text(answer).section("video").payload_type(codec)
        assert number is not None
        phone.send_to_sdp(answer)
        phone.start_tone(DEVICE_HZ)
        camera.send_to_sdp(answer, "video")
        camera.start_video(codec, number)
        await camera.until(lambda c: bool(c.packets(number)), what="first packets of a picture", timeout_s=10)
        camera.request_key_frame()
        await camera.until(
            lambda c: c.decoded(codec, number).frames >= FRAMES, what=f"{FRAMES} pictures", timeout_s=15
        )
        await media.video.until_seen(FRAMES, mid="r1")
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await media.audio.until_heard(DEVICE_HZ, mid="r0")
        assert (await call.wic.bye()).status == 200

    async def test_a_page_without_camera_sees_and_is_heard(
        self, stage: Stage, phone: RtpEndpoint, camera: RtpEndpoint
    ) -> None:
        offered = DeviceMedia(audio_port=phone.port, video="VP8", video_port=camera.port)
        call, media, answer = await talking(stage, await one_way_page(stage, refused=("1",)), offered)
        audio, video = sdp_from_text(answer).media
        assert (audio.direction, video.direction) == ("sendrecv", "recvonly")
        number = video.payload_type("VP8")
        assert number is not None
        camera.send_to_sdp(answer, "video")
        camera.start_video("VP8", number)
        await media.video.until_seen(FRAMES, mid="r1")
        await phone.until_tone(TONE_HZ, timeout_s=10)
        assert not camera.packets_received
        assert (await call.wic.bye()).status == 200

    async def test_a_page_that_refuses_video_talks(self, stage: Stage, phone: RtpEndpoint) -> None:
        offered = DeviceMedia(audio_port=phone.port, video="VP8")
        call, media, answer = await talking(stage, await one_way_page(stage, refused=("1", "r1")), offered)
        audio, video = sdp_from_text(answer).media
        assert (audio.direction, video.port) == ("sendrecv", 0)
        phone.send_to_sdp(answer)
        phone.start_tone(DEVICE_HZ)
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await media.audio.until_heard(DEVICE_HZ, mid="r0")
        assert (await call.wic.bye()).status == 200

    @pytest.mark.parametrize(
        "how", [pytest.param("refused", id="port 0"), pytest.param("inactive", id="held")]
    )
    async def test_a_page_with_only_a_microphone_is_heard(
        self, stage: Stage, phone: RtpEndpoint, how: str
    ) -> None:
        page = await one_way_page(stage, **{how: ("r0",)})
        call, _, answer = await talking(stage, page, DeviceMedia(audio_port=phone.port))
        (audio,) = sdp_from_text(answer).media
        assert audio.direction == "sendonly"
        await phone.until_tone(TONE_HZ, timeout_s=10)
        assert (await call.ims.bye()).status == 200

    @pytest.mark.parametrize(
        "how", [pytest.param("refused", id="port 0"), pytest.param("inactive", id="held")]
    )
    async def test_a_page_with_only_a_loudspeaker_hears(
        self, stage: Stage, phone: RtpEndpoint, how: str
    ) -> None:
        page = await one_way_page(stage, **{how: ("0",)})
        call, media, answer = await talking(stage, page, DeviceMedia(audio_port=phone.port))
        (audio,) = sdp_from_text(answer).media
        assert audio.direction == "recvonly"
        phone.send_to_sdp(answer)
        phone.start_tone(DEVICE_HZ)
        await media.audio.until_heard(DEVICE_HZ, mid="r0")
        assert not phone.packets_received
        assert (await call.ims.bye()).status == 200

    async def test_a_page_that_takes_neither_line_is_hung_up(self, stage: Stage) -> None:
        call = await ringing(stage, await one_way_page(stage, refused=("0", "r0")))
        await call.wic.answer()
        assert "refused every medium" in warning_of(await call.ims.wait_status(488))
        await call.wic.wait_request("BYE")
