"""How long a stranger waits for the answer about somebody the core does not know."""

from __future__ import annotations

from collections.abc import Sequence

from kemi.core.registration.answer_times import KEPT, LONGEST_S, USUAL_S, due_at, with_time


def newest(times: Sequence[float]) -> float:
    return times[-1]


def test_the_newest_times_are_remembered() -> None:
    times: list[float] = []
    for number in range(KEPT + 5):
        times = with_time(times, number / 1000)
    assert len(times) == KEPT
    assert (times[0], times[-1]) == (0.005, (KEPT + 4) / 1000)


def test_what_is_no_usual_time_is_not() -> None:
    assert with_time([0.04], LONGEST_S + 0.1) == [0.04]
    assert with_time([0.04], -0.1) == [0.04]  # the clock was put back


def test_it_is_one_of_the_times_others_waited() -> None:
    assert due_at(100.0, [0.04, 0.06], newest) == 100.06
    assert due_at(100.0, [], newest) == 100.0 + USUAL_S
