"""The gateway's writing of finished calls to Redis, as a part of its link.

They are kept for a time, however many they are.  Where Redis has not enough memory for that, the oldest are forgotten
before it is full: beyond its limit it takes nothing more, of nobody, and so no login.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from redis import Redis

from kemi.core.identity import one_spelling
from kemi.state import keys
from kemi.state.call_history import FinishedCall, finished_from_text

POPPED_AT_ONCE: Final = 500
LATEST: Final = 20_000
LIMITS: Final = ((0.85, 0), (0.7, LATEST))
"""Beyond which share of the memory that Redis may use how many calls are left, the fullest first.  In between traces go
(trace_link.FULL), whose number is bounded."""


def put(pipeline: Any, call: FinishedCall, kept_s: int) -> None:
    """Add what keeps a call for so long: its record, and its name among all calls and among those of its identity."""
    pipeline.set(keys.finished_call(call.id), msgspec.json.encode(call), ex=kept_s)
    for name in (keys.CALLS, keys.calls_of(one_spelling(call.impu))):
        pipeline.zadd(name, {call.id: call.ended_at})
        pipeline.zremrangebyscore(name, "-inf", call.ended_at - kept_s)
        pipeline.expire(name, kept_s)


def trim(redis: Redis) -> float:
    """Forget the oldest calls where Redis has little room left; return the share of its memory that was in use, 0.0
    where it has no limit."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.info("memory")
    pipeline.zcard(keys.CALLS)
    memory, kept = pipeline.execute()
    limit = memory.get("maxmemory", 0)
    used = memory.get("used_memory", 0) / limit if limit else 0.0
    left = next((calls for beyond, calls in LIMITS if used > beyond), kept)
    if kept > left:
        popped = redis.zpopmin(keys.CALLS, min(kept - left, POPPED_AT_ONCE))
        _forget(redis, [str(identifier) for identifier, _ in cast("list[tuple[str, float]]", popped)])
    return float(used)


def _forget(redis: Redis, identifiers: Sequence[str]) -> None:
    if not identifiers:
        return
    names = [keys.finished_call(one) for one in identifiers]
    texts = cast("list[str | None]", redis.mget(names))
    of_identity: defaultdict[str, list[str]] = defaultdict(list)
    for identifier, text in zip(identifiers, texts, strict=True):
        try:
            call = finished_from_text(text) if text else None
        except msgspec.DecodeError:
            continue  # of another release: its name among its identity's ends with the time
        if call is not None:
            of_identity[keys.calls_of(one_spelling(call.impu))].append(identifier)
    pipeline = redis.pipeline(transaction=False)
    for name, gone in of_identity.items():
        pipeline.zrem(name, *gone)
    pipeline.unlink(*names)
    pipeline.execute()
