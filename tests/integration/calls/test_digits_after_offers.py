"""Digits of a page after an offer of the core: the relay makes events of them as before."""

from __future__ import annotations

import re

import pytest

from tests.integration.calls.stage import BOB, Stage
from tests.integration.calls.test_dtmf import BOTH_EVENTS, FIREFOX_EVENTS, event_type, press, with_events
from tests.integration.calls.test_media import connected
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia, device_answer
from tests.peers.media import RtpEndpoint

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("codec", "clock_hz", "number", "page_events"),
    [
        pytest.param("PCMA", 8000, None, FIREFOX_EVENTS, id="PCMA"),
        pytest.param("AMR-WB", 16000, 127, FIREFOX_EVENTS, id="AMR-WB"),
        pytest.param("opus", 48000, 102, FIREFOX_EVENTS, id="Opus"),
        pytest.param("PCMA", 8000, None, BOTH_EVENTS, id="PCMA, Chromium"),
    ],
)
async def test_they_stay_events(
    stage: Stage,
    page: AiortcWic,
    phone: RtpEndpoint,
    codec: str,
    clock_hz: int,
    number: int | None,
    page_events: str,
) -> None:
    media = DeviceMedia(audio=codec, audio_port=phone.port, event_number=number)
    stage.core.script = answers(media)
    real = page.new_media()
    offer = with_events(await real.offer(), page_events)
    call = await connected(stage, await page.invite(BOB, offer, media=real), real)
    first = device_answer(call.ims.invite.sdp, media)
    phone.expect_events(event_type(first, clock_hz))
    await phone.until(lambda p: p.packets_received > 10, what="the page", timeout_s=10)
    assert (await press(call, "1")).status == 200
    await phone.until(lambda p: p.digits == "1", what="a digit", timeout_s=15)
    again = re.sub(r"(?<=o=device 7001 )\d+", "2", first)
    for request in (call.ims.reinvite, call.ims.update):
        again += "a=ptime:20\r\n"  # the same text would be a refresh, of which the relay is not told
        answered = await request(again)
        assert answered.status == 200
        assert event_type(answered.body, clock_hz) == event_type(first, clock_hz)
    assert (await press(call, "2")).status == 200
    await phone.until(lambda p: p.digits == "12", what="a digit after the offers", timeout_s=15)
    await call.hang_up()
