"""The newest events of the stream, for who looks once and does not listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kemi.state import keys
from kemi.state.web.event_feed import order_of

if TYPE_CHECKING:
    from redis import Redis


class RecentEvents:
    """Read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def known_since(self) -> float:
        """Return when the oldest event came that is kept, seconds since the epoch; 0.0: none has been forgotten."""
        if int(self._redis.xlen(keys.EVENTS)) < keys.STREAM_LENGTH:
            return 0.0
        oldest: Any = self._redis.xrange(keys.EVENTS, count=1)
        return order_of(oldest[0][0])[0] / 1000

    def since(self, at: float) -> list[tuple[str, dict[str, Any]]]:
        """Return sequence number and event of all that are kept since a time (seconds since the epoch), the oldest
        first."""
        entries: Any = self._redis.xrange(keys.EVENTS, min=str(int(at * 1000)))
        found = []
        for entry_id, fields in entries or []:
            try:
                event = msgspec.json.decode((fields or {})[keys.STREAM_FIELD], type=dict[str, Any])
            except (KeyError, msgspec.DecodeError):
                continue
            found.append((str(entry_id), event))
        return found
