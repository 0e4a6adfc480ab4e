"""The newest events of the stream, for who looks once and does not listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis


class RecentEvents:
    """Read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def since(self, at: float, most: int) -> list[tuple[str, dict[str, Any]]]:
        """Return sequence number and event of the last ``most`` since a time (seconds since the epoch), the oldest
        first."""
        entries: Any = self._redis.xrevrange(keys.EVENTS, min=str(int(at * 1000)), count=most)
        found = []
        for entry_id, fields in reversed(entries or []):
            try:
                event = msgspec.json.decode((fields or {})[keys.STREAM_FIELD], type=dict[str, Any])
            except (KeyError, msgspec.DecodeError):
                continue
            found.append((str(entry_id), event))
        return found
