"""What is heard and seen when a page holds, moves, and adds and removes video: aiortc against an RTP device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.incoming import answered as answered_by_page
from tests.integration.calls.offers import with_replaced, without_codec
from tests.integration.calls.stage import BOB, Call, Stage
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic, SendDirection
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text
from tests.peers.sip import SipResponse

pytestmark = pytest.mark.lab

DEVICE_HZ = 440.0
OTHER_HZ = 700.0
FRAMES = 15
SETTLED_S = 0.3
"""What was under way when a direction was closed has arrived by then."""
WATCHED_S = 0.8
FEW = 3


async def change(call: Call | PageCall, media: AiortcMedia, offer: str) -> SipResponse:
    """Offer something new and apply the answer."""
    response = await call.wic.reinvite(offer)
    assert response.status == 200, response.start_line
    await media.answer_received(response.body)
    return response


async def talking(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, audio: SendDirection, device: DeviceMedia | None = None
) -> tuple[Call, AiortcMedia]:
    """Call and let both be heard."""
    stage.core.script = answers(device or DeviceMedia(audio_port=phone.port))
    wic, media = await page.dial(BOB, audio=audio)
    await wic.wait_answer(timeout_s=10)
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    call.ims.media = DeviceMedia(audio_port=phone.port, version=2)
    await media.until_connected()
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ)
    await both_heard(phone, media, listening_mid(audio))
    return call, media


def listening_mid(audio: str) -> str:
    """Return the line the page listens on."""
    return "r0" if audio == "sendonly" else "0"


async def both_heard(phone: RtpEndpoint, media: AiortcMedia, mid: str, page_hz: float = TONE_HZ) -> None:
    """Sound passes both ways, now."""
    frames, packets = media.audio[mid].frames if mid in media.audio else 0, phone.packets_received
    await media.until_heard(DEVICE_HZ, mid=mid)
    await phone.until_tone(page_hz, timeout_s=10)
    await until(lambda: media.audio[mid].frames > frames + FEW, "the phone at the page")
    await until(lambda: phone.packets_received > packets + FEW, "the page at the phone")


async def until(done: Callable[[], bool], what: str) -> None:
    """Wait for something in media."""
    for _ in range(200):
        if done():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {what} within 10 s")


async def flows(phone: RtpEndpoint, media: AiortcMedia, mid: str) -> tuple[bool, bool]:
    """Return whether the page is heard at the phone and the phone at the page, of which it is told nothing."""
    await asyncio.sleep(SETTLED_S)
    frames, packets = media.audio[mid].frames, phone.packets_received
    await asyncio.sleep(WATCHED_S)
    return phone.packets_received > packets + FEW, media.audio[mid].frames > frames + FEW


@pytest.mark.conformance("S-35")
@pytest.mark.parametrize(
    "audio", [pytest.param("sendrecv", id="one line"), pytest.param("sendonly", id="two lines")]
)
async def test_hold_is_silent_in_the_right_direction_and_comes_back(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, audio: SendDirection
) -> None:
    call, media = await talking(stage, page, phone, audio)
    mid = listening_mid(audio)
    one_line = audio == "sendrecv"
    resumed = {"0": "sendrecv"} if one_line else {"0": "sendonly", "r0": "recvonly"}
    held = {"0": "sendonly"} if one_line else {"0": "sendonly", "r0": "inactive"}
    await change(call, media, await media.offer_again(held))
    assert await flows(phone, media, mid) == (True, False)
    await change(call, media, await media.offer_again(resumed))
    await both_heard(phone, media, mid)
    silent = {"0": "inactive"} if one_line else {"0": "inactive", "r0": "inactive"}
    await change(call, media, await media.offer_again(silent))
    assert await flows(phone, media, mid) == (False, False)
    await change(call, media, await media.offer_again(resumed))
    await both_heard(phone, media, mid)
    await call.hang_up()


async def test_a_hold_the_core_refuses_changes_nothing_that_is_heard(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    call, media = await talking(stage, page, phone, "sendrecv")
    call.ims.statuses["INVITE"] = 488
    offer = sdp_from_text(await media.offer_again())
    for line, section in enumerate(offer.media):
        section.lines = ["a=inactive" if text == "a=sendrecv" else text for text in section.lines]
        assert section.direction == "inactive", line
    from tests.peers.sdp import sdp_to_text

    assert (await call.wic.reinvite(sdp_to_text(offer))).status == 488
    await both_heard(phone, media, "0")
    await call.hang_up()


@pytest.mark.parametrize("called", [pytest.param(False, id="calls"), pytest.param(True, id="is called")])
async def test_a_page_that_moved_goes_on_with_new_ice_and_a_new_certificate(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, called: bool
) -> None:
    call: Call | PageCall
    if called:
        call = await answered_by_page(stage, page, media=DeviceMedia(audio_port=phone.port))
        (media,) = page.media
        await media.until_connected()
        phone.send_to_sdp((await call.ims.wait_status(200)).body)
        phone.start_tone(DEVICE_HZ)
        await both_heard(phone, media, "0")
    else:
        call, media = await talking(stage, page, phone, "sendrecv")
    await media.close()
    moved = page.new_media()
    response = await change(call, moved, await moved.offer(audio="sendrecv", tone_hz=OTHER_HZ))
    assert sdp_from_text(response.body).media[0].direction == "sendrecv"
    await moved.until_connected()
    await both_heard(phone, moved, "0", OTHER_HZ)
    assert (await call.wic.bye()).status == 200


async def test_a_page_that_moved_with_a_line_for_each_direction(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    call, media = await talking(stage, page, phone, "sendonly")
    await media.close()
    moved = page.new_media()
    moved.connection.addTransceiver("audio", direction="recvonly")  # placed second by the offer below
    offer = await moved.offer(tone_hz=OTHER_HZ)
    lines = sdp_from_text(offer)
    assert [line.direction for line in lines.media] == ["recvonly", "sendonly"]
    # the session has the sending line first: swap them, and back in the answer
    lines.media.reverse()
    names = {"1": "0", "0": "r0"}
    for line in lines.media:
        line.lines = [
            f"a=mid:{names[text.removeprefix('a=mid:')]}" if text.startswith("a=mid:") else text
            for text in line.lines
        ]
    lines.session = ["a=group:BUNDLE 0 r0" if text.startswith("a=group:") else text for text in lines.session]
    from tests.peers.sdp import sdp_to_text

    response = await call.wic.reinvite(sdp_to_text(lines))
    assert response.status == 200
    answer = sdp_from_text(response.body)
    answer.media.reverse()
    back = {own: name for name, own in names.items()}
    for line in answer.media:
        line.lines = [
            f"a=mid:{back[text.removeprefix('a=mid:')]}" if text.startswith("a=mid:") else text
            for text in line.lines
        ]
    answer.session = [
        "a=group:BUNDLE 0 1" if text.startswith("a=group:") else text for text in answer.session
    ]
    await moved.answer_received(sdp_to_text(answer))
    await moved.until_connected()
    await both_heard(phone, moved, "0", OTHER_HZ)
    await call.hang_up()


@pytest.mark.parametrize(
    "audio", [pytest.param("sendrecv", id="one line"), pytest.param("sendonly", id="two lines")]
)
async def test_added_video_is_seen_both_ways_and_gone_when_it_is_taken_back(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, camera: RtpEndpoint, audio: SendDirection
) -> None:
    call, media = await talking(stage, page, phone, audio)
    call.ims.media = DeviceMedia(audio_port=phone.port, video="VP8", video_port=camera.port, version=2)
    number = await seen_both_ways(call, media, camera, audio)
    await both_heard(phone, media, listening_mid(audio))
    # aiortc knows no line with port 0: it makes its lines inactive
    own = {t.mid or "": t.direction for t in media.connection.getTransceivers() if t.mid not in ("0", "r0")}
    await change(call, media, await media.offer_again(dict.fromkeys(own, "inactive")))
    shown = media.video[media.mids[-1]]
    await asyncio.sleep(SETTLED_S)
    pictures, packets = shown.frames, len(camera.packets(number))
    await asyncio.sleep(WATCHED_S)
    assert len(camera.packets(number)) <= packets + FEW
    assert shown.frames <= pictures + FEW
    await both_heard(phone, media, listening_mid(audio))
    await change(call, media, await media.offer_again(own))
    await until(lambda: shown.frames > pictures + FRAMES, "pictures of the device")
    decoded = camera.decoded("VP8", number).frames
    camera.request_key_frame()
    await until(lambda: camera.decoded("VP8", number).frames > decoded + FRAMES, "pictures of the page")
    await call.hang_up()


async def seen_both_ways(call: Call, media: AiortcMedia, camera: RtpEndpoint, audio: SendDirection) -> int:
    """Add video and return its payload type towards the device."""
    offer = without_codec(await media.offer_again(video=audio), "H264")
    if audio == "sendonly":  # as the SDK does: the group is what was negotiated, new lines stay outside
        offer = with_replaced(offer, r"^a=group:BUNDLE .*?(\r?)$", r"a=group:BUNDLE 0 r0\1")
    await change(call, media, offer)
    if audio == "sendonly":
        await call.wic.wait_request("UPDATE", count=2)
    await media.until_connected()
    asked = await call.ims.wait_request("INVITE", count=2)
    number = sdp_from_text(asked.body).section("video").payload_type("VP8")
    assert number is not None
    camera.send_to_sdp(asked.body, "video")
    camera.start_video("VP8", number)
    shown = media.mids[-1]
    await media.until_seen(FRAMES, mid=shown)
    camera.request_key_frame()
    await camera.until(lambda c: c.decoded("VP8", number).frames >= FRAMES, what="pictures", timeout_s=15)
    return number
