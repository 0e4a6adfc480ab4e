"""What is due when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from kemi.core.call.events import Due
from kemi.state.schedule import Schedule, Wait
from tests.fakes.table import MemoryTable


def test_what_is_due_is_taken_once() -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    schedule.put("a", Due.PRACK_TIMEOUT, at=10.0)
    schedule.put("b", Due.FORGET, at=20.0)
    assert schedule.take_due(now=15.0) == [("a", Due.PRACK_TIMEOUT)]
    assert schedule.take_due(now=15.0) == []
    assert schedule.take_due(now=20.0) == [("b", Due.FORGET)]


def test_a_later_entry_replaces_the_earlier_one() -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    schedule.put("a", Due.PRACK_TIMEOUT, at=10.0)
    schedule.put("a", Due.FORGET, at=30.0)
    assert schedule.take_due(now=15.0) == []
    assert schedule.take_due(now=31.0) == [("a", Due.FORGET)]


def test_a_dropped_entry_never_comes() -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    schedule.put("a", Due.FORGET, at=1.0)
    schedule.drop("a")
    schedule.drop("a")
    assert schedule.take_due(now=2.0) == []


@pytest.mark.parametrize("due", list(Due))
def test_every_reason_survives(due: Due) -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    schedule.put("a", due, at=1.5)
    assert schedule.take_due(now=1.5) == [("a", due)]


def test_an_entry_that_is_rescheduled_meanwhile_stays() -> None:
    table = MemoryTable()
    schedule = Schedule(lambda name: table if name == "due" else MemoryTable())
    schedule.put("a", Due.UPDATE_RETRY, at=1.0)
    table.before("locked", lambda: schedule.put("a", Due.UPDATE_RETRY, at=9.0))
    assert schedule.take_due(now=2.0) == []
    assert schedule.take_due(now=9.0) == [("a", Due.UPDATE_RETRY)]


def test_an_entry_that_is_dropped_meanwhile_does_not_come() -> None:
    table = MemoryTable()
    schedule = Schedule(lambda name: table if name == "due" else MemoryTable())
    schedule.put("a", Due.PRACK_TIMEOUT, at=1.0)
    table.before("locked", lambda: schedule.drop("a"))
    assert schedule.take_due(now=2.0) == []
    assert table.locked_keys == set()


def test_the_end_of_the_longest_time_stands_beside_what_a_call_waits_for() -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    schedule.put("a", Due.TOO_LONG, at=100.0)
    schedule.put("a", Due.PRACK_TIMEOUT, at=30.0)
    schedule.put("a", Due.UPDATE_RETRY, at=20.0)
    assert schedule.take_due(now=25.0) == [("a", Due.UPDATE_RETRY)]
    schedule.put("a", Due.PRACK_TIMEOUT, at=30.0)
    schedule.drop("a")
    assert schedule.take_due(now=99.0) == []
    assert schedule.take_due(now=101.0) == [("a", Due.TOO_LONG)]


def test_nothing_that_a_call_does_meanwhile_takes_the_place_of_its_pages_absence() -> None:
    """Neither of its end, nor of what the page is told when it is back."""
    schedule = Schedule(lambda _name: MemoryTable())
    schedule.put("a", Due.FLOW_RECOVERY, at=30.0)
    schedule.put("a", Due.TELL_PAGE, at=1.0)
    schedule.put("a", Due.ICE_RESTART, at=2.0)
    schedule.put("a", Due.UPDATE_RETRY, at=2.0)
    schedule.drop("a")
    assert set(schedule.take_due(now=29.0)) == {("a", Due.TELL_PAGE), ("a", Due.ICE_RESTART)}
    assert schedule.take_due(now=31.0) == [("a", Due.FLOW_RECOVERY)]


def test_a_forgotten_call_is_not_woken_at_all() -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    schedule.put("a", Due.TOO_LONG, at=1.0)
    schedule.put("a", Due.FORGET, at=1.0)
    schedule.forget("a")
    assert schedule.take_due(now=2.0) == []


def test_a_clock_that_is_set_back_does_not_stop_it() -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    assert schedule.take_due(now=5000.0) == []
    schedule.put("a", Due.TOO_LONG, at=1000.0)
    assert schedule.take_due(now=1000.0) == [("a", Due.TOO_LONG)]


class CountedTable(MemoryTable):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def get(self, key: str) -> str | None:
        self.reads += 1
        return super().get(key)

    def items(self) -> Iterator[tuple[str, str]]:
        self.reads += len(self.entries)
        return super().items()


def test_calls_that_wait_cost_nothing() -> None:
    tables: defaultdict[str, CountedTable] = defaultdict(CountedTable)
    schedule = Schedule(tables.__getitem__)
    for number in range(1000):
        schedule.put(f"call-{number}", Due.SESSION_REFRESH, at=900.0 + number)
    assert schedule.take_due(now=1.0) == []
    before = sum(table.reads for table in tables.values())
    for now in range(2, 800):
        assert schedule.take_due(float(now)) == []
    assert sum(table.reads for table in tables.values()) == before
    assert schedule.take_due(900.0) == [("call-0", Due.SESSION_REFRESH)]


def test_calls_that_are_over_leave_nothing() -> None:
    schedule = Schedule(lambda _name: MemoryTable())
    for number in range(10_000):
        schedule.put(f"call-{number}", Due.TOO_LONG, at=90_000.0)
        schedule.take_due(now=1.0)
        schedule.forget(f"call-{number}")
    schedule.take_due(now=1.0)
    assert len(schedule._deadlines) <= 1_001


def test_what_is_restored_comes_in_its_time() -> None:
    tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
    schedule = Schedule(tables.__getitem__)
    schedule.put("a", Due.SESSION_REFRESH, at=5.0)
    kept = schedule.waits("a", [Wait.SESSION])
    again = Schedule(lambda _name: MemoryTable())
    again.restore("a", kept)
    assert again.take_due(4.0) == []
    assert again.take_due(5.0) == [("a", Due.SESSION_REFRESH)]
