"""What is due when, in the memory of one process: when it comes up, whoever takes it looks again."""

from __future__ import annotations

import heapq
from typing import Final

_MOST_OUTDATED: Final = 1_000


class Deadlines:
    """Keys by time, in seconds since the epoch; one time for each key, the earliest it was put with."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._at: dict[str, float] = {}

    def put(self, key: str, at: float) -> None:
        """Look at ``key`` at this time; a time that comes earlier stays, because the next look puts a new one."""
        if self._at.get(key, at + 1) <= at:
            return
        self._at[key] = at
        heapq.heappush(self._heap, (at, key))

    def drop(self, key: str) -> None:
        """Nothing is to be looked at for ``key``."""
        if self._at.pop(key, None) is not None and len(self._heap) > 2 * len(self._at) + _MOST_OUTDATED:
            self._heap = [(at, key) for key, at in self._at.items()]
            heapq.heapify(self._heap)

    def due(self, now: float) -> list[str]:
        """Return and remove what has come up by ``now``, each key once."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                found.append(key)
        return found

    def __len__(self) -> int:
        """How many entries are kept, outdated ones included."""
        return len(self._heap)
