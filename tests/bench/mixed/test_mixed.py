"""Every kind of call once and some more, many at once: nothing fails and nothing is left."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.bench.mixed.report import bars, text
from tests.bench.mixed.run import mixed_lab, run
from tests.bench.mixed.scenarios import SCENARIOS, draw

CALLS = 100
AT_ONCE = 12


class TestDraw:
    def test_the_same_seed_draws_the_same_calls(self) -> None:
        assert draw(SCENARIOS, 300, 1) == draw(SCENARIOS, 300, 1)
        assert draw(SCENARIOS, 300, 1) != draw(SCENARIOS, 300, 2)

    def test_every_kind_comes_at_least_once(self) -> None:
        drawn = Counter(scenario.name for scenario in draw(SCENARIOS, CALLS, 1))
        assert drawn.total() == CALLS
        assert set(drawn) == {scenario.name for scenario in SCENARIOS}

    def test_every_kind_has_a_name_of_its_own(self) -> None:
        assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


@pytest.mark.lab
@pytest.mark.timeout(600)  # four looks of up to 90 s each, which then say what is left
def test_a_hundred_mixed_calls_go_as_they_should_and_leave_nothing() -> None:
    with mixed_lab(AT_ONCE) as lab:
        outcome = asyncio.run(run(lab, SCENARIOS, CALLS, seed=1, at_once=AT_ONCE))
    assert outcome.ran.total() == CALLS
    broken = [bar.to_text() for bar in bars(outcome) if not bar.kept]
    assert not broken, "\n".join([*broken, text(outcome)])
