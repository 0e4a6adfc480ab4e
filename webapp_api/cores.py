"""Which core a process of the HTTP server runs on.

Threads of one Python process take turns with one lock, and give it away whenever they wait for Redis.  On two cores
each turn wakes up the other core, whose caches know nothing: a login costs twice as much as on one (tests/bench).
So each process has a core of its own, as far as there are enough.  What computes without that lock may run anywhere.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

ALLOWED: Final = frozenset(os.sched_getaffinity(0))
"""Cores that the service may use at all, as whoever started it allowed."""
_log = logging.getLogger(__name__)


def core_for(taken: Iterable[int], allowed: Iterable[int] = ALLOWED) -> int:
    """Return the core with fewest of our processes, the highest of several: the first one has most of the interrupts.

    Raises:
        ValueError: none is allowed.
    """
    processes = Counter(taken)
    return min(allowed, key=lambda core: (processes[core], -core))


def settle(core: int) -> bool:
    """Run on this core only, with all threads that start from now on; return whether the system lets us."""
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        _log.warning("event=core_refused core=%d errno=%s", core, error.errno)
        return False
    return True


@contextmanager
def anywhere() -> Iterator[None]:
    """Let this thread run on any core meanwhile."""
    own = os.sched_getaffinity(0)
    if own == ALLOWED or not _moved(ALLOWED):
        yield
        return
    try:
        yield
    finally:
        _moved(own)


def _moved(cores: Iterable[int]) -> bool:
    try:
        os.sched_setaffinity(0, cores)
    except OSError:  # nothing but a slower hash
        return False
    return True
