"""Counts attempts in windows of time, so that guessing takes years."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import redis

from kemi.state import keys
from kemi.state.web.client import digest

if TYPE_CHECKING:
    from redis import Redis

# KEYS: counter.  ARGV: window ms.  Returns the count and the time left, ms.
_COUNT: Final = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""
_ALSO_WHEN_FULL: Final = f"#!lua flags=allow-oom{_COUNT}"
"""A full Redis (7 or later) lets a script add that says so."""
_TAKE_BACK: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('DECR', KEYS[1]) <= 0 then redis.call('DEL', KEYS[1]) end
return 1
"""


class AttemptStore:
    """Attempts of one kind; the window of a party begins with its first attempt."""

    def __init__(
        self, redis: Redis, what: str, *, limit: int, window_s: float, also_when_full: bool = False
    ) -> None:
        """``also_when_full``: counts in a Redis that is full, too; for who is logged in, as there are not many."""
        self._redis = redis
        self._what = what
        self._limit = limit
        self._window_ms = int(window_s * 1000)
        self._count = redis.register_script(_COUNT)
        self._count_when_full = redis.register_script(_ALSO_WHEN_FULL) if also_when_full else None
        self._take_back = redis.register_script(_TAKE_BACK)

    def add(self, party: str) -> int:
        """Count an attempt before it is made; return 0 when it may be made, else how many seconds to wait.

        Counting first leaves no gap for attempts that run side by side.
        """
        count, left_ms = self._counted({"keys": [self._key(party)], "args": [self._window_ms]})
        return 0 if int(count) <= self._limit else max(1, math.ceil(int(left_ms) / 1000))

    def take_back(self, party: str) -> None:
        """Uncount one attempt: it was no guess."""
        self._take_back(keys=[self._key(party)])

    def forget(self, party: str) -> None:
        """Uncount all attempts of a party."""
        self._redis.delete(self._key(party))

    def _counted(self, what: dict[str, Any]) -> Any:
        try:
            return self._count(**what)
        except redis.OutOfMemoryError as full:
            if self._count_when_full is None:
                raise
            try:
                return self._count_when_full(**what)
            except redis.ResponseError:  # it knows no flags
                raise full from None

    def _key(self, party: str) -> str:
        return keys.web_attempts(self._what, digest(party))
