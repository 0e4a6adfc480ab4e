"""Kamailio is killed and started again: answered calls go on, with sound all the while, and end properly."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kemi.state import keys
from kemi.state.web.client import connect
from tests.integration.calls.incoming import answered
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, Stage, gateway_options, until
from tests.integration.calls.test_media import DEVICE_HZ, connected, payload_type
from tests.integration.calls.test_page_offers import change, directions, local, offers_at_core
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.waiting import wait_until
from tests.peers.aiortc_wic import TONE_HZ, AiortcMedia, AiortcWic
from tests.peers.call_plan import CallPlan
from tests.peers.core_script import answers, rings_for_ever
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import offer_again
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

BROKEN = "{"
RECOVERY_S = 20
"""How long a page may stay away: a busy machine needs some seconds for a restart."""
PAGE_GONE = 'SIP;cause=503;text="the page is gone"'


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway that may be killed, with the media agent beside it and Redis."""
    options = gateway_options(gateway_flow_recovery_s=RECOVERY_S)
    with Lab(replace(options, parts=options.parts | {Part.REDIS, Part.MEDIA_AGENT})) as lab:
        yield lab


def kept(stage: Stage) -> dict[str, Any]:
    """Return the calls that Redis keeps."""
    store: Any = connect(stage.lab.info.redis_url)
    (name,) = store.keys(keys.call_records("*")) or [""]
    texts = store.hgetall(name) if name else {}
    return {key: json.loads(text) for key, text in texts.items() if text != BROKEN}


async def settled(stage: Stage, *names: str) -> None:
    """Wait until Redis has these calls as they are."""

    def acknowledged() -> bool:
        found = kept(stage)
        return all(found.get(name, {}).get("record", {}).get("acknowledged") for name in names)

    await until(acknowledged, lambda: f"kept: {sorted(kept(stage))}", 15)
    await asyncio.sleep(0.3)


async def restart(stage: Stage, *names: str) -> None:
    """Kill the gateway once Redis has these calls; start it again."""
    await settled(stage, *names)
    stage.lab.kill("gateway")
    stage.lab.spawn_again("gateway")  # by this thread: with the one that starts it a process ends
    # In a thread: a page of this process sends its sound all the while.
    await asyncio.to_thread(
        wait_until,
        lambda: stage.lab.is_ready(Part.GATEWAY),
        "gateway ready",
        stage.lab.options.ready_timeout_s,
    )


async def back(page: ScriptedWic) -> None:
    """The page connects and registers again."""
    await page.lost.wait()
    await page.connect()
    assert (await page.register()).status == 200


async def both_hear_anew(phone: RtpEndpoint, media: AiortcMedia) -> None:
    """What was heard so far does not count."""
    phone.forget_received()
    media.forget_received()
    await phone.until_tone(TONE_HZ, timeout_s=15)
    await media.until_heard(DEVICE_HZ, mid="r0", timeout_s=15)


async def test_sound_goes_on_and_the_page_can_do_everything_again(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    wic, media = await page.dial(BOB)
    call = await connected(stage, wic, media)
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ, payload_type(call.ims, "PCMA"))
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await media.until_heard(DEVICE_HZ, mid="r0")
    heard, began = phone.packets_received, time.monotonic()
    await restart(stage, call.call_id)
    # The relay never noticed: 50 packets a second, but for those that this process was too busy to send.
    assert phone.packets_received - heard > 25 * (time.monotonic() - began)
    await back(page)
    assert (await call.wic.info()).status == 200
    assert (await call.ims.info("text/plain", "welcome back")).status == 200
    assert (await call.wic.info_dtmf("5")).status == 200
    await both_hear_anew(phone, media)
    await call.hang_up()
    await until(lambda: call.call_id not in kept(stage), lambda: f"still kept: {kept(stage)}", 15)


async def test_hold_and_resume_after_it(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    await restart(stage, call.call_id)
    await back(page)
    held = await change(call, offer_again(local(call), {"0": "inactive", "r0": "inactive"}))
    assert (held.status, directions(held.body)) == (200, ["inactive", "inactive"])
    resumed = await change(call, offer_again(local(call), {"0": "sendonly", "r0": "recvonly"}))
    assert (resumed.status, directions(resumed.body)) == (200, ["recvonly", "sendonly"])
    wanted = [sdp.media[0].direction for sdp in await offers_at_core(call)]
    assert wanted == ["inactive", "sendrecv"]
    await call.hang_up()


async def test_the_core_hangs_up_while_the_page_is_away(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    await restart(stage, call.call_id)
    assert (await call.ims.bye()).status == 200
    await until(lambda: not stage.record(call.call_id), lambda: "still there", 15)
    await back(page)
    bye = call.wic.request("BYE")
    await page.send(bye)
    assert (await page.trace.wait_response(481, "BYE", call_id=call.call_id)).status == 481


async def test_a_page_that_does_not_come_back_ends_its_call(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    await restart(stage, call.call_id)
    began = time.monotonic()
    bye = await call.ims.wait_request("BYE", timeout_s=RECOVERY_S + 10)
    assert time.monotonic() - began > RECOVERY_S - 1
    assert bye.headers.get("Reason") == PAGE_GONE


async def test_a_page_that_never_heard_of_the_answer_leaves_nobody_hanging(stage: Stage) -> None:
    """It gave up when its connection was lost; the gateway knows only that no ACK came."""
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO, plan=CallPlan(ack=False))
    await wic.wait_answer()
    ims = await stage.core.wait_call()
    await until(lambda: wic.call_id in kept(stage), lambda: f"kept: {kept(stage)}", 15)
    await asyncio.sleep(0.3)
    stage.lab.kill("gateway")
    stage.lab.start_again("gateway", Part.GATEWAY)
    del page.calls[wic.call_id]
    await back(page)
    bye = await ims.wait_request("BYE", timeout_s=RECOVERY_S + 10)
    assert bye.headers.get("Reason") == 'SIP;cause=481;text="the page does not know the call any more"'


async def test_a_call_towards_a_page_goes_on(stage: Stage) -> None:
    page = await stage.page(ALICE)
    call = await answered(stage, page)
    key = str(stage.lab.control("GET", "/v1/calls")[1]["calls"][0]["key"])
    await restart(stage, key)
    await back(page)
    assert (await call.wic.info()).status == 200
    assert (await call.ims.info("text/plain", "welcome back")).status == 200
    assert (await call.ims.bye()).status == 200
    await call.wic.wait_request("BYE")


async def test_what_cannot_go_on_is_not_taken_up(stage: Stage) -> None:
    """A call that rings, one of another release, one that is no record at all."""
    page = await stage.page()
    call = await stage.answered(page)
    stage.core.script = rings_for_ever()
    ringing = await page.invite(BOB, AUDIO)
    await ringing.wait_status(180)
    await until(lambda: call.call_id in kept(stage), lambda: str(kept(stage)), 15)
    assert ringing.call_id not in kept(stage)
    await asyncio.sleep(0.3)
    store: Any = connect(stage.lab.info.redis_url)
    (name,) = store.keys(keys.call_records("*"))
    stage.lab.kill("gateway")
    other = kept(stage)[call.call_id]
    other["record"]["schema"] = 1
    store.hset(name, "of-another-release", json.dumps(other))
    store.hset(name, "broken", BROKEN)
    stage.lab.start_again("gateway", Part.GATEWAY)
    assert set(stage.lab.gateway_rpc.htable("call")) == {call.call_id}
    await until(lambda: set(kept(stage)) == {call.call_id}, lambda: str(set(kept(stage))), 15)

    def ends() -> dict[str, str]:
        told = [json.loads(event["json"]) for _, event in store.xrange(keys.EVENTS)]
        return {one["key"]: one["why"] for one in told if one["type"] == "call_ended"}

    await until(lambda: "of-another-release" in ends(), lambda: str(ends()), 15)
    assert ends()["of-another-release"].startswith("not taken up again")
    await back(page)
    await call.hang_up()
    stage.core.calls.clear()
