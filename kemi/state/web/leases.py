"""Leases of the identity pool (TS 24.371 §6.1, scenario 3): each identity has one holder at a time.

The holder is a web session's SID.  A lease that is given back settles first: the identity may still be registered, and
the next holder must not get the former one's calls.  All steps are scripts, because Redis runs them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import redis

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis

# KEYS: leases, in the order of preference; then their former holders; last, since when.  ARGV: sid, lifetime ms, then
# the names of the identities.  Returns the place of the one taken, 0 for none, and its former holder.
_TAKE: Final = """
local count = (#KEYS - 1) / 2
for place = 1, count do
  if redis.call('SET', KEYS[place], ARGV[1], 'NX', 'PX', ARGV[2]) then
    local former = redis.call('GET', KEYS[count + place])
    redis.call('SET', KEYS[count + place], ARGV[1])
    redis.call('HSET', KEYS[#KEYS], ARGV[2 + place], redis.call('TIME')[1])
    return {place, former or ''}
  end
end
return {0, ''}
"""
# KEYS: lease, its former holder.  ARGV: sid, lifetime ms.  Returns 1 while the lease is the caller's, and where it ran
# out (nobody can renew one while Redis is away) and nobody has had it since.
_RENEW: Final = """
local holder = redis.call('GET', KEYS[1])
if not holder and redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
if holder ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
# KEYS: lease.  ARGV: sid, settling time ms.  A full Redis takes no other value, but a time: the identity rests as long,
# only under the holder's name.
_GIVE_BACK: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.pcall('SET', KEYS[1], '-' .. ARGV[1], 'PX', ARGV[2])['err'] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
"""
# KEYS: lease.  ARGV: sid, grace ms.  Returns 1 for a shortened lease, 2 for one that is free now.
_DEREGISTERED: Final = """
local holder = redis.call('GET', KEYS[1])
if holder == '-' .. ARGV[1] then return redis.call('DEL', KEYS[1]) * 2 end
if holder ~= ARGV[1] then return 0 end
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
# KEYS: leases.  Returns the shortest time until one ends by itself, ms.
_SHORTEST: Final = """
local shortest = -1
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and (shortest < 0 or left < shortest) then shortest = left end
end
return shortest
"""


class Lease(NamedTuple):
    """An identity that was free."""

    impi: str
    former_sid: str
    """Who held it last, "" for nobody: a token of that session may still be good for a while."""


class Holding(NamedTuple):
    """An identity that is not free."""

    sid: str
    """Who holds it, or held it before it settled."""
    settling: bool
    since: float
    """Seconds since the epoch; 0: not known."""
    left_s: float
    """Until it is free by itself."""


class LeaseStore:
    """Who holds which identity of the pool."""

    def __init__(self, redis: Redis, *, lifetime_s: float, settling_s: float, grace_s: float) -> None:
        """Set the times.

        Args:
            redis: the client.
            lifetime_s: a lease that is not renewed ends after so long.
            settling_s: how long an identity rests after it was given back.
            grace_s: how long a holder whose registration ended may keep the identity without renewing the lease.
        """
        self._redis = redis
        self._lifetime_ms = _ms(lifetime_s)
        self._settling_ms = _ms(settling_s)
        self._grace_ms = _ms(grace_s)
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._give_back = redis.register_script(_GIVE_BACK)
        self._deregistered = redis.register_script(_DEREGISTERED)
        self._shortest = redis.register_script(_SHORTEST)

    def take(self, impis: Sequence[str], sid: str) -> Lease | None:
        """Lease the first identity that is free; None when all are taken."""
        formers = [keys.web_former_holder(impi) for impi in impis]
        names = [*_keys(impis), *formers, keys.WEB_LEASED_AT]
        place, former = self._take(keys=names, args=[sid, self._lifetime_ms, *impis])
        return Lease(impis[int(place) - 1], str(former)) if place else None

    def renew(self, impi: str, sid: str) -> bool:
        """Start a lease's lifetime anew; False when the session does not hold it, and was not the last who did.

        While Redis takes no writes, its end stays where it is.
        """
        try:
            return bool(
                self._renew(
                    keys=[*_keys([impi]), keys.web_former_holder(impi)], args=[sid, self._lifetime_ms]
                )
            )
        except redis.ResponseError:
            return self._redis.get(keys.web_lease(impi)) == sid

    def give_back(self, impi: str, sid: str) -> bool:
        """End a lease; the identity settles before it is free.  False when the session does not hold it."""
        return bool(self._give_back(keys=_keys([impi]), args=[sid, self._settling_ms]))

    def holds(self, impi: str, sid: str) -> bool:
        """Whether a session has an identity: in use, or still settling."""
        return self._redis.get(keys.web_lease(impi)) in (sid, f"-{sid}")

    def holdings(self, impis: Sequence[str]) -> dict[str, Holding]:
        """Return what is known of each identity that is not free."""
        pipeline = self._redis.pipeline(transaction=False)
        for impi in impis:
            pipeline.get(keys.web_lease(impi))
            pipeline.pttl(keys.web_lease(impi))
        pipeline.hgetall(keys.WEB_LEASED_AT)
        *answers, leased_at = pipeline.execute()
        found = {}
        for impi, sid, left_ms in zip(impis, answers[::2], answers[1::2], strict=True):
            if sid and left_ms > 0:
                since = float(leased_at.get(impi, 0))
                found[impi] = Holding(sid.removeprefix("-"), sid.startswith("-"), since, left_ms / 1000)
        return found

    def deregistered(self, impi: str, sid: str) -> None:
        """Note that the holder's last registration has ended: what settles is free, else the grace time runs."""
        self._deregistered(keys=_keys([impi]), args=[sid, self._grace_ms])

    def free_within_s(self, impis: Sequence[str]) -> float:
        """Return how long until some lease of the pool may end, seconds; 0 when one is free."""
        left = int(self._shortest(keys=_keys(impis)))
        return max(0, left) / 1000


def _keys(impis: Sequence[str]) -> list[str]:
    return [keys.web_lease(impi) for impi in impis]


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
