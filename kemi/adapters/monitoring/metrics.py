"""What is measured, in the text format of Prometheus; and what only Kamailio can tell of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from kemi.adapters.kamailio import figures
from kemi.core.emergency import EmergencyAction
from kemi.core.metrics import catalogue
from kemi.core.metrics.catalogue import CATALOGUE, Kind, Metric
from kemi.state.counters import Counters
from kemi.state.metrics import Metrics, Series

_STATISTICS: Final = (
    # Kamailio's own name -> series and labels
    ("tmx:inuse_transactions", catalogue.TRANSACTIONS, ()),
    ("tcp:current_opened_connections", catalogue.TCP, ()),
    ("websocket:ws_current_connections", catalogue.CONNECTIONS, ()),
    ("core:rcv_requests", catalogue.SIP_REQUESTS, ()),
    ("core:rcv_replies", catalogue.SIP_REPLIES, ()),
    ("core:drop_requests", catalogue.SIP_DROPPED, ("request",)),
    ("core:drop_replies", catalogue.SIP_DROPPED, ("reply",)),
)
_COUNTED: Final = (
    # beginning of a name that Counters has -> series; what follows is its label
    ("calls.", catalogue.COSTS),
    ("denied.", catalogue.DENIED),
    ("emergency.", catalogue.EMERGENCY),
    ("alarms", catalogue.ALARMS),
)
_FROM_THE_START: Final = dict.fromkeys(("alarms", *(f"emergency.{one.value}" for one in EmergencyAction)), 0)
"""Shown before anything is counted: Prometheus sees no increase in a series that begins with its first event."""


class _Collector(Collector):
    def __init__(self, series: Iterable[Series]) -> None:
        self._series = series

    def collect(self) -> Iterator[Family]:
        families: dict[str, Family] = {}
        for one in self._series:
            family = families.setdefault(one.metric.name, _family(one.metric))
            _add(family, one)
        yield from (families[name] for name in CATALOGUE if name in families)


def _family(metric: Metric) -> Family:
    match metric.kind:
        case Kind.COUNTER:
            return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        case Kind.GAUGE:
            return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)


def _add(family: Family, one: Series) -> None:
    if isinstance(family, HistogramMetricFamily):
        bounds = [*map(repr, one.metric.buckets), "+Inf"]
        family.add_metric(one.labels, list(zip(bounds, accumulate(one.counts), strict=True)), one.value)
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily):
        family.add_metric(one.labels, one.value)


def metrics_text(metrics: Metrics, counters: Counters) -> str:
    """Return every series of this node as Prometheus reads it (text format 0.0.4)."""
    registry = CollectorRegistry()
    registry.register(_Collector([*metrics.all(), *_counted(counters), *_of_kamailio()]))
    return generate_latest(registry).decode()


def _counted(counters: Counters) -> Iterator[Series]:
    for name, number in {**_FROM_THE_START, **counters.all()}.items():
        for begin, metric in _COUNTED:
            if name.startswith(begin):
                yield Series(metric, (name.removeprefix(begin),) if metric.labels else (), number)


def _of_kamailio() -> Iterator[Series]:
    for name, metric, labels in _STATISTICS:
        value = figures.statistic(name)
        if value is not None:
            yield Series(metric, labels, value)
    memory = figures.shared_memory()
    if memory is not None:
        for state, size in (("used", memory.used), ("free", memory.free), ("most used", memory.most_used)):
            yield Series(catalogue.SHARED_MEMORY, (state,), size)
