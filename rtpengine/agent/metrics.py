"""What the agent measures, for Prometheus."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from rtpengine.agent.settings import MetricsSettings

_PING_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

UP: Final = Gauge("media_agent_node_up", "1 while the node answers in time.", ("node",))
CHANGES: Final = Counter(
    "media_agent_node_changes_total", "How often it came into a state.", ("node", "state")
)
CALLS: Final = Gauge(
    "media_agent_node_calls", "Media sessions it has, by its own count, while it is not down.", ("node",)
)
RESTARTS: Final = Counter("media_agent_node_restarts_total", "Restarts of its daemon.", ("node",))
PINGS: Final = Histogram(
    "media_agent_ping_seconds", "What an answer to a ping took.", ("node",), buckets=_PING_S
)
ORPHANS: Final = Counter(
    "media_agent_orphans_deleted_total", "Media sessions of no call that were deleted.", ("node",)
)
LOST: Final = Counter(
    "media_agent_calls_lost_total", "Calls that lost their media: named to the gateway.", ("node",)
)
KEYS: Final = Counter(
    "media_agent_key_presses_total", "Keys that far ends pressed, as nodes told this agent and no other one."
)
GATEWAY_UP: Final = Gauge("media_agent_gateway_up", "1 while the gateway takes reports.")


def serve(settings: MetricsSettings) -> Callable[[], None]:
    """Let Prometheus read; returns what ends that.  Raises OSError where the port is taken."""
    if not settings.port:
        return lambda: None
    server, thread = start_http_server(settings.port, settings.address)

    def end() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return end
