"""All registrations of all gateway nodes, as they keep them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from kemi.core.registration import Registration
from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis

_AT_ONCE = 500


class BindingsView:
    """Read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def all(self, now: float) -> Iterator[tuple[str, str, Registration]]:
        """Return node, key of the binding, and registration of those that have not run out; what cannot be read is
        left out."""
        prefix = keys.registrations("")
        for name in sorted(map(str, self._redis.scan_iter(match=keys.registrations("*")))):
            for key, text in self._redis.hscan_iter(name, count=_AT_ONCE):
                try:
                    found = msgspec.json.decode(text, type=Registration)
                except msgspec.DecodeError:
                    continue
                if found.expires_at > now:
                    yield name.removeprefix(prefix), str(key), found

    def numbers(self) -> dict[str, int]:
        """Return how many each node keeps, those that have just run out included."""
        names = sorted(map(str, self._redis.scan_iter(match=keys.registrations("*"))))
        prefix = keys.registrations("")
        return {name.removeprefix(prefix): int(self._redis.hlen(name)) for name in names}
