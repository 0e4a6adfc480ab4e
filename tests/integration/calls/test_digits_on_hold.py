"""Digits that wait in the relay as somebody holds the call."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.integration.calls.stage import BOB, Stage
from tests.integration.calls.test_dtmf import BOTH_EVENTS, PACKAGE, event_type, press, with_events
from tests.integration.calls.test_media import connected
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia, device_answer
from tests.peers.media import RtpEndpoint

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("by_page", [True, False], ids=["page", "far end"])
@pytest.mark.parametrize(("codec", "clock_hz"), [("PCMA", 8000), ("opus", 48000)])
async def test_they_do_not_come_at_the_resume(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, codec: str, clock_hz: int, by_page: bool
) -> None:
    media = DeviceMedia(audio=codec, audio_port=phone.port)
    stage.core.script = answers(media)
    real = page.new_media()
    wic = await page.invite(BOB, with_events(await real.offer(), BOTH_EVENTS), media=real)
    call = await connected(stage, wic, real)
    phone.expect_events(event_type(call.ims.invite.body, clock_hz))
    await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=10)
    call.ims.media = replace(media, version=2)
    first = device_answer(call.ims.invite.sdp, media)
    digits = "SubsequentDigit: 1234567890\r\n"
    answer = await call.wic.info(digits, "application/session-info", headers=PACKAGE)
    assert answer.status == 200
    await phone.until(lambda p: p.digits.startswith("12"), what="two digits", timeout_s=15)
    for version, direction in enumerate(("inactive", "sendrecv"), 2):
        if not by_page:
            again = re.sub(r"(?<=o=device 7001 )\d+", str(version), first).replace("sendrecv", direction)
            assert (await call.ims.reinvite(again)).status == 200
            continue
        offer = with_events(await real.offer_again({"0": direction}), BOTH_EVENTS)
        changed = await call.wic.reinvite(offer)
        assert changed.status == 200
        await real.answer_received(changed.body)
    resumed = phone.packets_received
    await phone.until(lambda p: p.packets_received > resumed + 10, what="the page", timeout_s=15)
    assert (await press(call, "A")).status == 200  # behind all that wait
    await phone.until(lambda p: p.digits.endswith("A"), what="the digit after the hold", timeout_s=15)
    assert len(phone.digits) < 8, phone.digits
    await call.hang_up()
