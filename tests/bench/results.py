"""What one run measured, as values that travel between processes as JSON.

Knows numbers. Must not know how they came about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class CallTimes:
    """Times of one call on the machine's monotonic clock, which all processes share."""

    call_id: str
    invite_at_s: float
    answered_at_s: float = 0.0
    page_s: float = 0.0
    """What the page itself took between reading 183 and UPDATE and having answered them."""


@dataclass
class LoadResult:
    """What a load client saw."""

    calls: list[CallTimes] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class RunResult:
    """One run of one target."""

    calls: int
    failures: Mapping[str, int]
    calls_per_s: float
    setup_ms: Percentiles
    added_ms: Percentiles
    """Page's INVITE sent → INVITE at the core's socket, the page's own round trips included."""
    page_ms: Percentiles
    """The page's own part of `added_ms`."""
    gateway_cpu_ms: float
    """CPU of the gateway's processes per completed call."""
    media_cpu_ms: float
    """CPU of the media relay per completed call; 0 without one."""
    generator_cpu_ms: float
    callee_cpu_ms: float


def percentiles(values_s: Sequence[float]) -> Percentiles:
    """Return nearest-rank percentiles in milliseconds; zeros for no values."""
    ordered = sorted(values_s)

    def rank(share: float) -> float:
        if not ordered:
            return 0.0
        return round(1000 * ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)

    return Percentiles(rank(0.50), rank(0.95), rank(0.99))


def added_latencies_s(calls: Sequence[CallTimes], arrivals_s: Mapping[str, float]) -> list[float]:
    """Return the times from a page's INVITE to the core's, matched by Call-ID.

    A gateway that changes the Call-ID cannot be matched; its calls are left out.
    """
    return [arrivals_s[c.call_id] - c.invite_at_s for c in calls if c.call_id in arrivals_s]
