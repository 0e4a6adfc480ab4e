"""What this process measures of itself for Prometheus.

The processes of one server add up in the files of a folder (prometheus_client's multi-process mode); without it a
process tells of itself alone.
"""

import time
from typing import Final

from flask import Flask, Response, g, request
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from webapp_api.settings import metrics_directory

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_NO_ENDPOINT: Final = "none"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

REQUESTS: Final = Counter(
    "webapp_requests_total",
    "Requests by what answered them (a function's name, never a path) and how.",
    ("endpoint", "method", "status"),
)
REQUEST_SECONDS: Final = Histogram(
    "webapp_request_seconds", "From a request's turn to its answer.", ("endpoint",), buckets=_SECONDS
)
LISTENERS: Final = Gauge(
    "webapp_event_listeners", "Who listens to events at this moment.", multiprocess_mode="livesum"
)
LISTENERS_CUT: Final = Counter(
    "webapp_event_listeners_cut_total", "Listeners that were cut off, by close code.", ("code",)
)


def register(app: Flask) -> None:
    """Measure every request of ``app``; a listener's counts when it ends, and its time does not."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def measure(response: Response) -> Response:
        endpoint = request.endpoint or _NO_ENDPOINT
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.labels(endpoint, method, str(response.status_code)).inc()
        if "began" in g and request.headers.get("Upgrade") is None:
            REQUEST_SECONDS.labels(endpoint).observe(time.perf_counter() - g.began)
        return response


def metrics_text() -> bytes:
    """Return what all processes of this server have measured."""
    folder = metrics_directory()
    if not folder:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def process_ended(pid: int) -> None:
    """Forget what only counted while a process of this server ran."""
    if metrics_directory():
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
