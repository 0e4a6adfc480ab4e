"""Banned client addresses, as all gateways and web processes share them (kemi/core/bans.py says who is banned)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, Final, cast

import msgspec
import redis

from kemi.core.bans import Trusted
from kemi.core.pace import is_early
from kemi.state import keys
from kemi.state.bans import SharedBan, ban_to_text, bans_from_texts

if TYPE_CHECKING:
    from redis import Redis

FRESH_S: Final = 2.0
"""So long a process goes by what it knows."""
_LOOPBACK: Final = ("127.0.0.1", "::1")
_MOMENT_S: Final = 0.25
"""So long a request waits for the list; a Redis that answers takes some milliseconds."""
_LATE_S: Final = 1.0


class BanList:
    """The list in Redis.  An address stands as kemi.core.limits.address_key writes it; times are since the epoch."""

    def __init__(self, redis: Redis, fronts: Iterable[str] = ()) -> None:
        """``fronts``: addresses or networks of TLS fronts on other machines; what such a front asks itself, as whether
        this service lives, comes from there, and on this machine from loopback."""
        self._redis = redis
        self._known: dict[str, SharedBan] = {}
        self._fronts = Trusted((*_LOOPBACK, *fronts))
        self._known_until = 0.0
        self._reading = threading.Lock()
        self._late_at = inf
        self._has_failed = False

    @property
    def unanswered(self) -> bool:
        """Whether Redis let the last reading wait in vain, or is about to: who asks for anything would wait as well."""
        return self._has_failed or time.monotonic() > self._late_at

    def all(self, now: float) -> dict[str, SharedBan]:
        """Return the bans that have not run out."""
        texts = cast("dict[str, str]", self._redis.hgetall(keys.BANS))
        return {address: ban for address, ban in bans_from_texts(texts).items() if ban.until > now}

    def put(self, address: str, ban: SharedBan) -> None:
        """Ban an address, or change its ban; gateways hear of it within two seconds."""
        self._redis.hset(keys.BANS, address, ban_to_text(ban))
        self._known_until = 0.0

    def lift(self, address: str) -> bool:
        """End a ban; False when there is none."""
        self._known_until = 0.0
        return bool(self._redis.hdel(keys.BANS, address))

    def trusted(self) -> list[str]:
        """Return the networks that are never banned, as the gateways say."""
        text = cast("str | None", self._redis.get(keys.BANS_TRUSTED))
        return msgspec.json.decode(text, type=list[str]) if text else []

    def is_trusted(self, address: str) -> bool:
        """Whether an address is never banned."""
        return self.is_front(address) or Trusted(self.trusted()).holds(address)

    def is_front(self, address: str) -> bool:
        """Whether this is this machine itself, or a TLS front: never banned either."""
        return self._fronts.holds(address)

    def ban_of(self, address: str, now: float) -> SharedBan | None:
        """Return the ban of an address; for every request.

        What is known is two seconds old, and older while Redis does not answer: a request does not wait for that.
        """
        if not is_early(now, self._known_until, FRESH_S) and not self._reading.locked():
            reading = threading.Thread(target=self._read, args=(now,), name="bans", daemon=True)
            reading.start()
            reading.join(_MOMENT_S)
        found = self._known.get(address)
        return found if found is not None and found.until > now and not self.is_front(address) else None

    def _read(self, now: float) -> None:
        if not self._reading.acquire(blocking=False):
            return
        try:
            self._late_at = time.monotonic() + _LATE_S
            self._known_until = now + FRESH_S  # first: who changes something meanwhile sets it back
            self._known = self.all(now)
            self._has_failed = False
        except redis.RedisError as error:
            self._has_failed = isinstance(error, redis.TimeoutError)
        finally:
            self._late_at = inf
            self._reading.release()
