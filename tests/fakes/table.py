"""A table in memory that behaves like Kamailio's htable as kemi/state sees it.

Strict where the real one corrupts silently: a lock taken twice is counted, one never given back is seen by
``locked_keys``.  ``before`` lets a test play the other process: it runs once, just before the named operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class MemoryTable:
    """String keys to string values."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.seconds: dict[str, int] = {}
        """Key -> how long its value was to stay when it was written last."""
        self.writes = 0
        self._locks: Counter[str] = Counter()
        self._interference: dict[str, Callable[[], None]] = {}

    @property
    def locked_keys(self) -> set[str]:
        """Keys somebody holds."""
        return {key for key, depth in self._locks.items() if depth}

    def before(self, operation: str, interfere: Callable[[], None]) -> None:
        """Run ``interfere`` once, before the next ``get``, ``set``, ``remove`` or ``locked``."""
        if operation not in ("get", "set", "remove", "locked"):
            raise ValueError(f"no operation {operation!r}")
        self._interference[operation] = interfere

    def _let_others(self, operation: str) -> None:
        interfere = self._interference.pop(operation, None)
        if interfere is not None:
            interfere()

    def get(self, key: str) -> str | None:
        """Return the value, or None."""
        self._let_others("get")
        return self.entries.get(_checked(key))

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        return self.get(key) is not None

    def set(self, key: str, value: str) -> None:
        """Write the value."""
        self._let_others("set")
        self.writes += 1
        self.entries[_checked(key)] = _checked(value)

    def set_for(self, key: str, value: str, seconds: int) -> None:
        """Write the value; its time is kept, and never over here."""
        self.set(key, value)
        self.seconds[key] = seconds

    def remove(self, key: str) -> None:
        """Remove the key; a missing one is fine."""
        self._let_others("remove")
        self.entries.pop(_checked(key), None)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the key."""
        self._let_others("locked")
        self._locks[_checked(key)] += 1
        try:
            yield
        finally:
            self._locks[key] -= 1

    def items(self) -> Iterator[tuple[str, str]]:
        """Return a snapshot."""
        return iter(list(self.entries.items()))


def _checked(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a table holds str, not {type(text).__name__}")
    return text
