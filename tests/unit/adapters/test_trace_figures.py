"""How often running calls are asked about, whatever becomes of the clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kemi.adapters.monitoring.trace_figures import DUE_S, EVERY_S, LEAVE_ALONE_S, TraceFigures
from kemi.core.errors import MediaUnavailable
from kemi.core.trace.collecting import Collected
from kemi.state.calls import CallStore
from tests.fakes.table import MemoryTable
from tests.unit.core.call.ladder import Call

NOW = 1_000_000.0


class Relay:
    """Stands where MediaRelay stands, and answers nothing that could be read further."""

    def __init__(self) -> None:
        self.asked = 0

    def statistics_hastily(self, node: str, call_id: str, kind: str, now: float) -> Any:
        self.asked += 1
        raise MediaUnavailable("asleep")


class Site:
    """One running call."""

    def __init__(self) -> None:
        calls, record = CallStore(MemoryTable(), MemoryTable()), Call.confirmed().record
        for medium in record.media:
            medium.active = True
        calls.create(record)
        call = Collected(key=record.key, call_id=record.call_id, began_at=NOW, has_record=True)
        self.traces: Any = SimpleNamespace(calls=SimpleNamespace(by_key={record.key: call}))
        self.relay = Relay()
        self.figures = TraceFigures(calls, self.relay, None, 0.0)  # type: ignore[arg-type]

    def asked(self, now: float, seconds: float) -> int:
        """Let time pass, ten ticks a second; return how often the relay was asked."""
        before = self.relay.asked
        for tick in range(int(seconds * 10)):
            self.figures.look(now + tick / 10, self.traces)
        return self.relay.asked - before


def test_a_node_that_does_not_answer_is_left_alone() -> None:
    site = Site()
    assert site.asked(NOW, EVERY_S) == 1
    assert site.asked(NOW + EVERY_S, LEAVE_ALONE_S - EVERY_S) == 0
    assert site.asked(NOW + LEAVE_ALONE_S, EVERY_S + 2 * DUE_S) == 1


def test_a_clock_that_is_set_back_keeps_nothing_waiting() -> None:
    site = Site()
    assert site.asked(NOW, 2.0) == 1
    assert site.asked(NOW - 3_600.0, 2.0) == 1
