"""A page adds video to a running session, takes it back and adds it again (RFC 3264 §8, M-48)."""

from __future__ import annotations

import pytest

from tests.integration.calls.incoming import answered as answered_by_page
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO, AUDIO_AND_VIDEO_BOTH_WAYS, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import Stage
from tests.integration.calls.test_page_offers import (
    change,
    directions,
    local,
    offers_at_core,
    still_works,
)
from tests.peers.call_plan import CallPlan, OfferReply
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sdp import offer_again, sdp_from_text, sdp_to_text
from tests.peers.wic_call import TextMedia

pytestmark = pytest.mark.lab

VIDEO = DeviceMedia(video="VP8", version=2)
DATA = (
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:7\r\na=sctp-port:5000\r\n"
)


def video_line(mid: str, direction: str) -> str:
    """Return a video line of a browser with its own transport."""
    source = sdp_from_text(AUDIO_AND_VIDEO_BOTH_WAYS).section("video")
    lines = [f"a=mid:{mid}" if line.startswith("a=mid:") else line for line in source.lines]
    return "\r\n".join(line for line in lines if line != "a=sendrecv") + f"\r\na={direction}\r\n"


def in_one_group(offer: str, *mids: str) -> str:
    """Put lines into the one BUNDLE group that Chromium knows."""
    sdp = sdp_from_text(offer)
    sdp.session = [line for line in sdp.session if not line.startswith("a=group:")]
    sdp.session.append(f"a=group:BUNDLE {' '.join(mids)}")
    return sdp_to_text(sdp)


@pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
async def test_a_page_with_two_way_lines(stage: Stage, method: str) -> None:
    call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
    call.ims.media = VIDEO
    added = await change(call, offer_again(local(call), added=[video_line("1", "sendrecv")]), method)
    assert (added.status, directions(added.body)) == (200, ["sendrecv", "sendrecv"])
    audio, video = sdp_from_text(added.body).media
    assert audio.port != video.port
    removed = await change(call, offer_again(local(call), {"1": "inactive"}, off=["1"]), method)
    assert (removed.status, directions(removed.body)) == (200, ["sendrecv", "off"])
    without = sdp_from_text(local(call))
    del without.media[1]
    again = offer_again(sdp_to_text(without), added=[video_line("2", "sendrecv")])  # the line is used anew
    anew = await change(call, again, method)
    assert (anew.status, directions(anew.body)) == (200, ["sendrecv", "sendrecv"])
    wanted = [directions(sdp_to_text(sdp)) for sdp in await offers_at_core(call, method)]
    assert wanted == [["sendrecv", "sendrecv"], ["sendrecv", "off"], ["sendrecv", "sendrecv"]]
    await still_works(call)


async def test_a_page_with_one_way_lines_gets_the_stream_of_the_far_end_in_an_offer_of_ours(
    stage: Stage,
) -> None:
    call = await stage.answered(await stage.page())
    call.ims.media = VIDEO
    added = await change(call, offer_again(local(call), added=[video_line("v", "sendonly")]))
    assert (added.status, directions(added.body)) == (200, ["recvonly", "sendonly", "recvonly"])
    assert sdp_from_text(added.body).bundle == ["0", "r0"]  # the new line stands outside
    (asked,) = await offers_at_core(call)
    assert directions(sdp_to_text(asked)) == ["sendrecv", "sendrecv"]
    ours = await call.wic.wait_request("UPDATE", count=2)
    assert directions(ours.body) == ["recvonly", "sendonly", "recvonly", "sendonly"]
    # The core hears of the stream once more; an offer of the page meanwhile gets 491.
    await stage.logged(call.call_id, "by=OwnRequestAnswered", "dialog=confirmed", "wic=stable ims=stable")
    assert isinstance(call.wic.media, TextMedia)
    removed = await change(call, offer_again(local(call), {}, off=["v", "r1"]))
    assert (removed.status, directions(removed.body)) == (200, ["recvonly", "sendonly", "off", "off"])
    await still_works(call)


async def test_both_lines_of_each_kind_share_a_transport_where_the_page_keeps_kinds_apart(
    stage: Stage,
) -> None:
    stage.core.script = answers(VIDEO)
    offer = AUDIO_AND_VIDEO.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0\r\na=group:BUNDLE 1")
    call = await stage.answered(await stage.page(), offer)
    await stage.logged(call.call_id, "event=call_offered", "transport=shared", "group for each kind")
    answer = sdp_from_text((await call.wic.wait_status(183)).body)
    assert answer.bundles == [["0"], ["1"]]
    update = sdp_from_text((await call.wic.wait_request("UPDATE")).body)
    assert update.bundles == [["0", "r0"], ["1", "r1"]]
    audio, video = (line.port for line in answer.media)
    assert [line.port for line in update.media] == [audio, video, audio, video]
    assert sorted(stage.lab.relay_calls()) == [call.call_id, f"{call.call_id}-v"]
    again = await change(call, offer_again(local(call)))
    assert again.status == 200
    assert sdp_from_text(again.body).bundles == update.bundles
    await still_works(call)


async def test_a_page_that_does_not_want_that_stream_still_shows_its_own(stage: Stage) -> None:
    plan = CallPlan(offer_replies=(OfferReply(), OfferReply(488)))
    call = await stage.answered(await stage.page(), plan=plan)
    call.ims.media = VIDEO
    added = await change(call, offer_again(local(call), added=[video_line("v", "sendonly")]))
    assert added.status == 200
    await stage.logged(call.call_id, "event=own_offer_refused")
    held = await change(call, offer_again(local(call), {"0": "inactive", "r0": "inactive"}))
    assert (held.status, directions(held.body)) == (200, ["inactive", "inactive", "recvonly"])
    await still_works(call)


async def test_the_far_end_has_none(stage: Stage) -> None:
    call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
    added = await change(call, offer_again(local(call), added=[video_line("1", "sendrecv")]))
    assert (added.status, directions(added.body)) == (200, ["sendrecv", "off"])
    # its ports are given back: the stage checks it; and it may be asked again
    call.ims.media = VIDEO
    again = await change(call, local(call))
    assert (again.status, directions(again.body)) == (200, ["sendrecv", "sendrecv"])
    await still_works(call)


async def test_the_core_refuses_the_change(stage: Stage) -> None:
    call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
    call.ims.statuses["INVITE"] = 488
    added = await change(call, offer_again(local(call), added=[video_line("1", "sendrecv")]))
    assert added.status == 488
    call.ims.statuses.clear()
    held = await change(call, offer_again(local(call), {"0": "sendonly"}))
    assert (held.status, directions(held.body)) == (200, ["recvonly"])
    await still_works(call)


async def test_video_that_cannot_have_a_transport_of_its_own_is_switched_off(stage: Stage) -> None:
    call = await stage.answered(await stage.page())
    offer = offer_again(local(call), added=[video_line("v", "sendonly")])
    refused = await change(call, in_one_group(offer, "0", "r0", "v"))
    assert (refused.status, directions(refused.body)) == (200, ["recvonly", "sendonly", "off"])
    assert sdp_from_text(refused.body).bundle == ["0", "r0"]
    assert not await offers_at_core(call)
    await still_works(call)


async def test_data_channels_and_further_lines_are_switched_off_in_place(stage: Stage) -> None:
    call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
    audio = sdp_from_text(AUDIO).section("audio")
    second = "\r\n".join("a=mid:9" if line.startswith("a=mid:") else line for line in audio.lines)
    response = await change(call, offer_again(local(call), added=[DATA, second]))
    assert (response.status, directions(response.body)) == (200, ["sendrecv", "off", "off"])
    assert [line.attribute("mid") for line in sdp_from_text(response.body).media] == ["0", "7", "9"]
    assert not await offers_at_core(call)
    await still_works(call)


async def test_the_codec_of_the_far_end_is_what_the_page_is_answered(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia(video="VP8"))
    call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
    call.ims.media = VIDEO
    held = await change(call, offer_again(local(call), {"0": "inactive", "1": "inactive"}))
    assert held.status == 200
    video = sdp_from_text(held.body).media[1]
    assert video.payload_type("VP8") is not None
    await still_works(call)


async def test_a_page_that_was_called(stage: Stage) -> None:
    call = await answered_by_page(stage, await stage.page())
    call.ims.media = VIDEO
    added = await change(call, offer_again(local(call), added=[video_line("v", "sendrecv")]))
    assert (added.status, directions(added.body)) == (200, ["sendrecv", "sendrecv"])
    removed = await change(call, offer_again(local(call), off=["v"]))
    assert (removed.status, directions(removed.body)) == (200, ["sendrecv", "off"])
    await call.works()
    assert (await call.wic.bye()).status == 200
