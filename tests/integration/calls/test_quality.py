"""Every call leaves a record with its figures in Redis and in the event stream, however it ended, and whoever was away.

The figures are of real media: a page that is aiortc, a device that speaks RTP and RTCP.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from kemi.state import keys
from kemi.state.call_history import FinishedCall
from kemi.state.call_questions import CallQuestion
from kemi.state.nodes import OPEN_S
from kemi.state.web.calls import FinishedCalls
from kemi.state.web.client import connect
from kemi.state.web.running_calls import RunningCalls
from rtpengine.ng.commands import Delete
from tests.integration.calls.incoming import answered
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO
from tests.integration.calls.stage import ALICE, BOB, NG_DEADLINE_MS, Stage, gateway_options, until
from tests.integration.calls.test_media import DEVICE_HZ, connected, payload_type
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.core_script import answers, rejects
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.one_way import ONE_WAY_STREAMS, OneWayMedia
from tests.peers.wic import WicIdentity

pytestmark = pytest.mark.lab

SOON_S = 3.0


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """With Redis; calls may be silent for two seconds."""
    options = gateway_options(gateway_media_timeout_s=2)
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        yield lab


async def record_of(stage: Stage, key: str, timeout_s: float = SOON_S) -> FinishedCall:
    """Wait for the record of a call; it is there once, and the event says the same."""
    calls = FinishedCalls(connect(stage.lab.info.redis_url))

    def found() -> list[FinishedCall]:
        return [call for call in calls.page(1000)[0] if call.key == key]

    await until(lambda: bool(found()), lambda: f"no record of {key}", timeout_s)
    (call,) = found()
    assert calls.get(call.id) == call
    assert call.id in {one.id for one in calls.page(1000, impus=[call.impu])[0]}
    (event,) = [one for one in events(stage) if one["type"] == "call_ended" and one["key"] == key]
    assert (event["media"], event["why"], event["impu"]) == (call.media, call.why, call.impu)
    return call


def events(stage: Stage) -> list[dict[str, Any]]:
    """Return what stands in the event stream."""
    database: Any = connect(stage.lab.info.redis_url)
    return [json.loads(fields[keys.STREAM_FIELD]) for _, fields in database.xrange(keys.EVENTS)]


def qualities(stage: Stage, key: str) -> list[dict[str, Any]]:
    """Return how a call sounded, as was told while it ran."""
    return [one for one in events(stage) if one["type"] == "call_quality" and one["key"] == key]


@contextmanager
def redis_asleep(stage: Stage) -> Iterator[None]:
    """Keep Redis from answering; it goes on where it was afterwards."""
    pid = stage.lab.process_ids["redis"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_both_legs_have_figures_during_the_call_and_after_it(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    wic, media = await page.dial(BOB)
    call = await connected(stage, wic, media)
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ, payload_type(call.ims, "PCMA"))
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="r0")

    def figures() -> Any:
        status, answer = stage.lab.control("GET", f"/v1/calls/quality?call_id={call.call_id}")
        assert status == 200
        return answer["media"]["audio"]

    def reported() -> bool:
        return all(figures()[leg]["heard"]["samples"] for leg in ("wic", "ims"))

    # Before the first report, too.
    assert all(3.5 < figures()[leg]["heard"]["mos"] <= 4.5 for leg in ("wic", "ims"))
    await until(reported, lambda: str(figures()), 10)
    during = figures()
    # Operators ask all gateways: the same figures, as they were taken last.
    running = RunningCalls(connect(stage.lab.info.redis_url))
    found, silent = await asyncio.to_thread(running.ask, time.time())
    (live,) = [one for answer in found.values() for one in answer.calls if one.call_id == call.call_id]
    assert (silent, live.page.by, live.far.by, live.far.offer_answer) == ([], "page", "core", "stable")
    for fits, direction in ((1, "out"), (0, "in")):
        question = CallQuestion(party=BOB, dialog="confirmed", node=live.node, direction=direction, limit=1)
        some = await asyncio.to_thread(running.page, time.time(), question)
        assert [one.call_id for _, one in some.calls] == [call.call_id] * fits
        assert ([total for total, _ in some.totals.values()], some.following) == ([fits], None)
    for leg, codec in ((live.page, "opus/48000/2"), (live.far, "PCMA/8000")):
        sound = leg.media["audio"]
        assert (sound.codec, sound.packets > 0) == (codec, True)
        assert sound.mos is not None and 3.5 < sound.mos <= 4.5
    # And an event says how the call sounds, once it has been looked at twice.
    await until(lambda: bool(qualities(stage, call.call_id)), lambda: "no call_quality", 12)
    (event,) = qualities(stage, call.call_id)
    assert (event["impu"], event["peer"], event["direction"]) == (ALICE, BOB, "from_page")
    legs = event["quality"]["audio"]
    assert {legs[leg]["rating"] for leg in ("wic", "ims") if legs[leg]} == {"good"}
    assert all(200 < leg["packets"] < 700 and leg["loss_percent"] <= 1 for leg in legs.values() if leg)
    await call.hang_up()
    record = await record_of(stage, call.call_id)
    assert (record.by, record.why, record.status, record.direction) == ("page", "BYE", 0, "from_page")
    assert (record.impu, record.peer) == (ALICE, BOB)
    assert 0 < record.duration_s <= record.ended_at - record.began_at
    for name, codec in (("wic", "opus/48000/2"), ("ims", "PCMA/8000")):
        leg = record.media["audio"][name]
        assert leg["codec"] == codec
        assert during[name]["packets"] <= leg["packets"] <= 51 * (record.ended_at - record.began_at) + 10
        assert leg["bytes"] > 20 * leg["packets"]
        heard = leg["heard"]
        assert heard["loss_percent"] <= 1
        assert heard["jitter_ms"] < 500
        assert 3.5 < heard["mos"] <= 4.5
        assert heard["mos_source"] in ("rtcp", "e-model")
    assert record.media["audio"]["ims"]["heard"]["round_trip_ms"] is not None


async def test_a_call_that_is_refused(stage: Stage) -> None:
    stage.core.script = rejects(486)
    page = await stage.page()
    call = await page.invite(BOB, AUDIO)
    await call.wait_status(486)
    record = await record_of(stage, call.call_id)
    assert (record.by, record.why, record.status, record.duration_s) == ("core", "refused", 486, 0.0)
    assert record.media["audio"]["wic"]["packets"] == 0


def running(stage: Stage, key: str) -> dict[str, Any]:
    """Return what a call that runs is asked for."""
    status, answer = stage.lab.control("GET", f"/v1/calls/quality?call_id={key}")
    assert status == 200
    media: dict[str, Any] = answer["media"]
    return media


async def test_video_that_the_far_end_refuses_is_not_missed(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia(video=None))
    call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
    assert set(running(stage, call.call_id)) == {"audio"}
    await call.hang_up()
    record = await record_of(stage, call.call_id)
    assert (set(record.media), set(record.media["audio"])) == ({"audio"}, {"wic", "ims"})


async def test_video_that_the_page_refuses_is_not_missed(stage: Stage, phone: RtpEndpoint) -> None:
    page = AiortcWic(stage.handshake, WicIdentity(ALICE, feature_tags=(ONE_WAY_STREAMS,)))
    page.incoming_media = lambda invite: OneWayMedia(page.new_media, refused=("1", "r1"))
    await stage.join(page)
    call = await answered(stage, page, sdp=device_offer(DeviceMedia(audio_port=phone.port, video="VP8")))
    key = str(stage.lab.control("GET", "/v1/calls")[1]["calls"][0]["key"])
    assert set(running(stage, key)) == {"audio"}
    assert (await call.ims.bye()).status == 200
    record = await record_of(stage, key)
    assert (set(record.media), set(record.media["audio"])) == ({"audio"}, {"wic", "ims"})


async def test_a_call_towards_the_page_that_loses_its_media(stage: Stage) -> None:
    call = await answered(stage, await stage.page())
    key = str(stage.lab.control("GET", "/v1/calls")[1]["calls"][0]["key"])
    await call.ims.wait_request("BYE", timeout_s=10)
    await call.wic.wait_request("BYE", timeout_s=10)
    record = await record_of(stage, key)
    assert (record.by, record.why, record.direction) == ("gateway", "no media for 2 s", "to_page")
    assert set(record.media) == {"audio"}


async def test_a_call_whose_relay_has_lost_it(stage: Stage) -> None:
    call = await stage.answered(await stage.page())
    stage.lab.ask_relay(Delete(call.call_id))
    await call.ims.wait_request("BYE", timeout_s=10)
    await call.wic.wait_request("BYE", timeout_s=10)
    record = await record_of(stage, call.call_id)
    assert (record.by, record.why) == ("gateway", "the media relay has lost the call")
    assert record.media == {"audio": {"why": "the media relay has no such call"}}


async def test_a_call_whose_relay_does_not_answer(stage: Stage) -> None:
    call = await stage.answered(await stage.page())
    with stage.relay_asleep():
        await call.hang_up()
        record = await record_of(stage, call.call_id, SOON_S + NG_DEADLINE_MS / 1000)
    stage.lab.ask_relay(Delete(call.call_id))
    assert record.by == "page"
    assert "does not answer" in record.media["audio"]["why"]
    await asyncio.sleep(OPEN_S)  # nobody asks the relay before


async def test_redis_is_away_and_no_call_is_lost(stage: Stage) -> None:
    page = await stage.page()
    ended = []
    with redis_asleep(stage):
        began = time.monotonic()
        for _ in range(5):
            call = await stage.answered(page)
            await call.hang_up()
            ended.append(call.call_id)
        await asyncio.sleep(max(0.0, began + 2 - time.monotonic()))
    for key in ended:
        record = await record_of(stage, key, 5)
        assert record.media["audio"]["wic"]["errors"] == 0
