"""Stream mapping in both browsers: tone and pictures, in the right directions, after every change of a call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.matrix.cells import BROWSERS, Engine
from tests.browser.matrix.conftest import before_far_end
from tests.browser.matrix.engines import Browsers
from tests.browser.matrix.mapping import Mapped, mapped
from tests.browser.matrix.mapping_run import MappingRun

pytestmark = [pytest.mark.browser, pytest.mark.lab, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, browsers: Browsers) -> Iterator[MappingRun]:
    """All calls that are wanted, made already."""
    chosen = {item.name for item in request.session.items if item.path == request.path}
    wanted = [call for call in mapped() if any(f"[{call.name}]" in name for name in chosen)]
    with before_far_end() as (lab, far_end):
        run = MappingRun(lab, far_end, browsers)
        run.carry_out(wanted)
        yield run


@pytest.mark.parametrize("call", [pytest.param(call, id=call.name) for call in mapped()])
def test_each_step_of_the_call(run: MappingRun, call: Mapped) -> None:
    outcome = run.outcome(call)
    failed = {str(step): what for step, what in outcome.items() if what}
    assert not failed, failed
    assert set(outcome) == set(call.steps)


@pytest.mark.parametrize("engine", [pytest.param(engine, id=engine) for engine in BROWSERS])
def test_a_far_end_without_pictures_is_talked_to(run: MappingRun, engine: Engine) -> None:
    lines = run.without_pictures(engine)
    assert not [
        line for line in lines if line.startswith("video") and line.endswith(("sendonly", "recvonly"))
    ]
    assert [line.rpartition("/")[2] for line in lines if line.startswith("audio")] == ["sendonly", "recvonly"]
