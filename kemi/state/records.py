"""Tables of records of one type, written as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import msgspec

from kemi.state.table import Table

T = TypeVar("T")


class RecordTable(Generic[T]):
    """A table of records of one type."""

    def __init__(self, table: Table, kind: type[T]) -> None:
        self.raw = table
        self._decoder = msgspec.json.Decoder(kind)

    def get(self, key: str) -> T | None:
        """Return the record, or None."""
        text = self.raw.get(key)
        return None if text is None else self._decoder.decode(text)

    def set(self, key: str, record: T) -> None:
        """Write the record."""
        self.raw.set(key, msgspec.json.encode(record).decode())

    def set_for(self, key: str, record: T, seconds: int) -> None:
        """Write the record, which is gone after this time unless it is written again."""
        self.raw.set_for(key, msgspec.json.encode(record).decode(), seconds)

    def take(self, key: str) -> T | None:
        """Return the record and remove it."""
        with self.raw.locked(key):
            record = self.get(key)
            if record is not None:
                self.raw.remove(key)
            return record

    def remove(self, key: str) -> None:
        """Remove the record."""
        self.raw.remove(key)

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Keep other processes away from this record."""
        return self.raw.locked(key)

    def items(self) -> Iterator[tuple[str, T]]:
        """Return a snapshot of all records."""
        return ((key, self._decoder.decode(text)) for key, text in self.raw.items())


def taken(table: Table) -> list[tuple[str, str]]:
    """Return all entries of a table of notes and remove them; what is written meanwhile stays for the next time."""
    found = []
    for key, _ in table.items():
        with table.locked(key):
            text = table.get(key)
            if text is not None:
                table.remove(key)
                found.append((key, text))
    return found
