"""Answer, then UPDATE: the ladder of the README, seen from the page and from the core."""

from __future__ import annotations

import pytest

from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO
from tests.integration.calls.stage import BOB, Stage
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia

pytestmark = pytest.mark.lab


async def test_smoke(stage: Stage) -> None:
    page = await stage.page()
    call = await page.invite(BOB, AUDIO)
    await call.wait_answer()
    far = await stage.core.wait_call()
    await far.wait_ack()
    await call.bye()
    print("\n".join(call.ladder()))
    print("\n".join(far.ladder()))
    print("\n".join(stage.log_lines(call.call_id)))


async def test_smoke2(stage: Stage) -> None:
    page = await stage.page()
    stage.core.script = answers(DeviceMedia(video="VP8"))
    call = await page.invite(BOB, AUDIO_AND_VIDEO)
    await call.wait_answer()
    far = await stage.core.wait_call()
    await far.wait_ack()
    await call.bye()
    print("\n".join(call.ladder()))
    print("\n".join(far.ladder()))
    print("\n".join(stage.log_lines(call.call_id)))
    print(far.invite.headers, far.invite.body)
    print(stage.lab.gateway_rpc("tm.list"))
