"""The shape of a table shared by all worker processes of a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Table(Protocol):
    """String keys to string values, shared between processes."""

    def get(self, key: str) -> str | None:
        """Return the value, or None."""

    def has(self, key: str) -> bool:
        """Whether there is a value; cheaper than to read it."""

    def set(self, key: str, value: str) -> None:
        """Write the value."""

    def set_for(self, key: str, value: str, seconds: int) -> None:
        """Write the value, which is gone after this time unless it is written again."""

    def remove(self, key: str) -> None:
        """Remove the key; a missing one is fine."""

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Keep other processes away from this key.  May be nested; never held over network I/O."""

    def items(self) -> Iterator[tuple[str, str]]:
        """Return a snapshot of all entries."""
