"""The media relay is late or dead: no call without media, and nothing hangs (docs/flow.md).

Each test has a gateway and a relay of its own: a worker leaves a relay that failed alone for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.integration.calls.incoming import ringing
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO
from tests.integration.calls.stage import (
    ALICE,
    BOB,
    CLEAN_WITHIN_S,
    SHORT_NG_DEADLINE_MS,
    Call,
    Stage,
    gateway_options,
    warning_of,
)
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.call_plan import CallPlan
from tests.peers.core_script import CoreScript, UntilCancelled, answers
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.sip import SipResponse
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

LEFT_ALONE_S = 10.0
"""How long a worker leaves a relay that failed alone."""
IN_TIME_S = 3.0
TRYING_ONLY = CoreScript((UntilCancelled(),))
NO_UPDATE = "ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER"
DEVICE_HZ = 440.0
MUSIC_HZ = 640.0


@pytest.fixture
def gateway_lab() -> Iterator[Lab]:
    """A lab for one test."""
    with Lab(gateway_options(gateway_ng_deadline_ms=SHORT_NG_DEADLINE_MS)) as lab:
        yield lab
        wait_until(lambda: transactions(lab) == 0, "no transaction left", CLEAN_WITHIN_S)


def transactions(lab: Lab) -> int:
    """Return the number of transactions the gateway has."""
    return int(lab.gateway_rpc("tm.stats")["current"])


async def refused_call(page: ScriptedWic, offer: str = AUDIO) -> tuple[SipResponse, float]:
    """Call and return the refusal and how long it took, in seconds."""
    began = time.monotonic()
    call = await page.invite(BOB, offer)
    response = await call.wait_status(range(200, 700))
    return response, time.monotonic() - began


@pytest.mark.parametrize(
    "offer", [pytest.param(AUDIO, id="audio"), pytest.param(AUDIO_AND_VIDEO, id="audio and video")]
)
async def test_a_relay_that_sleeps_is_503_in_time_and_calls_work_again_when_it_wakes(
    stage: Stage, offer: str
) -> None:
    page = await stage.page()
    with stage.relay_asleep():
        refused, took_s = await refused_call(page, offer)
    assert (refused.status, refused.reason_phrase) == (503, "Media Relay Unavailable")
    assert "does not answer" in warning_of(refused)
    assert took_s < IN_TIME_S
    await stage.logged(refused.call_id, "event=media_failed", "status=503")
    assert not stage.core_knows(refused.call_id)
    deadline = time.monotonic() + LEFT_ALONE_S + 2
    while True:
        wic = await page.invite(BOB, AUDIO)
        first = await wic.wait_status(range(183, 700))
        if first.status == 183:
            break
        assert (first.status, time.monotonic() < deadline) == (503, True)
        await asyncio.sleep(0.5)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    await call.hang_up()


async def test_a_relay_that_was_killed_is_503_at_once_and_running_calls_still_end(stage: Stage) -> None:
    page = await stage.page()
    running = await stage.answered(page)
    stage.kill_relay()
    refused, took_s = await refused_call(page)
    assert refused.status == 503
    assert "media relay" in warning_of(refused)
    assert took_s < IN_TIME_S
    await running.hang_up()
    await stage.logged(running.call_id, "event=media_not_released")


async def test_a_relay_that_sleeps_when_the_core_answers_ends_the_call_on_both_sides(stage: Stage) -> None:
    stage.core.script = TRYING_ONLY
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO)
    ims = await stage.core.wait_call()
    with stage.relay_asleep():
        ims.respond(200, media=DeviceMedia())
        await wic.wait_answer()
        to_page = await wic.wait_request("BYE")
        to_core = await ims.wait_request("BYE")
    for bye in (to_page, to_core):
        assert "cause=" in (bye.headers.get("Reason") or ""), bye.headers
    assert ims.ladder().index("<- ACK") < ims.ladder().index("<- BYE")
    assert wic.ladder()[-4:] == ["<- 200 INVITE", "-> ACK", "<- BYE", "-> 200 BYE"]
    await stage.logged(wic.call_id, "event=media_failed", "does not answer")


async def test_a_relay_that_sleeps_at_early_media_ends_the_call_and_tells_the_page(stage: Stage) -> None:
    stage.core.script = TRYING_ONLY
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO)
    ims = await stage.core.wait_call()
    with stage.relay_asleep():
        ims.respond(183, media=DeviceMedia())
        refused = await wic.wait_status(range(200, 700))
        await ims.wait_request("CANCEL")
    assert refused.status == 503
    assert "does not answer" in warning_of(refused)
    await stage.logged(wic.call_id, "event=media_failed", "does not answer")


async def test_a_relay_that_sleeps_when_the_page_takes_the_update_ends_the_call(stage: Stage) -> None:
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO_AND_VIDEO, plan=CallPlan(prack=False))
    early = await wic.wait_status(183)
    with stage.relay_asleep():
        await wic.prack(early)
        refused = await wic.wait_status(range(200, 700))
    assert refused.status == 503
    assert "does not answer" in warning_of(refused)
    assert refused.to_tag == early.to_tag
    await stage.logged(wic.call_id, "event=media_failed", "does not answer")
    assert not stage.core_knows(wic.call_id)


async def test_a_relay_that_sleeps_does_not_keep_the_page_from_hanging_up(stage: Stage) -> None:
    call = await stage.answered(await stage.page())
    with stage.relay_asleep():
        await call.hang_up()
        await stage.logged(call.call_id, "event=media_not_released")


async def test_a_relay_that_sleeps_keeps_a_call_from_reaching_its_page(stage: Stage) -> None:
    page = await stage.page()
    with stage.relay_asleep():
        refused = await stage.core.call(ALICE).wait_status(503)
    assert "does not answer" in warning_of(refused)
    assert "<- INVITE (SDP)" not in page.trace.ladder()


async def test_a_relay_that_sleeps_when_the_page_answers_ends_the_call_on_both_sides(stage: Stage) -> None:
    call = await ringing(stage, await stage.page())
    answer = await call.wic.media.answer_offer(call.wic.invite.body)
    with stage.relay_asleep():
        await call.wic.respond(200, sdp=answer)
        refused = await call.ims.wait_status(500)  # RFC 3261 §16.7: not 503
        await call.wic.wait_request("BYE")
    assert "does not answer" in warning_of(refused)
    await stage.logged(call.call_id, "event=media_failed", "does not answer")


async def talking(stage: Stage, page: AiortcWic, phone: RtpEndpoint, allow: str) -> tuple[Call, AiortcMedia]:
    """Call, and let both hear each other."""
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    media = page.new_media()
    wic = await page.invite(BOB, await media.offer(audio="sendrecv"), media=media, allow=allow)
    await wic.wait_answer(timeout_s=10)
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="0")
    return call, media


async def test_a_hold_that_a_relay_slept_through_is_refused_and_both_go_on_hearing_each_other(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    call, media = await talking(stage, page, phone, NO_UPDATE)
    held = device_offer(DeviceMedia(audio_port=phone.port, direction="sendonly", version=2))
    with stage.relay_asleep():
        assert (await call.ims.update(held)).status == 503
    await stage.logged(call.call_id, "event=relay_told")
    phone.forget_received()
    phone.start_tone(MUSIC_HZ)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(MUSIC_HZ, mid="0")
    await call.hang_up()


async def test_a_hold_that_the_page_takes_reaches_a_relay_that_slept_and_its_music_is_heard(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    call, media = await talking(stage, page, phone, f"{NO_UPDATE},UPDATE")
    with RtpEndpoint() as server:
        held = device_offer(DeviceMedia(audio_port=server.port, direction="sendonly", version=2))
        with stage.relay_asleep():
            taken = await call.ims.reinvite(held)
        assert taken.status == 200
        await stage.logged(call.call_id, "event=relay_told")
        phone.stop_sending()
        server.send_to_sdp(taken.body)
        server.start_tone(MUSIC_HZ)
        await media.until_heard(MUSIC_HZ, mid="0")
        await call.hang_up()
