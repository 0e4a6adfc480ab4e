"""The gateway's writing of call traces to Redis, as a part of its link.

Calls that went well and those that failed have a ring each, so that many good calls do not push a bad one out.  Only
calls that are over take room there: one that runs is not pushed out, however long ago it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
from redis import Redis

from kemi.state import keys
from kemi.state.traces import TracePortion
from kemi.state.trunks import LONGEST_S

POPPED_AT_ONCE: Final = 500
MOST_RUNNING: Final = 20_000
"""Beside the rings, and with them calls of which nobody says that they are over."""
FULL: Final = 0.75
"""Of the memory Redis may use; beyond its limit it takes nothing more, of nobody."""


@dataclass(frozen=True, slots=True)
class TraceRings:
    """How many traces of calls that are over are kept, and for how long."""

    calls: int
    failed_calls: int
    kept_s: int
    failed_kept_s: int


def put(pipeline: Any, portions: Sequence[TracePortion], rings: TraceRings) -> None:
    """Add what writes these portions to a pipeline."""
    names: dict[bool, dict[str, float]] = {False: {}, True: {}}
    over: dict[bool, dict[str, float]] = {False: {}, True: {}}
    for portion in portions:
        head = portion.head
        names[head.failed][head.key] = head.began_at
        if head.ended_at:
            over[head.failed][head.key] = head.ended_at
        kept_s = rings.failed_kept_s if head.failed else rings.kept_s
        if portion.entries:
            pipeline.rpush(keys.trace(head.key), portion.entries)
        pipeline.expire(keys.trace(head.key), kept_s)
        pipeline.set(keys.trace_head(head.key), msgspec.json.encode(head), ex=kept_s)
    for name, found in ((keys.traces, names), (keys.ended_traces, over)):
        for failed, calls in found.items():
            if calls:
                pipeline.zadd(name(failed=failed), calls)
                pipeline.zrem(name(failed=not failed), *calls)


def trim(redis: Redis, rings: TraceRings, now: float) -> None:
    """Forget what is too old, and the oldest of what is too much, and more of them where Redis has little room left."""
    pipeline = redis.pipeline(transaction=False)
    for failed, kept_s in ((False, rings.kept_s), (True, rings.failed_kept_s)):
        # Those whose end nobody tells; what there is of them has ended by itself.
        pipeline.zremrangebyscore(keys.traces(failed=failed), "-inf", now - kept_s - LONGEST_S)
        pipeline.zcard(keys.traces(failed=failed))
        pipeline.zcount(keys.ended_traces(failed=failed), "-inf", now - kept_s)
        pipeline.zcard(keys.ended_traces(failed=failed))
    pipeline.info("memory")
    _, good, good_old, good_over, _, bad, bad_old, bad_over, memory = pipeline.execute()
    limit = memory.get("maxmemory", 0)
    least = POPPED_AT_ONCE if limit and memory.get("used_memory", 0) > limit * FULL else 0
    for failed, known, old, over, most in (
        (False, good, good_old, good_over, rings.calls),
        (True, bad, bad_old, bad_over, rings.failed_calls),
    ):
        _pop(redis, keys.ended_traces(failed=failed), max(over - most, old, least), failed=failed)
        running = max(known - over - MOST_RUNNING, 0 if over else least)
        _pop(redis, keys.traces(failed=failed), running, failed=failed)


def _pop(redis: Redis, ring: str, number: int, *, failed: bool) -> None:
    if number <= 0:
        return
    popped = cast("list[tuple[str, float]]", redis.zpopmin(ring, min(number, POPPED_AT_ONCE)))
    names = [str(name) for name, _ in popped]
    if names:
        pipeline = redis.pipeline(transaction=False)
        pipeline.zrem(keys.traces(failed=failed), *names)
        pipeline.zrem(keys.ended_traces(failed=failed), *names)
        pipeline.unlink(*map(keys.trace, names), *map(keys.trace_head, names))
        pipeline.execute()
