"""Pages that offer one way but take no early UPDATE: the stream towards them is offered after their ACK.

Stock SIP.js (`hold: true`) has no UPDATE in its Allow, its own line is turned by a re-INVITE; JsSIP has one and gets a
line of its own.  Real sound: aiortc plays the page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO, without_codec
from tests.integration.calls.stage import ALICE, BOB, Call, Stage
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.call_plan import CallPlan, OfferReply
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text
from tests.peers.wic import WicIdentity
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab

SIP_JS: dict[str, Any] = {"allow": "ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER"}
JSSIP: dict[str, Any] = {
    "allow": "INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY",
    "supported": "outbound",
}
DEVICE_HZ = 440.0
FRAMES = 15

CLIENTS = [
    pytest.param({**SIP_JS, "supported": "outbound"}, "INVITE", id="SIP.js"),
    pytest.param({**SIP_JS, "supported": "100rel, outbound"}, "INVITE", id="SIP.js with 100rel"),
    pytest.param(JSSIP, "UPDATE", id="JsSIP"),
]


@pytest.fixture
async def real(stage: Stage) -> AsyncIterator[AiortcWic]:
    """A page with real media, registered."""
    page = AiortcWic(stage.handshake, WicIdentity(ALICE))
    await stage.join(page)
    yield page


async def answered(stage: Stage, wic: OutgoingCall) -> Call:
    """Wait for the ACK at the core."""
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    return call


@pytest.mark.parametrize(("client", "method"), CLIENTS)
async def test_the_stream_is_offered_after_the_ack(stage: Stage, client: dict[str, Any], method: str) -> None:
    page = await stage.page()
    call = await answered(stage, await page.invite(BOB, AUDIO, **client))
    assert sdp_from_text(call.ims.invite.body).media[0].direction == "sendrecv"
    answer = await call.wic.wait_answer()
    if "100rel" not in client["supported"]:
        assert [line.direction for line in sdp_from_text(answer.body).media] == ["recvonly"]
    request = await call.wic.wait_request(method)
    lines = sdp_from_text(request.body).media
    assert [line.direction for line in lines] == (
        ["sendrecv"] if method == "INVITE" else ["recvonly", "sendonly"]
    )
    if method == "INVITE":
        # tm's own has the branch of the INVITE, which SIP.js discards (RFC 3261 §17.1.1.3)
        ack = await call.wic.wait_request("ACK", count=2)
        assert ack.via_branch != request.via_branch
    assert (await call.wic.info()).status == 200
    await call.hang_up()


@pytest.mark.parametrize(("client", "method"), CLIENTS)
async def test_a_page_that_refuses_keeps_its_one_way_call(
    stage: Stage, client: dict[str, Any], method: str
) -> None:
    page = await stage.page()
    plan = CallPlan(offer_replies=(OfferReply(488),))
    call = await answered(stage, await page.invite(BOB, AUDIO, plan=plan, **client))
    await call.wic.wait_request(method)
    await stage.logged(call.call_id, "event=own_offer_refused", "status=488")
    assert (await call.wic.info()).status == 200
    await call.hang_up()
    assert len([label for label in call.wic.ladder() if label == f"<- {method} (SDP)"]) == 1


@pytest.mark.parametrize(("client", "method"), CLIENTS)
async def test_after_glare_it_is_offered_again(stage: Stage, client: dict[str, Any], method: str) -> None:
    page = await stage.page()
    plan = CallPlan(offer_replies=(OfferReply(491), OfferReply()))
    call = await answered(stage, await page.invite(BOB, AUDIO, plan=plan, **client))
    await call.wic.wait_request(method, count=2)
    await stage.logged(call.call_id, "event=call_state_changed", "wic=stable", "by=")
    await call.hang_up()


async def test_refused_video_is_switched_off_with_it(stage: Stage) -> None:
    page = await stage.page()
    call = await answered(stage, await page.invite(BOB, AUDIO_AND_VIDEO, **JSSIP))
    request = await call.wic.wait_request("UPDATE")
    lines = sdp_from_text(request.body).media
    assert [(line.kind, line.direction, bool(line.port)) for line in lines] == [
        ("audio", "recvonly", True),
        ("video", "inactive", False),
        ("audio", "sendonly", True),
    ]
    await call.hang_up()


@pytest.mark.parametrize(("client", "method"), CLIENTS)
async def test_the_page_hears_the_phone_then_and_not_before(
    stage: Stage, real: AiortcWic, phone: RtpEndpoint, client: dict[str, Any], method: str
) -> None:
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    media = real.new_media()
    media.turns_with_offers = method == "INVITE"
    offer = await media.offer()
    wic = await real.invite(BOB, offer, media=media, **client)
    call = await answered(stage, wic)
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ)
    await media.until_connected()
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="0" if method == "INVITE" else "r0")
    await call.hang_up()


async def test_the_page_sees_the_phone_on_a_line_of_its_own(
    stage: Stage, real: AiortcWic, phone: RtpEndpoint, camera: RtpEndpoint
) -> None:
    stage.core.script = answers(DeviceMedia(audio_port=phone.port, video="VP8", video_port=camera.port))
    media = real.new_media()
    # aiortc does not change a running sender's codec: it only ever knows this one
    offer = without_codec(await media.offer(video="sendonly"), "H264")
    call = await answered(stage, await real.invite(BOB, offer, media=media, **JSSIP))
    await call.wic.wait_request("UPDATE")
    await media.until_connected()
    number = sdp_from_text(call.ims.invite.body).section("video").payload_type("VP8")
    assert number is not None
    camera.send_to_sdp(call.ims.invite.body, "video")
    camera.start_video("VP8", number)
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ)
    await media.until_seen(FRAMES, mid="r1")
    await media.until_heard(DEVICE_HZ, mid="r0")
    camera.request_key_frame()
    await camera.until(lambda c: c.decoded("VP8", number).frames >= FRAMES, what="pictures", timeout_s=15)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await call.hang_up()
