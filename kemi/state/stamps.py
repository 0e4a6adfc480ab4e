"""When a gateway wrote what it sees: by the clock of Redis, because those of gateways and web nodes may differ."""

from __future__ import annotations

from typing import Any, Final, cast

# KEYS: hash.  ARGV: field, a JSON object that is not empty.
_STAMPED: Final = """
local now = redis.call('TIME')
local at = string.format('%d.%06d', now[1], now[2])
return redis.call('HSET', KEYS[1], ARGV[1], string.sub(ARGV[2], 1, -2) .. ',"written_at":' .. at .. '}')
"""


def write_stamped(pipeline: Any, key: str, field: str, text: str) -> None:
    """Add the writing of a field, a JSON object, to a pipeline; it gets ``written_at``, seconds since the epoch."""
    pipeline.eval(_STAMPED, 1, key, field, text)


def read_stamped(pipeline: Any, key: str) -> None:
    """Add the reading of a hash to a pipeline, two replies: its fields, and the time of Redis for ``seconds``."""
    pipeline.hgetall(key)
    pipeline.time()


def seconds(time: Any) -> float:
    """Return what Redis says as time in seconds since the epoch."""
    whole, micros = cast("tuple[int, int]", time)
    return whole + micros / 1e6


def age_s(at: float, written_at: float, now: float, redis_now: float) -> float:
    """Return how long ago something was written; ``at`` by its gateway's clock counts where a release of before has
    written it, which left no stamp (0)."""
    return redis_now - written_at if written_at else now - at
