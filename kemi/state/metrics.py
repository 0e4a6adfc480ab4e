"""What this node has measured since its start: one entry for each series, which all processes share.

A histogram is one entry: the numbers of its buckets, each for itself, and the sum of what was observed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kemi.core.metrics.catalogue import CATALOGUE, Kind, Metric
from kemi.state.table import Table

_BETWEEN: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class Series:
    """One series as it stands."""

    metric: Metric
    labels: tuple[str, ...]
    value: float
    """Of a histogram the sum."""
    counts: tuple[int, ...] = ()
    """Of a histogram: how many fell into each bucket, the last one is what was above all bounds."""


class Metrics:
    """Numbers that all processes of a node share."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Count ``by`` more."""
        key = _key(metric, labels)
        with self._table.locked(key):
            self._table.set(key, str(int(self._table.get(key) or 0) + by))

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Say how much there is now."""
        self._table.set(_key(metric, labels), repr(value))

    def remove(self, metric: Metric, *labels: str) -> None:
        """Show no value any more: nobody knows it."""
        self._table.remove(_key(metric, labels))

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Put a value into its bucket."""
        self.observe_all(metric, (value,), *labels)

    def observe_all(self, metric: Metric, values: Sequence[float], *labels: str) -> None:
        """Put values into their buckets, which costs hardly more than one."""
        key = _key(metric, labels)
        with self._table.locked(key):
            known = self._table.get(key)
            counts, total = _histogram(known) if known else ([0] * (len(metric.buckets) + 1), 0.0)
            for value in values:
                counts[bisect_left(metric.buckets, value)] += 1
            self._table.set(key, " ".join((*map(str, counts), repr(total + sum(values)))))

    def all(self) -> Iterator[Series]:
        """Return every series there is, in the order of names and labels."""
        for key, text in sorted(self._table.items()):
            name, *labels = key.split(_BETWEEN)
            metric = CATALOGUE.get(name)
            if metric is None:
                continue
            if metric.kind is Kind.HISTOGRAM:
                counts, total = _histogram(text)
                yield Series(metric, tuple(labels), total, tuple(counts))
            else:
                yield Series(metric, tuple(labels), float(text))


def _key(metric: Metric, labels: tuple[str, ...]) -> str:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {', '.join(metric.labels) or 'none'}")
    return _BETWEEN.join((metric.name, *labels))


def _histogram(text: str) -> tuple[list[int], float]:
    *counts, total = text.split(" ")
    return [int(one) for one in counts], float(total)
