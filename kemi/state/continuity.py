"""Whether Redis is still the one it was, and still has what was written to it.

A Redis that was away says so by an error only to who asks meanwhile.  One that restarts between two commands, or a
master that Sentinels demote, leaves nothing but a new connection; one that is emptied, or gets an older state, not even
that.  So every connection but the first counts, and the gateway leaves a mark, which has to be there the next time.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from kemi.state import keys


@dataclass(frozen=True, slots=True)
class Change:
    """What has happened to Redis since it was asked last."""

    connected: bool = False
    """The connection is another one: whoever answers may have another state."""
    lost: bool = False
    """What was written is evidently gone."""


NOTHING: Final = Change()
MOST_UNSURE: Final = 100
"""Writings without a reply that are remembered; one more is taken for a loss, after which all is shipped again."""


class Continuity:
    """One node's view of it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._has_connected = self._connected = self._lost = False
        self._marks: set[str] = set()
        """One of these is there: of a writing without a reply nobody knows; empty: none is known to be there."""
        self._writing = ""

    def connected(self) -> None:
        """There is a connection."""
        self._connected = self._connected or self._has_connected
        self._has_connected = True

    def read(self, pipeline: Any) -> None:
        """Add the reading of the mark to a pipeline."""
        pipeline.hget(keys.MARKS, self._node)

    def found(self, mark: str | None) -> None:
        """Take what the reading gave."""
        if self._marks and mark not in self._marks:
            self._marks = set()
            self._lost = True

    def write(self, pipeline: Any) -> None:
        """Add the writing of another mark to a pipeline, after the reading: it hides what has happened before."""
        self._writing = secrets.token_hex(8)
        if 0 < len(self._marks) < MOST_UNSURE:
            self._marks.add(self._writing)
        pipeline.hset(keys.MARKS, self._node, self._writing)

    def written(self) -> None:
        """The writing went well."""
        self._marks = {self._writing}

    def take(self) -> Change:
        """Return what has happened since the last time."""
        if not (self._connected or self._lost):
            return NOTHING
        change = Change(self._connected, self._lost)
        self._connected = self._lost = False
        return change
