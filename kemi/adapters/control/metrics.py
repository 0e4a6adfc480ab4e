"""Route of the control endpoint for Prometheus.

GET /metrics -> text format 0.0.4; the series are those of kemi/core/metrics/catalogue.py
"""

from __future__ import annotations

from kemi.adapters.control.endpoint import Routes
from kemi.adapters.monitoring.measuring import METRICS
from kemi.adapters.monitoring.metrics import metrics_text
from kemi.state.counters import Counters


def metrics_routes(counters: Counters) -> Routes:
    """Return the route about what is measured."""
    return {("GET", "/metrics"): lambda _query: (200, metrics_text(METRICS, counters))}
