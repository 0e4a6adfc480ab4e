"""The scripted peers through a real Kamailio, and the benchmark on its twins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.bench.runner import CLOSED_LOOP, Mode, Plan, callee, compare
from tests.bench.targets import TARGETS, Target
from tests.peers.call_plan import CallPlan, Step, cancel_instead
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.core_script import early_media, forks, rejects, rings_for_ever
from tests.peers.digest import Credentials
from tests.peers.sdp import page_offer
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.contract

TWINS = ("native", "kemi")
ALICE = WicIdentity(credentials=Credentials("alice", "secret"))


@pytest.fixture
async def core() -> AsyncIterator[ScriptedCore]:
    async with ScriptedCore() as core:
        yield core


@pytest.fixture(params=TWINS)
def target(request: pytest.FixtureRequest, core: ScriptedCore) -> Iterator[Target]:
    with TARGETS[request.param](core.address[1]) as target:
        yield target


@pytest.fixture
async def wic(target: Target) -> AsyncIterator[ScriptedWic]:
    async with ScriptedWic(f"ws://127.0.0.1:{target.ws_port}/sip", ALICE) as wic:
        yield wic


async def test_a_page_registers_with_digest(core: ScriptedCore, wic: ScriptedWic) -> None:
    core.registrar = RegistrarScript(credentials=ALICE.credentials, rounds=2)
    assert (await wic.register()).status == 200
    assert wic.identity.aor in core.registrations


async def test_a_call_with_reliable_early_media_runs_to_its_bye(core: ScriptedCore, wic: ScriptedWic) -> None:
    core.script = early_media()
    call = await wic.invite("sip:bob@ims.example", page_offer(audio="sendrecv"))
    await call.wait_answer()
    far = await core.wait_call()
    await far.wait_ack()
    assert (await call.bye()).status == 200
    assert call.ladder() == [
        "-> INVITE (SDP)",
        "<- 100 INVITE",
        "<- 183 INVITE (SDP)",
        "-> PRACK",
        "<- 200 PRACK",
        "<- 180 INVITE",
        "<- 200 INVITE",
        "-> ACK",
        "-> BYE",
        "<- 200 BYE",
    ]
    assert (call.violations, far.violations) == ([], [])


async def test_a_proxy_lets_a_fork_through_and_the_page_notes_the_second_tag(
    core: ScriptedCore, wic: ScriptedWic
) -> None:
    core.script = forks()
    call = await wic.invite("sip:bob@ims.example", page_offer(audio="sendrecv"))
    await call.wait_status(180)
    assert any("another To-tag" in text for text in call.violations)


async def test_a_cancel_reaches_the_callee(core: ScriptedCore, wic: ScriptedWic) -> None:
    core.script = rings_for_ever()
    plan = CallPlan(hooks={Step.RINGING_RECEIVED: cancel_instead})
    call = await wic.invite("sip:bob@ims.example", page_offer(), plan=plan)
    await call.wait_status(487)
    far = await core.wait_call()
    assert far.cancelled.is_set()
    assert far.violations == []


async def test_a_busy_callee_is_heard(core: ScriptedCore, wic: ScriptedWic) -> None:
    core.script = rejects(486)
    call = await wic.invite("sip:bob@ims.example", page_offer())
    await call.wait_status(486)
    await core.trace.wait_request("ACK", call_id=call.call_id)


def test_the_runner_measures_both_twins_in_both_modes() -> None:
    plan = Plan(TWINS, (CLOSED_LOOP, Mode("50/s", 50.0)), rounds=1, seconds=1.0, connections=4, processes=2)
    result = compare(plan, TARGETS)
    for cell in result.cells:
        (run,) = cell.runs
        assert run.failures == {}
        assert run.calls >= 45
        assert 0 < run.added_ms.p50 <= run.setup_ms.p50
        assert 0 < run.gateway_cpu_ms < 100


def test_the_callee_forgets_what_it_reported() -> None:
    with callee() as far_end:
        assert far_end.report()[0] == {}
        assert far_end.port > 0
