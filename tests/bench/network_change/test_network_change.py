"""Where the gap ends, and one change of network."""

from __future__ import annotations

import asyncio

import pytest

from tests.bench.delay_line import NoDelayLineError
from tests.bench.network_change.__main__ import bars, changes, complete, gone_bars
from tests.bench.network_change.gone import Waited, measure_gone
from tests.bench.network_change.measure import WAYS_BY_NAME, Times
from tests.bench.network_change.page import after_gap


class TestGap:
    @pytest.mark.parametrize(
        ("times_s", "expected"),
        [
            pytest.param([0.98, 1.0, 1.02, 1.4, 1.42], 1.4, id="a gap after the change"),
            pytest.param([0.2, 0.9, 1.0, 1.02, 1.3], 1.3, id="an earlier gap does not count"),
            pytest.param([0.9, 1.3, 1.32, 1.4], 1.3, id="the change is in the gap"),
            pytest.param([0.98, 1.0, 1.02, 1.04], None, id="no gap"),
            pytest.param([], None, id="nothing heard"),
        ],
    )
    def test_its_end_is_found(self, times_s: list[float], expected: float | None) -> None:
        assert after_gap(times_s, 1.0) == expected


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        pytest.param([Times(0.1, 3.0, 0.2)], True, id="at the bar"),
        pytest.param([Times(0.1, 0.2, 3.1)], False, id="the phone waits too long"),
        pytest.param([Times(0.1, 0.2, 0.2), None], False, id="one failed"),
        pytest.param([Times(0.1, 0.2, None)], False, id="the phone hears nothing"),
    ],
)
def test_the_bar(times: list[Times | None], kept: bool) -> None:
    assert [bar.kept for bar in bars({"checks": times})] == [kept]


@pytest.mark.parametrize(
    ("name", "seconds", "kept"),
    [
        pytest.param("goes while it rings", 0.5, True, id="in time"),
        pytest.param("goes while it rings", 0.6, False, id="late"),
        pytest.param("called as it goes", 5.5, True, id="waited for"),
        pytest.param("called as it goes", 5.6, False, id="waited for too long"),
    ],
)
def test_the_bar_for_a_page_that_is_gone(name: str, seconds: float, kept: bool) -> None:
    assert [bar.kept for bar in gone_bars({name: [Waited(0.1, 430), Waited(seconds, 430)]})] == [kept]


@pytest.mark.lab
async def test_who_calls_a_page_that_went_while_it_rang_hears_so_at_once() -> None:
    found = await measure_gone(4)
    ringing = found["goes while it rings"]
    assert {wait.status for wait in ringing} == {430}
    assert max(wait.seconds for wait in ringing) < 0.5


@pytest.mark.lab
@pytest.mark.parametrize("way", [pytest.param(name, id=name) for name in ("checks", "checks-one-way")])
def test_both_hear_each_other_again_after_a_change_of_address(way: str) -> None:
    try:
        times = asyncio.run(changes(WAYS_BY_NAME[way], 20, 1))
    except NoDelayLineError as error:
        pytest.skip(str(error))
    assert len(complete(times)) == 1, times
