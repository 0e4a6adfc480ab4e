"""One Call-ID finds a call in the log of every program: Kamailio, its Python, rtpengine, media agent, web API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kemi.state.web.accounts import AccountStore
from kemi.state.web.client import connect
from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, Stage, gateway_options, until
from tests.integration.lab.web import Browser
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.peers.core_script import answers, rings_for_ever
from tests.peers.device_sdp import DeviceMedia

pytestmark = pytest.mark.lab

PARTS = frozenset({Part.REDIS, Part.GATEWAY, Part.RTPENGINE, Part.MEDIA_AGENT, Part.WEB_API, Part.HAPROXY})
QUICK_AGENT = {"media_agent_reconcile_s": 0.5, "media_agent_grace_s": 1.0}
SOON_S = 10.0


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """All programs of a site; alice is an operator."""
    options = gateway_options()
    variables = {**options.role_variables, "media_agent": QUICK_AGENT}
    with Lab(replace(options, parts=PARTS, role_variables=variables)) as lab:
        accounts = AccountStore(connect(lab.info.redis_url))
        alice = accounts.get("alice")
        assert alice is not None
        accounts.put(msgspec.structs.replace(alice, operator=True))
        yield lab


@pytest.fixture
async def stage(world: Lab) -> AsyncIterator[Stage]:
    """A scripted core and scripted pages."""
    stage = Stage(world)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


def grep(lab: Lab, call_id: str) -> dict[str, list[str]]:
    """Return the lines with a Call-ID by the program whose log they are in."""
    found = {}
    for path in Path(lab.info.log_dir).glob("*.log"):
        lines = [line for line in path.read_text(errors="replace").splitlines() if call_id in line]
        if lines:
            found[path.stem] = lines
    return found


async def test_a_call_that_an_operator_ends(world: Lab, stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia())
    call = await stage.answered(await stage.page())
    browser = Browser(world)
    browser.log_in("alice", world.info.web.accounts["alice"])
    url = f"{browser.origin}/api/operator/calls/end"
    assert browser.http.post(url, json={"call_id": call.call_id}, timeout=5).status_code == 202
    await call.wic.wait_request("BYE", timeout_s=SOON_S)
    await until(lambda: not stage.record(call.call_id), lambda: "it goes on", SOON_S)
    named = grep(world, call.call_id)
    assert {"gateway", "rtpengine", "web_api"} <= set(named), named
    events = [
        line for line in named["gateway"] if f"event=call_state_changed call_id={call.call_id} " in line
    ]
    assert events
    assert all(f" {call.call_id}}} " in line for line in events if "WicRequest" in line), (
        events
    )  # Kamailio's prefix
    assert any(
        re.search(rf"event=calls_ended .*call_id={re.escape(call.call_id)}", line)
        for line in named["web_api"]
    )
    assert any(f"[{call.call_id}]" in line for line in named["rtpengine"]), named["rtpengine"][:3]


async def test_a_call_that_is_left_over(world: Lab, stage: Stage) -> None:
    """The gateway dies while a page rings: relay and agent name what is left by the Call-ID."""
    to_page = await incoming.ringing(stage, await stage.page())
    stage.core.script = rings_for_ever()
    from_page = await (await stage.page()).invite(BOB, AUDIO)
    await from_page.wait_status(180)
    world.kill("gateway")
    world.start_again("gateway", Part.GATEWAY)
    await until(lambda: not world.relay_calls(), lambda: f"left: {world.relay_calls()}", SOON_S)
    for call_id in (to_page.call_id, from_page.call_id):
        named = grep(world, call_id)
        assert any("event=orphan_deleted" in line for line in named.get("media_agent", [])), named
        assert {"gateway", "rtpengine"} <= set(named)
    stage.core.calls.clear()
