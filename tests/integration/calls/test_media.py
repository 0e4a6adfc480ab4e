"""An independent WebRTC stack (aiortc: ICE, DTLS-SRTP, Opus, VP8, H.264) talks through the gateway to an RTP device.

The page sends 1 kHz on its own line, the device 440 Hz, which the page must hear on the line the gateway added.
"""

from __future__ import annotations

import pytest

from tests.integration.calls.audio import opus_peak, wideband_peak
from tests.integration.calls.offers import without_codec
from tests.integration.calls.stage import BOB, Call, Stage
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled, answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab

DEVICE_HZ = 440.0
FRAMES = 15
HALF_A_SECOND_PACKETS = 25


def payload_type(ims: CalledDevice, codec: str, kind: str = "audio") -> int:
    """Return the payload type the gateway offered for a codec."""
    number = sdp_from_text(ims.invite.body).section(kind).payload_type(codec)
    assert number is not None
    return number


async def connected(stage: Stage, wic: OutgoingCall, media: AiortcMedia) -> Call:
    """Wait until the ACK has reached the core and ICE and DTLS are up."""
    await wic.wait_answer(timeout_s=10)
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    await media.until_connected()
    return call


class TestAudio:
    """Both directions, as the device's codec wants it."""

    @pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in ("PCMA", "PCMU")])
    async def test_the_device_hears_the_page_as_g711_and_the_page_the_device_on_the_added_line(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint, codec: str
    ) -> None:
        stage.core.script = answers(DeviceMedia(audio=codec, audio_port=phone.port))
        wic, media = await page.dial(BOB)
        call = await connected(stage, wic, media)
        number = payload_type(call.ims, codec)
        phone.send_to_sdp(call.ims.invite.body)
        phone.start_tone(DEVICE_HZ, number)
        await phone.until_tone(TONE_HZ, payload_type=number, timeout_s=10)
        await media.until_heard(DEVICE_HZ, mid="r0")
        assert set(phone.packets_by_payload_type) == {number}
        await call.hang_up()

    async def test_opus_passes_as_it_is(self, stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
        stage.core.script = answers(DeviceMedia(audio="opus", audio_port=phone.port))
        call = await connected(stage, *await page.dial(BOB))
        number = payload_type(call.ims, "opus")
        await phone.until(lambda p: len(p.packets(number)) > 75, what="opus packets", timeout_s=10)
        peak = opus_peak(phone.packets(number))
        assert peak.is_near(TONE_HZ), peak
        await call.hang_up()

    async def test_wideband_is_transcoded(self, stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
        stage.core.script = answers(DeviceMedia(audio="AMR-WB", audio_port=phone.port))
        call = await connected(stage, *await page.dial(BOB))
        number = payload_type(call.ims, "AMR-WB")
        await phone.until(lambda p: len(p.packets(number)) > 75, what="AMR-WB packets", timeout_s=10)
        peak = wideband_peak(phone.packets(number))
        assert peak.is_near(TONE_HZ), peak
        await call.hang_up()

    async def test_after_the_hang_up_the_device_hears_nothing_more(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        stage.core.script = answers(DeviceMedia(audio_port=phone.port))
        call = await connected(stage, *await page.dial(BOB))
        await phone.until_tone(TONE_HZ, timeout_s=10)
        phone.send_to_sdp(call.ims.invite.body)
        await call.hang_up()
        heard = phone.packets_received
        phone.start_tone(DEVICE_HZ)
        await phone.until(lambda p: p.packets_sent > HALF_A_SECOND_PACKETS, what="half a second")
        assert phone.packets_received <= heard + 2  # what was under way


class TestVideo:
    """Not transcoded: the page's pictures decode at the device, the device's at the page."""

    @pytest.mark.parametrize(
        ("codec", "other"), [pytest.param("H264", "VP8", id="H264"), pytest.param("VP8", "H264", id="VP8")]
    )
    async def test_pictures_pass_both_ways(
        self,
        stage: Stage,
        page: AiortcWic,
        phone: RtpEndpoint,
        camera: RtpEndpoint,
        codec: str,
        other: str,
    ) -> None:
        stage.core.script = answers(DeviceMedia(audio_port=phone.port, video=codec, video_port=camera.port))
        media = page.new_media()
        # aiortc does not change a running sender's codec: it only ever knows this one.
        offer = without_codec(await media.offer(video="sendonly"), other)
        call = await connected(stage, await page.invite(BOB, offer, media=media), media)
        number = payload_type(call.ims, codec, "video")
        camera.send_to_sdp(call.ims.invite.body, "video")
        camera.start_video(codec, number)
        await camera.until(lambda c: bool(c.packets(number)), what="first packets of a picture", timeout_s=10)
        camera.request_key_frame()  # the page's first one met a closed gate
        await camera.until(
            lambda c: c.decoded(codec, number).frames >= FRAMES, what=f"{FRAMES} pictures", timeout_s=15
        )
        seen = await media.until_seen(FRAMES, mid="r1")
        assert seen.size == camera.decoded(codec, number).size
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await call.hang_up()


class TestGate:
    """The web media path stands before the phone rings; nothing passes before the far end's answer."""

    async def test_nothing_passes_while_it_rings_and_all_after_the_answer(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        stage.core.script = CoreScript((Provisional(180), UntilCancelled()))
        wic, media = await page.dial(BOB)
        await wic.wait_status(180, timeout_s=10)
        await media.until_connected()
        ims = await stage.core.wait_call()
        phone.send_to_sdp(ims.invite.body)
        phone.start_tone(DEVICE_HZ)
        await phone.until(lambda p: p.packets_sent > HALF_A_SECOND_PACKETS, what="half a second")
        assert phone.packets_received == 0
        assert media.audio["r0"].peak is None
        ims.respond(200, media=DeviceMedia(audio_port=phone.port))
        await wic.wait_answer()
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await media.until_heard(DEVICE_HZ, mid="r0")
        await Call(wic, ims).hang_up()

    async def test_early_media_passes_once_it_is_described(
        self, stage: Stage, page: AiortcWic, phone: RtpEndpoint
    ) -> None:
        media_of_device = DeviceMedia(audio_port=phone.port)
        stage.core.script = CoreScript((Provisional(183, True, media_of_device), UntilCancelled()))
        wic, media = await page.dial(BOB)
        await wic.wait_status(183, count=2, timeout_s=10)
        ims = await stage.core.wait_call()
        phone.send_to_sdp(ims.invite.body)
        phone.start_tone(DEVICE_HZ)
        await media.until_heard(DEVICE_HZ, mid="r0")
        assert "<- 200 INVITE" not in wic.ladder()
        ims.respond(200)
        await wic.wait_answer()
        await phone.until_tone(TONE_HZ, timeout_s=10)
        await Call(wic, ims).hang_up()
