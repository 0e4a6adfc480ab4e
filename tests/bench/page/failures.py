"""What adapters share: failures in words, and figures of what is left, none where nothing is.

Knows numbers and words. Must not know the shape of any bench's JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.bench.results import percentiles
from tests.bench.rows import Ladder, Row

Found = tuple[list[Row], list[Ladder]]
Raw = Any
"""JSON of a bench."""


def failures_of(tried: str, counts: Mapping[str, int]) -> str:
    """Say how many of what was tried went wrong, and how; "" for none."""
    told = [f"{number} {how}" for how, number in counts.items() if number]
    return f"{', '.join(told)}, of {tried}" if told else ""


def joined(*parts: str) -> str:
    """Join the parts of a note that are not empty."""
    return "; ".join(part for part in parts if part)


def p95_ms(times_s: Sequence[float]) -> float | None:
    """Return the 95th percentile in milliseconds; None of nothing."""
    return percentiles(times_s).p95 if times_s else None


def largest(values: Iterable[float | None]) -> float | None:
    """Return the largest of those there are; None of nothing."""
    return max((value for value in values if value is not None), default=None)
