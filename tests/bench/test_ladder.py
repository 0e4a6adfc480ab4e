"""The ladder's rungs on what really runs: a twin, and Janus where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.janus_calls import JanusOrder, janus_calls
from tests.bench.ladder import NATIVE, Climber, ascend, broken, climbers_of
from tests.bench.media_load import janus
from tests.bench.results import LoadResult
from tests.bench.runner import callee

pytestmark = pytest.mark.contract


def test_a_twin_stands_on_low_rungs_and_its_calls_are_counted() -> None:
    with callee() as far_end, climbers_of([NATIVE], far_end) as climbers:
        ascend(climbers, far_end, iter([20.0, 40.0]), 0.5)
    [climber] = climbers
    assert [rung.step.offered for rung in climber.rungs] == [20, 40]
    assert [broken(rung.step) for rung in climber.rungs] == ["", ""]
    assert climber.best is climber.rungs[1]
    assert all(rung.cpu_ms > 0 and 0 < rung.load_share < 1 for rung in climber.rungs)
    assert len(climber.rungs[0].delays_s) == 10  # plain calls keep their Call-ID


@pytest.mark.skipif(janus.PROGRAM is None, reason=janus.HOW_TO_INSTALL)
def test_calls_through_janus_are_answered(tmp_path: Path) -> None:
    with callee() as far_end, janus.running_janus(tmp_path) as running:

        def loader(rate: float, seconds: float) -> LoadResult:
            return janus_calls(JanusOrder(running.port, far_end.port, rate, seconds, users=20))

        climber = Climber("Janus", [running.pid], loader)
        ascend([climber], far_end, iter([20.0]), 0.5)
    [rung] = climber.rungs
    assert broken(rung.step) == ""
    assert rung.cpu_ms > 0


def test_who_cannot_be_reached_any_more_climbs_no_further() -> None:
    def loader(rate: float, seconds: float) -> LoadResult:
        raise RuntimeError("load client ended with 1")

    climber = Climber("gone", [], loader)
    with callee() as far_end:
        ascend([climber], far_end, iter([20.0, 40.0]), 0.5)
    assert [rung.step.done for rung in climber.rungs] == [0]
    assert (climber.best, climber.breaks) == (None, "load clients cannot connect")
