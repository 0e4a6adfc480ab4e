"""What this node has counted since its start: one number for each name."""

from __future__ import annotations

from kemi.state.table import Table


class Counters:
    """Numbers that all workers share.  Names are of the program, never of a caller: there are few of them."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, name: str) -> None:
        """Count one more."""
        with self._table.locked(name):
            self._table.set(name, str(int(self._table.get(name) or 0) + 1))

    def all(self) -> dict[str, int]:
        """Return all numbers, by name."""
        return {name: int(value) for name, value in sorted(self._table.items())}
