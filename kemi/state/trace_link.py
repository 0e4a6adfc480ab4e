"""The gateway's writing of call traces to Redis, as a part of its link.

Calls that went well and those that failed have a ring each, so that many good calls do not push a bad one out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
from redis import Redis

from kemi.state import keys
from kemi.state.traces import TracePortion

POPPED_AT_ONCE: Final = 500
FULL: Final = 0.75
"""Of the memory Redis may use; beyond its limit it takes nothing more, of nobody."""


@dataclass(frozen=True, slots=True)
class TraceRings:
    """How many traces are kept, and for how long."""

    calls: int
    failed_calls: int
    kept_s: int
    failed_kept_s: int


def put(pipeline: Any, portions: Sequence[TracePortion], rings: TraceRings) -> None:
    """Add what writes these portions to a pipeline."""
    names: dict[bool, dict[str, float]] = {False: {}, True: {}}
    for portion in portions:
        head = portion.head
        names[head.failed][head.key] = head.began_at
        kept_s = rings.failed_kept_s if head.failed else rings.kept_s
        if portion.entries:
            pipeline.rpush(keys.trace(head.key), portion.entries)
        pipeline.expire(keys.trace(head.key), kept_s)
        pipeline.set(keys.trace_head(head.key), msgspec.json.encode(head), ex=kept_s)
    for failed, found in names.items():
        if found:
            pipeline.zadd(keys.traces(failed=failed), found)
            pipeline.zrem(keys.traces(failed=not failed), *found)


def trim(redis: Redis, rings: TraceRings, now: float) -> None:
    """Forget what is too old, and the oldest of what is too much, and more of them where Redis has little room left."""
    pipeline = redis.pipeline(transaction=False)
    for failed, kept_s in ((False, rings.kept_s), (True, rings.failed_kept_s)):
        pipeline.zremrangebyscore(keys.traces(failed=failed), "-inf", now - kept_s)
        pipeline.zcard(keys.traces(failed=failed))
    pipeline.info("memory")
    _, good, _, bad, memory = pipeline.execute()
    limit = memory.get("maxmemory", 0)
    least = POPPED_AT_ONCE if limit and memory.get("used_memory", 0) > limit * FULL else 0
    too_many = ((False, good - rings.calls), (True, bad - rings.failed_calls))
    for failed, number in ((failed, max(number, least)) for failed, number in too_many):
        if number <= 0:
            continue
        popped = redis.zpopmin(keys.traces(failed=failed), min(number, POPPED_AT_ONCE))
        names = [str(name) for name, _ in cast("list[tuple[str, float]]", popped)]
        if names:
            redis.unlink(*map(keys.trace, names), *map(keys.trace_head, names))
