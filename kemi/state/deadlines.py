"""What is due when, in the memory of one process: entries are added freely and checked when they come up."""

from __future__ import annotations

import heapq


class Deadlines:
    """Keys by time, in seconds since the epoch.  A key may be in it several times; whoever takes it looks again."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []

    def put(self, key: str, at: float) -> None:
        """Remember to look at ``key`` at this time."""
        heapq.heappush(self._heap, (at, key))

    def due(self, now: float) -> list[str]:
        """Return and remove what has come up by ``now``, each key once."""
        found: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= now:
            found[heapq.heappop(self._heap)[1]] = None
        return list(found)
