"""How much new work is let in, on a node that is played; and who is never asked."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi.core import overload
from kemi.core.overload import NEVER, OverloadSettings, Regulator, Seen, Work, admit, typical_wait_s
from kemi.state.overload import OverloadStore
from tests.fakes.table import MemoryTable

STEP_S = 0.05
SETTINGS = OverloadSettings()


@dataclass
class Node:
    """A node with one queue that can do so many calls a second; a refusal costs it a part of a call."""

    capacity: float
    refusal_cost: float = 0.04
    regulator: Regulator = field(default_factory=lambda: Regulator(Work.CALLS, SETTINGS))
    now: float = 1000.0
    limit: float | None = None
    waits: list[float] = field(default_factory=list)
    _queue: deque[float] = field(default_factory=deque)
    _bucket: float = 0.0
    _busy_s: float = 0.0
    _pending: float = 0.0
    _refused_at: float = NEVER

    def run(self, rate: float, seconds: float) -> tuple[float, float]:
        """Let calls come at a rate; return how many of a second were let in, and refused."""
        let_in = refused = 0
        for _ in range(round(seconds / STEP_S)):
            begin, self.now = self.now, self.now + STEP_S
            self._pending += rate * STEP_S
            while self._pending >= 1:
                self._pending -= 1
                self._queue.append(self.now - self._pending / rate)
            taken, at = 0, begin + self._busy_s
            while self._queue and max(at, self._queue[0]) < self.now:
                at = max(at, self._queue.popleft())
                goes_on = self._takes(at)
                at += (1 if goes_on else self.refusal_cost) / self.capacity
                let_in, refused, taken = let_in + goes_on, refused + (not goes_on), taken + 1
            self._busy_s = max(0.0, at - self.now)
            wait_s = self._busy_s + (self.now - self._queue[0] if self._queue else 0.0)
            self.limit = self.regulator.step(Seen(wait_s, taken / STEP_S, self._refused_at), self.now)
            self.waits.append(wait_s)
        return let_in / seconds, refused / seconds

    def _takes(self, at: float) -> bool:
        if self.limit is None:
            return True
        self._bucket, wait_s = admit(self._bucket, 1.0, self.limit, at)
        if wait_s:
            self._refused_at = at
        return not wait_s


class TestRegulator:
    """The rate follows how long messages wait."""

    @pytest.mark.parametrize("capacity", [80, 200, 1000])
    @pytest.mark.parametrize("times", [1.5, 3, 10])
    def test_goodput_stays_and_nobody_waits_long(self, capacity: float, times: float) -> None:
        node = Node(capacity)
        node.run(0.5 * capacity, 3)
        node.run(times * capacity, 2)
        node.waits.clear()
        let_in, refused = node.run(times * capacity, 8)
        possible = capacity - node.refusal_cost * refused
        assert let_in >= 0.93 * possible
        assert max(node.waits) <= 3 * SETTINGS.target_wait_s

    def test_nobody_is_refused_once_less_comes(self) -> None:
        node = Node(200)
        node.run(600, 10)
        node.run(100, 0.2)  # what had come before
        let_in, refused = node.run(100, 5)
        assert (round(let_in), refused) == (100, 0)
        assert node.limit is None

    def test_a_load_that_fits_is_never_limited(self) -> None:
        node = Node(200)
        assert node.run(190, 30)[1] == 0

    def test_a_burst_is_waited_for(self) -> None:
        node = Node(200)
        assert node.run(1000, 0.05)[1] == 0
        assert node.run(10, 3)[1] == 0

    def test_more_room_is_found_soon(self) -> None:
        node = Node(100)
        node.run(400, 10)
        node.capacity = 200
        node.run(400, 2)
        let_in, _ = node.run(400, 5)
        assert let_in >= 0.9 * 200

    def test_logins_of_a_whole_site_have_time_that_calls_have_not(self) -> None:
        calls, logins = (Regulator(work, SETTINGS) for work in (Work.CALLS, Work.LOGINS))
        seen = Seen(0.5, 1000)
        times = [1000 + STEP_S * step for step in range(60)]
        limited = [
            next(time for time in times if one.step(seen, time) is not None) - 1000 for one in (calls, logins)
        ]
        assert limited == pytest.approx([0.2, 2.0], abs=STEP_S)

    def test_the_least_is_let_in_however_long_it_takes(self) -> None:
        regulator = Regulator(Work.CALLS, SETTINGS)
        limits = [regulator.step(Seen(5.0, 30, 1000 + t / 20), 1000 + t / 20) for t in range(200)]
        assert limits[-1] == SETTINGS.least_calls

    @given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 5000), st.floats(0.001, 60)), max_size=60))
    def test_whatever_is_seen_a_limit_is_a_number_and_no_less_than_the_least(
        self, steps: list[tuple[float, float, float]]
    ) -> None:
        regulator, now = Regulator(Work.LOGINS, SETTINGS), 0.0
        for wait_s, rate, passed in steps:
            now += passed
            limit = regulator.step(Seen(wait_s, rate, now - 1), now)
            assert limit is None or SETTINGS.least_logins <= limit < math.inf


class TestBucket:
    """So many a second, and a few at once."""

    def through(self, rate: float, times: list[float], bucket: float = 0.0) -> list[bool]:
        passed = []
        for now in times:
            bucket, wait_s = admit(bucket, 1.0, rate, now)
            passed.append(not wait_s)
        return passed

    def test_the_rate_is_kept_and_some_may_come_at_once(self) -> None:
        assert sum(self.through(10, [100.0] * 50)) == 5
        assert sum(self.through(10, [100 + step / 50 for step in range(500)])) == pytest.approx(105, abs=1)

    def test_at_no_rate_nobody_passes(self) -> None:
        assert not any(self.through(0.0, [100.0, 200.0]))

    def test_what_a_higher_rate_let_in_does_not_shut_the_door_for_long(self) -> None:
        assert any(self.through(10, [100 + step / 10 for step in range(11)], bucket=10_000.0))

    def test_what_begins_no_call_weighs_less(self) -> None:
        assert overload.weight_of("MESSAGE") < overload.weight_of("INVITE") == overload.weight_of("REGISTER")

    def test_workers_share_it(self) -> None:
        table = MemoryTable()
        first, second = (OverloadStore(table, MemoryTable()) for _ in range(2))
        passed = [
            not worker.take(Work.CALLS, 1.0, 10.0, 100.0)
            for worker in (first, second) * 10
        ]  # fmt: skip
        assert sum(passed) == 5
        assert not first.take(Work.LOGINS, 1.0, 10.0, 100.0)

    def test_who_is_refused_knows_when_somebody_passes_again(self) -> None:
        bucket = 0.0
        while not (result := admit(bucket, 1.0, 10.0, 100.0))[1]:
            bucket = result[0]
        wait_s = result[1]
        assert wait_s == pytest.approx(0.1)
        assert admit(bucket, 1.0, 10.0, 100.0 + wait_s - 0.01)[1]
        assert not admit(bucket, 1.0, 10.0, 100.0 + wait_s + 0.001)[1]


class TestWait:
    """One number for several workers."""

    def test_one_worker_that_stands_still_is_not_yet_an_overload(self) -> None:
        assert typical_wait_s([0.0, 0.0, 0.0, 30.0], 0.1) <= 0.1
        assert typical_wait_s([0.0, 0.0, 30.0, 30.0], 0.1) > 0.1

    def test_nobody_waits_where_nobody_could_be_asked(self) -> None:
        assert typical_wait_s([], 0.1) == 0.0


class TestUrgent:
    """What the network marks goes first."""

    @pytest.mark.parametrize(
        ("name", "value", "urgent"),
        [
            ("Resource-Priority", "esnet.0", True),
            ("Resource-Priority", "wps.3", True),
            ("Priority", "Emergency", True),
            ("Priority", "psap-callback", True),
            ("Priority", "urgent", False),
            ("Resource-Priority", " ", False),
            ("Subject", "emergency", False),
        ],
    )
    def test_by_its_header_fields(self, name: str, value: str, urgent: bool) -> None:
        assert overload.is_urgent(lambda asked: [value] if asked == name else []) is urgent


def test_pages_hear_when_to_come_back_and_the_core_does_not() -> None:
    assert overload.refusal_lines(7)[0] == "Retry-After: 7"
    assert not any(line.startswith("Retry-After") for line in overload.refusal_lines(None))


@pytest.mark.parametrize(
    "wrong",
    [
        {"target_wait_s": 0},
        {"target_wait_s": 11},
        {"least_calls": 0},
        {"least_logins": math.inf},
        {"least_memory": 0.6},
        {"retry_after_s": 0},
    ],
)
def test_what_cannot_be_used_is_named(wrong: dict[str, float]) -> None:
    overload.check_overload(OverloadSettings())
    with pytest.raises(ValueError, match=next(iter(wrong))):
        overload.check_overload(OverloadSettings(**wrong))  # type: ignore[arg-type]
