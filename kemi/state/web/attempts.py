"""Counts attempts in windows of time, so that guessing takes years."""

from __future__ import annotations

import math
import time
from threading import Lock
from typing import TYPE_CHECKING, Final

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
_TAKE_BACK: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('DECR', KEYS[1]) <= 0 then redis.call('DEL', KEYS[1]) end
return 1
"""


class AttemptStore:
    """Attempts of one kind; the window of a party begins with its first attempt."""

    def __init__(
        self, redis: Redis, what: str, *, limit: int, window_s: float, also_when_refused: bool = False
    ) -> None:
        """``also_when_refused``: while Redis takes no writes, this process counts by itself.

        That is for who is logged in alone: they are not many, and guess nothing.
        """
        self._redis = redis
        self._what = what
        self._limit = limit
        self._window_ms = int(window_s * 1000)
        self._count = redis.register_script(_COUNT)
        self._here = _Here() if also_when_refused else None
        self._take_back = redis.register_script(_TAKE_BACK)

    def add(self, party: str) -> int:
        """Count an attempt before it is made; return 0 when it may be made, else how many seconds to wait.

        Counting first leaves no gap for attempts that run side by side.
        """
        try:
            count, left_ms = self._count(keys=[self._key(party)], args=[self._window_ms])
        except redis.ResponseError:
            if self._here is None:
                raise
            count, left_ms = self._here.count(party, time.monotonic() * 1000, self._window_ms)
        return 0 if int(count) <= self._limit else max(1, math.ceil(int(left_ms) / 1000))

    def take_back(self, party: str) -> None:
        """Uncount one attempt: it was no guess."""
        self._take_back(keys=[self._key(party)])

    def forget(self, party: str) -> None:
        """Uncount all attempts of a party."""
        self._redis.delete(self._key(party))

    def _key(self, party: str) -> str:
        return keys.web_attempts(self._what, digest(party))


class _Here:
    """Counts in this process; threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._windows: dict[str, tuple[float, int]] = {}
        """Party -> end of its window, ms, and how many."""

    def count(self, party: str, now_ms: float, window_ms: int) -> tuple[int, float]:
        """Return the count and the time left, ms."""
        with self._lock:
            until, before = self._windows.get(party, (0.0, 0))
            if until <= now_ms:
                self._windows = {name: one for name, one in self._windows.items() if one[0] > now_ms}
                until, before = now_ms + window_ms, 0
            self._windows[party] = (until, before + 1)
            return before + 1, until - now_ms
