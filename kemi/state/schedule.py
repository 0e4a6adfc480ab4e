"""What is due when: for each call at most one thing it waits for, and beside it the end of its longest time."""

from __future__ import annotations

from typing import Final

from kemi.core.call.events import Due
from kemi.state.table import Table

LOOK_AT_LIFETIMES_S: Final = 0.5
"""Every answered call has an entry there, so that looking at them all is not for every tick."""


class Schedule:
    """Wake-up times, in seconds since the epoch."""

    def __init__(self, table: Table, lifetimes: Table) -> None:
        """``lifetimes`` holds the ends of the calls' longest times, which nothing else a call waits for replaces."""
        self._table = table
        self._lifetimes = lifetimes
        self._next_look = 0.0

    def put(self, call_id: str, due: Due, at: float) -> None:
        """Schedule; replaces what the call waited for."""
        table = self._lifetimes if due is Due.TOO_LONG else self._table
        table.set(call_id, f"{at:.3f} {due.value}")

    def drop(self, call_id: str) -> None:
        """The call waits for nothing."""
        self._table.remove(call_id)

    def forget(self, call_id: str) -> None:
        """The call is over."""
        self._table.remove(call_id)
        self._lifetimes.remove(call_id)

    def take_due(self, now: float) -> list[tuple[str, Due]]:
        """Return and remove what is due by ``now``."""
        taken = _taken(self._table, now)
        if not 0 <= self._next_look - now <= LOOK_AT_LIFETIMES_S:
            self._next_look = now + LOOK_AT_LIFETIMES_S
            taken += _taken(self._lifetimes, now)
        return taken


def _taken(table: Table, now: float) -> list[tuple[str, Due]]:
    taken = []
    for call_id, text in table.items():
        at, _, due = text.partition(" ")
        if float(at) > now:
            continue
        with table.locked(call_id):
            if table.get(call_id) != text:
                continue  # rescheduled meanwhile
            table.remove(call_id)
        taken.append((call_id, Due(due)))
    return taken
