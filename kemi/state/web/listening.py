"""Who listens to events, over all web processes: so many for a person, and so many for a client address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from kemi.state import keys
from kemi.state.web.client import digest

if TYPE_CHECKING:
    from redis import Redis

LIFETIME_S: Final = 90
"""A listener whose process has died counts for so long."""
CONSOLE: Final = "console:"
"""So begins the name of a listener that is no page of a telephone."""

# KEYS: listeners of the user, of the address.  ARGV: listener, now, end, most of the user, of the address.
# Returns 0 when it is counted, else which limit is reached.
_ADD: Final = """
for place, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', ARGV[2])
  if redis.call('ZCARD', key) >= tonumber(ARGV[3 + place]) then return place end
end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, ARGV[3], ARGV[1])
  redis.call('EXPIRE', key, math.ceil(ARGV[3] - ARGV[2]))
end
return 0
"""


class Listening:
    """Counts listeners."""

    def __init__(self, redis: Redis, *, per_user: int, per_address: int) -> None:
        self._redis = redis
        self._limits = per_user, per_address
        self._add = redis.register_script(_ADD)

    def begin(self, listener: str, user: str, address: str, now: float) -> bool:
        """Count a listener; False when there are as many as there may be."""
        names = [_user(user), _address(address)]
        return not self._add(keys=names, args=[listener, now, now + LIFETIME_S, *self._limits])

    def goes_on(self, listener: str, user: str, address: str, now: float) -> None:
        """Say that a listener is still there."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in (_user(user), _address(address)):
                pipe.zadd(name, {listener: now + LIFETIME_S})
                pipe.expire(name, LIFETIME_S)
            pipe.execute()

    def any_page(self, user: str, now: float) -> bool:
        """Whether a page listens that could call as this person."""
        found = cast("list[str]", self._redis.zrangebyscore(_user(user), now, "+inf"))
        return any(not listener.startswith(CONSOLE) for listener in found)

    def end(self, listener: str, user: str, address: str) -> None:
        """Count it no more."""
        with self._redis.pipeline(transaction=False) as pipe:
            for name in (_user(user), _address(address)):
                pipe.zrem(name, listener)
            pipe.execute()


def _user(name: str) -> str:
    return keys.web_listeners("user", digest(name))


def _address(name: str) -> str:
    return keys.web_listeners("address", digest(name))
