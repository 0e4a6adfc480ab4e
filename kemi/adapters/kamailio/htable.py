"""Kamailio's shared hash tables as kemi/state sees them; beside ksr.py the only module that imports KSR.

``KSR.htable.sht_get`` hands out shared memory after unlocking: it is only called under ``sht_lock``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import KSR

_get = KSR.htable.sht_get
_lock = KSR.htable.sht_lock
_unlock = KSR.htable.sht_unlock
_is_null = KSR.htable.sht_is_null


class _SlotLock:
    """Keeps other processes away from a key; nesting in one process is counted.  A plain class, because a
    generator for each of some thirty locks of a call is felt."""

    __slots__ = ("_held", "_key", "_name")

    def __init__(self, name: str, key: str, held: list[str]) -> None:
        self._name, self._key, self._held = name, key, held

    def __enter__(self) -> None:
        _lock(self._name, self._key)
        self._held.append(self._key)

    def __exit__(self, *_: object) -> None:
        self._held.remove(self._key)
        _unlock(self._name, self._key)


class HtableTable:
    """One of Kamailio's shared hash tables as kemi/state sees it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._iterator = f"it_{name}"
        self._held: list[str] = []
        """Keys that this process has locked through this object; it seldom holds more than one."""

    def get(self, key: str) -> str | None:
        """Return the value, or None."""
        name = self._name
        if key in self._held:
            value = _get(name, key)
        else:
            _lock(name, key)
            try:
                value = _get(name, key)
            finally:
                _unlock(name, key)
        return value if value is None or isinstance(value, str) else str(value)

    def has(self, key: str) -> bool:
        """Whether there is a value: looked for under Kamailio's own lock, and nothing of it is handed out."""
        return _is_null(self._name, key) < 0

    def set(self, key: str, value: str) -> None:
        """Write the value."""
        KSR.htable.sht_sets(self._name, key, value)

    def set_for(self, key: str, value: str, seconds: int) -> None:
        """Write the value, which is gone after this time; only where the table has an ``autoexpire``, too.

        In two steps: Kamailio's ``sht_setxs`` forgets the time of a value that takes the place of a shorter one, which
        would then stay for ever.  In between, the time is the table's.
        """
        KSR.htable.sht_sets(self._name, key, value)
        KSR.htable.sht_setex(self._name, key, seconds)

    def remove(self, key: str) -> None:
        """Remove the key."""
        KSR.htable.sht_rm(self._name, key)

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Keep other processes away from this key."""
        return _SlotLock(self._name, key, self._held)

    def take_all(self) -> list[str]:
        """Return all values and remove them.  Only for a table whose entries are written once and read by one process:
        what is written over meanwhile is lost."""
        found = [(key, value) for key, value in self.items()]
        for key, _ in found:
            self.remove(key)
        return [value for _, value in found]

    def items(self) -> Iterator[tuple[str, str]]:
        """Return a snapshot of all entries."""
        found: list[tuple[str, str]] = []
        if KSR.htable.sht_iterator_start(self._iterator, self._name) > 0:
            try:
                while KSR.htable.sht_iterator_next(self._iterator) > 0:
                    key = KSR.pv.get(f"$shtitkey({self._iterator})")
                    value = KSR.pv.get(f"$shtitval({self._iterator})")
                    if key is not None and value is not None:
                        found.append((str(key), str(value)))
            finally:
                KSR.htable.sht_iterator_end(self._iterator)
        return iter(found)
