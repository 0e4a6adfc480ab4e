"""The far end took another video codec than the page was told, or no video: an UPDATE puts the page right."""

from __future__ import annotations

import pytest

from rtpengine.ng.commands import Query
from tests.integration.calls.ladders import requests_received
from tests.integration.calls.offers import AUDIO_AND_VIDEO
from tests.integration.calls.stage import Call, Stage, until
from tests.peers.call_plan import CallPlan, OfferReply, refused
from tests.peers.core_script import CoreScript, Final, Pause, Provisional, answers, early_media
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sdp import MediaSection, sdp_from_text

pytestmark = pytest.mark.lab

VP8 = DeviceMedia(video="VP8")
NO_VIDEO = DeviceMedia(video=None)
SHORTLY_S = 3.0


async def corrected(stage: Stage, script: CoreScript, plan: CallPlan | None = None) -> Call:
    """Call, and wait until the page has answered the correction."""
    stage.core.script = script
    call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO, plan)
    await call.wic.wait_request("UPDATE", count=2)
    return call


def video_lines(call: Call, number: int) -> list[MediaSection]:
    """Return the video lines of the gateway's UPDATE of that number."""
    update = call.wic.trace.requests("UPDATE")[number]
    return [media for media in sdp_from_text(update.body).media if media.kind == "video"]


def first_codec(line: MediaSection) -> str:
    """Return the name of the codec a line prefers."""
    names = (value.split() for value in line.attributes("rtpmap"))
    return {number: name.split("/")[0] for number, name in names}[line.formats[0]]


async def test_the_codec_the_far_end_took_takes_the_first_ones_place(stage: Stage) -> None:
    call = await corrected(stage, answers(VP8))
    await call.hang_up()
    assert [first_codec(line) for line in video_lines(call, 0)] == ["H264", "H264"]
    assert [first_codec(line) for line in video_lines(call, 1)] == ["VP8", "VP8"]
    assert all(line.port for line in video_lines(call, 1))


async def test_video_the_far_end_refused_is_switched_off_at_the_page(stage: Stage) -> None:
    call = await corrected(stage, answers(NO_VIDEO))
    await until(
        lambda: f"{call.call_id}-v" not in stage.lab.relay_calls(),
        lambda: f"the relay still has {stage.lab.relay_calls()}",
        SHORTLY_S,
    )
    assert call.call_id in stage.lab.relay_calls()
    await call.hang_up()
    assert [line.port for line in video_lines(call, 1)] == [0, 0]
    audio = [m for m in sdp_from_text(call.wic.trace.requests("UPDATE")[1].body).media if m.kind == "audio"]
    assert all(line.port for line in audio)


async def test_video_that_another_fork_refuses_early_is_there_for_the_one_that_answers(stage: Stage) -> None:
    """A server with the ring-back tone, and a device with a camera."""
    ring_back = Provisional(183, media=NO_VIDEO, fork="b")
    taken = DeviceMedia(video="H264", audio_port=41000)
    stage.core.script = CoreScript((ring_back, Pause(0.3), Final(200, taken)))
    call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
    of_video = stage.lab.ask_relay(Query(f"{call.call_id}-v"))
    ports = {stream.local_port for tag in of_video.tags.values() for stream in tag.streams()}
    assert (await call.wic.info()).status == 200
    await call.hang_up()
    assert len(call.wic.trace.requests("UPDATE")) == 1
    assert {line.port for line in video_lines(call, 0)} <= ports


async def test_the_codec_the_page_was_told_first_needs_no_correction(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia(video="H264"))
    call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
    assert (await call.wic.info()).status == 200
    await call.hang_up()
    assert len(call.wic.trace.requests("UPDATE")) == 1


async def test_the_correction_is_the_same_session_with_a_higher_version(stage: Stage) -> None:
    call = await corrected(stage, answers(VP8))
    await call.hang_up()
    early = await call.wic.wait_status(183)
    bodies = [early.body, *(update.body for update in call.wic.trace.requests("UPDATE"))]
    origins = [body.splitlines()[1].split() for body in bodies]
    assert len({origin[1] for origin in origins}) == 1
    assert [int(origin[2]) for origin in origins] == [1, 2, 3]


async def test_early_media_is_corrected_before_the_answer(stage: Stage) -> None:
    call = await corrected(stage, early_media(VP8))
    await call.hang_up()
    ladder = call.wic.ladder()
    second_update = [at for at, rung in enumerate(ladder) if rung == "<- UPDATE (SDP)"][1]
    assert second_update < ladder.index("<- 200 INVITE")


async def test_requests_of_the_core_rise_above_our_own_numbers(stage: Stage) -> None:
    call = await corrected(stage, answers(VP8))
    assert (await call.ims.info("text/plain", "hello")).status == 200
    assert (await call.ims.bye()).status == 200
    numbers = [(request.cseq.number, request.method) for request in requests_received(call.wic)]
    assert numbers == [(1, "UPDATE"), (2, "UPDATE"), (3, "INFO"), (4, "BYE")]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(refused(488), id="488"),
        pytest.param(refused(481), id="481"),
        pytest.param(OfferReply(None), id="no answer"),
    ],
)
async def test_a_page_that_refuses_the_correction_keeps_its_call(stage: Stage, reply: OfferReply) -> None:
    plan = CallPlan(offer_replies=(OfferReply(), reply))
    call = await corrected(stage, answers(VP8), plan)
    await stage.logged(call.call_id, "event=correction_refused")
    assert (await call.wic.info()).status == 200
    await call.hang_up()


async def test_glare_delays_the_correction(stage: Stage) -> None:
    plan = CallPlan(offer_replies=(OfferReply(), refused(491), OfferReply()))
    call = await corrected(stage, answers(VP8), plan)
    await call.wic.wait_request("UPDATE", count=3)
    assert (await call.wic.info()).status == 200
    await call.hang_up()
    assert [first_codec(line) for line in video_lines(call, 2)] == ["VP8", "VP8"]
    assert len({update.body for update in call.wic.trace.requests("UPDATE")[1:]}) == 1
