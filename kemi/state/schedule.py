"""What is due when: at most one entry for each call."""

from __future__ import annotations

from kemi.core.call.events import Due
from kemi.state.table import Table


class Schedule:
    """Wake-up times, in seconds since the epoch."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, call_id: str, due: Due, at: float) -> None:
        """Schedule; replaces the call's earlier entry."""
        self._table.set(call_id, f"{at:.3f} {due.value}")

    def drop(self, call_id: str) -> None:
        """Remove the call's entry."""
        self._table.remove(call_id)

    def take_due(self, now: float) -> list[tuple[str, Due]]:
        """Return and remove what is due by ``now``."""
        taken = []
        for call_id, text in self._table.items():
            at, _, due = text.partition(" ")
            if float(at) > now:
                continue
            with self._table.locked(call_id):
                if self._table.get(call_id) != text:
                    continue  # rescheduled meanwhile
                self._table.remove(call_id)
            taken.append((call_id, Due(due)))
        return taken
