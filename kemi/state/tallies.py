"""What is counted of connections, identities and addresses: one record for each, changed under its lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kemi.core.limits import Tally
from kemi.state.records import RecordTable
from kemi.state.table import Table

T = TypeVar("T")


class TallyStore:
    """The tallies that all workers share."""

    def __init__(self, table: Table) -> None:
        self._tallies = RecordTable(table, Tally)

    def get(self, key: str) -> Tally:
        """Return a copy; an empty one where nothing has been counted."""
        return self._tallies.get(key) or Tally()

    def change(self, key: str, step: Callable[[Tally], T]) -> T:
        """Let ``step`` look at a tally and change it."""
        with self._tallies.locked(key):
            tally = self.get(key)
            result = step(tally)
            self._tallies.set(key, tally)
        return result
