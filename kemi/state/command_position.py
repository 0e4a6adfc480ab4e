"""How far a gateway has read the stream of commands.

Entries are numbered by the clock of Redis.  Another server, or one with an older state, may number what comes now lower
than what was read last.
"""

from __future__ import annotations

import time
from typing import Final

from kemi.state import keys

TOKEN_LIFETIME_S: Final = 3720
"""Longest life of an access token with the allowed difference of clocks: how long a logout must be remembered."""
_ANOTHER_CLOCK_MS: Final = 1_000


class CommandPosition:
    """What has been read since the start; moments are by the clock of Redis, seconds since the epoch."""

    def __init__(self) -> None:
        self.at = ""
        """The last entry that was read; empty: none, and ``begin`` was not called."""
        self._began_s = 0.0
        self._began_ms = 0
        self._read: dict[str, None] = {}

    def begin(self, kept: str | None, redis_now: float) -> None:
        """Go to where the gateway was before, but to a token's lifetime ago at the latest."""
        self._began_s, self._began_ms = time.monotonic(), int(redis_now * 1000)
        oldest = _oldest(redis_now)
        self.at = kept if kept is not None and order_of(kept) < order_of(oldest) else oldest

    def follow(self, newest: str | None, redis_now: float) -> bool:
        """Set the position back where the stream ends before it; return whether that was so, and nothing was read."""
        began_ms = int((redis_now - (time.monotonic() - self._began_s)) * 1000)
        if began_ms < self._began_ms - _ANOTHER_CLOCK_MS:
            self._began_ms = began_ms
        if self.at not in self._read or (newest is not None and order_of(newest) >= order_of(self.at)):
            return False
        self.at = _oldest(redis_now)
        return True

    def is_old(self, entry: str) -> bool:
        """Whether an entry was written before the start."""
        return order_of(entry)[0] < self._began_ms

    def is_new(self, entry: str) -> bool:
        """Move to an entry; return whether it was not read before."""
        self.at = entry
        if entry in self._read:
            return False
        if len(self._read) >= keys.STREAM_LENGTH:
            del self._read[next(iter(self._read))]
        self._read[entry] = None
        return True


def order_of(entry: str) -> tuple[int, int]:
    """Return what entries are sorted by: milliseconds since the epoch, and a number."""
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


def _oldest(redis_now: float) -> str:
    return f"{int((redis_now - TOKEN_LIFETIME_S) * 1000)}-0"
