"""Housekeeping lets workers onto a core between two pieces of its work, but not more often than it must."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from kemi.adapters import housekeeping
from kemi.adapters.calls import history
from kemi.adapters.calls.history import CallHistory
from kemi.adapters.gateway import Gateway
from kemi.adapters.monitoring import traces
from kemi.adapters.turns import LONGEST_S, Turns
from tests.fakes.table import MemoryTable
from tests.unit.adapters.played import MESSAGE
from tests.unit.adapters.test_traces import INVITE, Site, message


class CountedTurns:
    """Who asks for turns is counted."""

    def __init__(self) -> None:
        self.given = 0

    def give_way(self) -> None:
        self.given += 1


@pytest.fixture
def yields(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """When a process gave way, by a clock that the test moves."""
    seen: list[float] = []
    monkeypatch.setattr(os, "sched_yield", lambda: seen.append(time.perf_counter()))
    yield seen


def test_it_gives_way_when_it_has_worked_for_long_enough(
    yields: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 5.0
    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    turns = Turns()
    assert turns.begin() == clock
    for clock in (5.0, 5.0 + LONGEST_S / 2, 5.0 + LONGEST_S, 5.0 + 1.5 * LONGEST_S, 7.0):  # noqa: B007
        turns.give_way()
    assert yields == [5.0 + LONGEST_S, 7.0]


def test_a_tick_with_little_to_do_gives_way_to_nobody(
    page: Gateway, yields: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "TURNS", turns := Turns())
    monkeypatch.setattr(traces, "TURNS", turns)
    parts = (lambda _now: turns.give_way(),)
    monkeypatch.setattr(page._housekeeping, "_all", parts)
    monkeypatch.setattr(time, "perf_counter", lambda: 5.0)
    page.ksr_rtimer_housekeeping(MESSAGE, "timer")
    assert yields == []


def test_between_notes_and_between_calls_that_are_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, site = CountedTurns(), Site()
    monkeypatch.setattr(traces, "TURNS", turns)
    for number in range(3):
        call_id = f"c{number}"
        site.refuse(message(INVITE, call_id=call_id), call_id=call_id)
    notes = len(dict(site.table.items()))
    site.keeper.work(3e9)
    assert turns.given == notes
    site.keeper.ship(3e9, site.put)
    assert (len(site.redis), turns.given) == (3, notes + 3)


def test_between_the_statistics_of_two_media(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, statistics = CountedTurns(), MemoryTable()
    monkeypatch.setattr(history, "TURNS", turns)
    for number in range(3):
        statistics.set(f"{number}", f"call-{number}\naudio\nwhy\nthe relay is gone")
    CallHistory(statistics, MemoryTable(), "node-1").work(100.0)
    assert turns.given == 3
