"""Who goes first on a core that several processes want.

Housekeeping has work for many milliseconds at a time which nobody waits for: traces, history, figures.  A worker that a
message wakes up meanwhile got the core only when the scheduler ended housekeeping's slice, 3 ms or more later; that was
the most of the delay of the slowest calls (tests/bench/README.md).
"""

from __future__ import annotations

import os
import time
from typing import Final

LONGEST_S: Final = 0.001
"""So long a worker waits.  To give way more often would cost housekeeping its share of a core where all are busy: each
time others have a slice."""


class Turns:
    """Of one process."""

    def __init__(self) -> None:
        self._since = 0.0

    def begin(self) -> float:
        """Work begins now; return when that is, in seconds of perf_counter."""
        self._since = time.perf_counter()
        return self._since

    def give_way(self) -> None:
        """Let whoever waits for this core go first, where this process has not done so for a while; nobody waits: go
        on.  To be called between two pieces of work that nobody waits for, with no lock held."""
        if time.perf_counter() - self._since >= LONGEST_S:
            os.sched_yield()
            self._since = time.perf_counter()


TURNS: Final = Turns()
"""This process's."""
