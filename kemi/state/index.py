"""Names of records by something that they have: what is looked for costs the same however many records there are.

An entry may outlive its record for a moment, so whoever looks here checks the record too; no record is without entry.
Its locks are the innermost: nobody takes another one inside.
"""

from __future__ import annotations

from typing import Final

from kemi.state.table import Table

_BETWEEN: Final = "\n"


class Index:
    """Several names for each value."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def names(self, value: str) -> list[str]:
        """Return the names of the records that have this."""
        text = self._table.get(value)
        return text.split(_BETWEEN) if text else []

    def values(self) -> list[str]:
        """Return all that records have."""
        return [value for value, _ in self._table.items()]

    def add(self, value: str, name: str) -> None:
        """A record has this."""
        with self._table.locked(value):
            names = self.names(value)
            if name not in names:
                self._table.set(value, _BETWEEN.join((*names, name)))

    def remove(self, value: str, name: str) -> None:
        """A record has it no longer; nothing happens where it never had."""
        with self._table.locked(value):
            names = self.names(value)
            if name not in names:
                return
            names.remove(name)
            if names:
                self._table.set(value, _BETWEEN.join(names))
            else:
                self._table.remove(value)
