"""Relay nodes as the workers see them: the agent's report, the circuit breaker, drains, loads."""

from __future__ import annotations

from collections import defaultdict

import pytest

from kemi.state.nodes import FRESH_S, OPEN_S, SLOW_S, TRIAL_S, NodeReport, NodeStore
from tests.fakes.table import MemoryTable

A, B = "192.0.2.1:2223", "192.0.2.2:2223"
NOW = 1000.0


class Workers:
    """Two worker processes and their tables."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        self.one, self.other = (NodeStore(self.tables.__getitem__) for _ in range(2))

    def report(
        self, state: str, now: float, silent_s: float = 0.01, calls: int | None = 0, counted: float = 1.0
    ) -> None:
        self.one.report([NodeReport(A, state, calls, counted, silent_s)], now)


@pytest.fixture
def workers() -> Workers:
    return Workers()


class TestReports:
    @pytest.mark.parametrize(
        ("state", "usable", "prompt", "takes_calls"),
        [
            ("unknown", True, True, True),
            ("up", True, True, True),
            ("suspect", True, False, True),
            ("down", False, False, False),
            ("returning", True, True, False),
        ],
    )
    def test_what_a_state_means(
        self, workers: Workers, state: str, usable: bool, prompt: bool, takes_calls: bool
    ) -> None:
        workers.report(state, NOW)
        (view,) = workers.other.view([A], NOW)
        assert workers.other.usable(A, NOW) == workers.other.may_try(A, NOW) == usable
        assert (workers.other.is_prompt(A, NOW), view.takes_calls, view.state) == (prompt, takes_calls, state)

    def test_an_old_report_says_nothing(self, workers: Workers) -> None:
        workers.report("down", NOW)
        assert not workers.other.usable(A, NOW + FRESH_S - 0.1)
        assert workers.other.usable(A, NOW + FRESH_S)
        assert workers.other.view([A], NOW + FRESH_S)[0].calls is None

    def test_a_node_nobody_reports_may_be_tried(self, workers: Workers) -> None:
        workers.report("down", NOW)
        assert workers.other.usable(B, NOW)


class TestBreaker:
    def test_one_miss_keeps_all_workers_away_for_a_while_then_one_tries(self, workers: Workers) -> None:
        workers.one.missed(A, NOW)
        assert not workers.one.usable(A, NOW)
        assert not workers.other.may_try(A, NOW + OPEN_S - 0.1)
        assert workers.other.may_try(A, NOW + OPEN_S)
        assert not workers.one.may_try(A, NOW + OPEN_S)
        assert not workers.one.usable(A, NOW + OPEN_S)
        assert workers.one.may_try(A, NOW + OPEN_S + TRIAL_S)  # the other one never came back

    def test_who_waits_is_called_back_by_a_newer_miss_only(self, workers: Workers) -> None:
        workers.one.missed(A, NOW)
        assert not workers.other.usable(A, NOW + 0.1, since=NOW - 0.1)
        trial = NOW + OPEN_S
        assert workers.other.may_try(A, trial)
        assert workers.other.usable(A, trial + 0.1, since=trial)  # or a slow node would never be found alive
        workers.one.missed(A, trial + 0.2)
        assert not workers.other.usable(A, trial + 0.3, since=trial)
        workers.report("down", trial + 0.3)
        assert not workers.other.usable(A, trial + 0.3, since=trial + 0.3)

    def test_an_answer_closes_it_for_all(self, workers: Workers) -> None:
        workers.one.missed(A, NOW)
        workers.other.answered(A)
        assert workers.one.may_try(A, NOW)
        assert workers.tables["node"].entries == {}

    def test_so_does_a_good_ping_after_it(self, workers: Workers) -> None:
        workers.one.missed(A, NOW)
        workers.report("up", NOW + 0.2, silent_s=0.3)
        assert not workers.other.may_try(A, NOW + 0.2)
        workers.report("up", NOW + 0.4, silent_s=0.1)
        assert workers.other.may_try(A, NOW + 0.4)
        assert workers.one.may_try(A, NOW + 0.4)
        (view,) = workers.one.view([A], NOW + 0.4)
        assert not view.broken

    def test_a_suspect_node_stays_broken(self, workers: Workers) -> None:
        workers.one.missed(A, NOW)
        workers.report("suspect", NOW + 0.4, silent_s=0.1)
        assert not workers.other.may_try(A, NOW + 0.4)

    def test_a_clock_that_was_set_back_does_not_keep_it_open(self, workers: Workers) -> None:
        workers.one.missed(A, NOW)
        assert workers.other.may_try(A, NOW - 3600)

    def test_the_trial_is_one_workers_even_when_both_come_at_once(self, workers: Workers) -> None:
        workers.one.missed(A, NOW)
        later = NOW + OPEN_S
        tried: list[bool] = []
        workers.tables["node"].before("locked", lambda: tried.append(workers.other.may_try(A, later)))
        tried.append(workers.one.may_try(A, later))
        assert tried == [True, False]


class TestSlowNodes:
    def test_all_workers_know_for_a_moment(self, workers: Workers) -> None:
        workers.report("up", NOW)
        workers.one.waited_for(A, NOW)
        (view,) = workers.other.view([A], NOW + SLOW_S - 0.1)
        assert (view.slow, view.is_steady, view.takes_calls) == (True, False, True)
        (view,) = workers.other.view([A], NOW + SLOW_S)
        assert view.is_steady

    def test_what_its_calls_need_is_still_asked_for(self, workers: Workers) -> None:
        workers.report("up", NOW)
        workers.one.waited_for(A, NOW)
        assert workers.other.is_prompt(A, NOW)
        assert workers.other.may_try(A, NOW)

    def test_a_clock_that_was_set_back_ends_it(self, workers: Workers) -> None:
        workers.one.waited_for(A, NOW)
        assert workers.other.view([A], NOW - 3600)[0].is_steady


class TestLoads:
    def test_calls_given_since_the_report_count(self, workers: Workers) -> None:
        workers.report("up", NOW, calls=5)
        assert workers.one.view([A], NOW)[0].calls == 5
        workers.one.taken(A, NOW)
        workers.one.taken(A, NOW)
        assert workers.other.view([A], NOW)[0].calls == 7
        workers.report("up", NOW + 0.5, calls=5)  # the same count as before
        assert workers.one.view([A], NOW + 0.5)[0].calls == 7
        workers.report("up", NOW + 1, calls=6, counted=2.0)
        assert workers.other.view([A], NOW + 1)[0].calls == 6

    def test_no_number_is_none(self, workers: Workers) -> None:
        workers.report("up", NOW, calls=None)
        workers.one.taken(A, NOW)
        assert workers.one.view([A], NOW)[0].calls is None


class TestDrain:
    def test_it_holds_without_an_agent_and_is_shipped(self, workers: Workers) -> None:
        workers.one.drain(A, True)
        assert workers.other.drained() == {A}
        assert not workers.other.view([A], NOW)[0].takes_calls
        assert workers.other.usable(A, NOW)  # its calls go on
        assert workers.other.drain_changes() == {A: "1"}
        workers.other.shipped({A: "1"})
        assert workers.one.drain_changes() == {}

    def test_what_redis_has_is_taken_over(self, workers: Workers) -> None:
        assert workers.one.learn_drained([A, B]) == [A, B]
        assert workers.one.learn_drained([A]) == [B]
        assert workers.other.drained() == {A}
        assert workers.one.drain_changes() == {}

    def test_a_change_of_ours_that_redis_does_not_know_yet_is_newer(self, workers: Workers) -> None:
        workers.one.drain(A, True)
        assert workers.one.learn_drained([]) == []
        assert workers.one.drained() == {A}

    def test_a_change_that_changed_again_is_shipped_again(self, workers: Workers) -> None:
        workers.one.drain(A, True)
        changes = workers.one.drain_changes()
        workers.other.drain(A, False)
        workers.one.shipped(changes)
        assert workers.one.drain_changes() == {A: ""}


def test_what_was_not_released_is_remembered_by_node(workers: Workers) -> None:
    workers.one.not_released(A, ["x y", "x y-v"], NOW)
    workers.one.not_released(B, ["z"], NOW)
    assert sorted(workers.other.unreleased(A)) == ["x y", "x y-v"]
