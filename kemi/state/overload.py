"""How much new work this node takes, as all its workers see it: a limit and a bucket for each kind.

Times are of the machine's monotonic clock, which all processes share and nobody sets.  What the regulating process says
has always the same length: Kamailio writes such a value in the place of the one before, and so needs no memory, when
there may be none.
"""

from __future__ import annotations

from typing import Final

from kemi.core.overload import NEVER, Work, admit
from kemi.state.table import Table

_NONE: Final = "none"
_MEMORY: Final = "memory"
_FULL: Final = "full"
_WIDTH: Final = 16


class OverloadStore:
    """Limits, buckets, and what was refused."""

    def __init__(self, table: Table, refused: Table) -> None:
        """``refused``: requests of the core that were refused a moment ago."""
        self._table = table
        self._refused = refused

    # ------------------------------------------------------------ workers

    def limit(self, work: Work) -> float | None:
        """Return how much of this work is let in for each second, None for all of it."""
        text = self._table.get(work.value)
        return None if text is None or text.startswith(_NONE) else float(text)

    def take(self, work: Work, weight: float, limit: float, now: float) -> float:
        """Let a request in and return 0.0; or return after how many seconds it would be let in."""
        key = f"{work.value} bucket"
        with self._table.locked(key):
            after, wait_s = admit(float(self._table.get(key) or 0.0), weight, limit, now)
            if not wait_s:
                self._table.set(key, repr(after))
        return wait_s

    def note_refused(self, work: Work, now: float) -> None:
        """Somebody was refused."""
        self._table.set(f"{work.value} refused", repr(now))

    def remember(self, branch: str) -> None:
        """A request over UDP was refused, and may come once more."""
        self._refused.set(branch, "1")

    def was_refused(self, branch: str) -> bool:
        """Whether this request was refused already."""
        return self._refused.has(branch)

    def is_full(self) -> bool:
        """Whether there is no memory for anybody new."""
        return (self._table.get(_MEMORY) or "").startswith(_FULL)

    # ------------------------------------------------------------ who regulates

    def refused_at(self, work: Work) -> float:
        """Return when somebody was refused last."""
        return float(self._table.get(f"{work.value} refused") or NEVER)

    def set_full(self, full: bool) -> None:
        """Say whether there is memory for anybody new from now on."""
        self._table.set(_MEMORY, (_FULL if full else "").ljust(_WIDTH))

    def set_limit(self, work: Work, limit: float | None) -> None:
        """Say how much is let in from now on."""
        text = _NONE if limit is None else f"{limit:.6f}"
        self._table.set(work.value, text.ljust(_WIDTH))
