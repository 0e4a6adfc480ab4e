"""Jobs that one process of all does at a time, or once in a while."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis

# KEYS: lock.  ARGV: holder, time ms.
_HOLD: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Lock:
    """A lock that ends by itself when its holder dies.  Threads may share the object; each is a holder of its own."""

    def __init__(self, redis: Redis, name: str, lifetime_s: float) -> None:
        self._redis = redis
        self._key = keys.web_lock(name)
        self._lifetime_ms = int(lifetime_s * 1000)
        self._release = redis.register_script(_RELEASE)

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Try to take the lock for the block; the block is told whether it has it."""
        holder = secrets.token_hex(8)
        held = bool(self._redis.set(self._key, holder, nx=True, px=self._lifetime_ms))
        try:
            yield held
        finally:
            if held:
                self._release(keys=[self._key], args=[holder])


class Leadership:
    """One process of all; it has to say so again within the lifetime."""

    def __init__(self, redis: Redis, name: str, lifetime_s: float) -> None:
        self._key = keys.web_lock(name)
        self._holder = secrets.token_hex(8)
        self._lifetime_ms = int(lifetime_s * 1000)
        self._hold = redis.register_script(_HOLD)
        self._release = redis.register_script(_RELEASE)

    def hold(self) -> bool:
        """Become the leader, or stay it; False when another process is."""
        return bool(self._hold(keys=[self._key], args=[self._holder, self._lifetime_ms]))

    def release(self) -> None:
        """Let another process lead."""
        self._release(keys=[self._key], args=[self._holder])


class Pause:
    """Something that all processes together do at most once in a while."""

    def __init__(self, redis: Redis, name: str, lifetime_s: float) -> None:
        self._redis = redis
        self._key = keys.web_lock(name)
        self._lifetime_ms = int(lifetime_s * 1000)

    def begin(self) -> bool:
        """Whether it may be done now; if so, not again for the lifetime."""
        return bool(self._redis.set(self._key, "1", nx=True, px=self._lifetime_ms))

    def end(self) -> None:
        """Let it be done again: it has failed."""
        self._redis.delete(self._key)
