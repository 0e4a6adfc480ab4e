"""Finished calls of all nodes, as long as Redis keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kemi.state import keys
from kemi.state.call_history import FinishedCall, finished_from_text

if TYPE_CHECKING:
    from redis import Redis


class FinishedCalls:
    """Read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def get(self, identifier: str) -> FinishedCall | None:
        """Return a call; None for one that is not kept (any more)."""
        return _read(self._redis.get(keys.finished_call(identifier)))

    def latest(self, limit: int = 50, *, impu: str = "", before: float | None = None) -> list[FinishedCall]:
        """Return calls that ended last, the latest first: all, or those of a public identity.

        ``before``: only what ended earlier, in seconds since the epoch, for the next page.
        """
        name = keys.calls_of(impu) if impu else keys.CALLS
        most = "+inf" if before is None else f"({before}"
        ids = [str(found) for found in self._redis.zrevrangebyscore(name, most, "-inf", start=0, num=limit)]
        texts = self._redis.mget([keys.finished_call(found) for found in ids]) if ids else []
        return [call for text in texts if (call := _read(text)) is not None]


def _read(text: object) -> FinishedCall | None:
    """Return a call; None for one of another release that cannot be read."""
    try:
        return finished_from_text(text) if isinstance(text, str) else None
    except msgspec.DecodeError:
        return None
