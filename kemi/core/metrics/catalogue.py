"""Every series of a gateway node, as a table.  Names follow Prometheus: base units, ``_total`` for counters.

Labels hold words of the program or of the operator (nodes, trunks), never anything a page or a caller can choose: each
new value would be a series that stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How a series counts."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of series."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Of a histogram: upper bounds, rising; above the last one is +Inf."""


SETUP_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""From a page's own media (tens of milliseconds) to a callee who takes a minute to answer."""
DURATION_S: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14400.0)
RELAY_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
TICK_S: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
LOSS: Final = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
JITTER_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25)
ROUND_TRIP_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
MOS: Final = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.2, 4.4)

C, G, H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

CALLS_STARTED: Final = Metric("gateway_calls_started_total", C, "Calls that were let in.", ("direction",))
CALLS: Final = Metric(
    "gateway_calls_total",
    C,
    "Calls that are over: answered, cancelled, refused (or nobody took it), failed; by whom and why.",
    ("direction", "result", "by", "cause", "status"),
)
CALLS_RUNNING: Final = Metric("gateway_calls_running", G, "Calls that this node keeps at this moment.")
SETUP: Final = Metric(
    "gateway_call_setup_seconds",
    H,
    "From the INVITE to a stage of the call: ringing, answered.",
    ("direction", "stage"),
    SETUP_S,
)
DURATION: Final = Metric(
    "gateway_call_duration_seconds", H, "From the answer to the end.", ("direction",), DURATION_S
)
REFUSED: Final = Metric(
    "gateway_requests_refused_total",
    C,
    "Requests that this node answered itself with an error.",
    ("method", "status", "term"),
)
ERRORS: Final = Metric(
    "gateway_errors_total", C, "Errors of ours, each with a traceback in the log.", ("where",)
)

BINDINGS: Final = Metric("gateway_registrations", G, "Registered pages.")
CONNECTIONS: Final = Metric("gateway_connections", G, "WebSocket connections of pages.")
REGISTERED: Final = Metric("gateway_registrations_begun_total", C, "Registrations that began.")
DEREGISTERED: Final = Metric(
    "gateway_registrations_ended_total", C, "Registrations that ended, and why.", ("cause",)
)

RELAY: Final = Metric(
    "gateway_relay_seconds",
    H,
    "What a call waited for a media relay, for each thing it was asked to do.",
    ("node", "step"),
    RELAY_S,
)
RELAY_FAILED: Final = Metric(
    "gateway_relay_failures_total",
    C,
    "Things a media relay did not do: it refused, or was silent.",
    ("node", "kind"),
)
RELAY_UP: Final = Metric("gateway_relay_up", G, "1 while the media relay answers.", ("node",))
RELAY_DRAINED: Final = Metric("gateway_relay_drained", G, "1 while it gets no new calls.", ("node",))
RELAY_TAKES: Final = Metric(
    "gateway_relay_takes_calls",
    G,
    "1 while new calls may go there: it is not down, coming back or drained, and has a weight.",
    ("node",),
)
RELAY_CALLS: Final = Metric(
    "gateway_relay_calls", G, "Media sessions it has, while that is known.", ("node",)
)

LOSS_RATIO: Final = Metric(
    "gateway_media_loss_ratio",
    H,
    "Share of packets that a party did not get, by its receiver reports; for each leg and medium of a call.",
    ("leg", "medium"),
    LOSS,
)
JITTER: Final = Metric(
    "gateway_media_jitter_seconds", H, "Jitter that a party reported.", ("leg", "medium"), JITTER_S
)
ROUND_TRIP: Final = Metric(
    "gateway_media_round_trip_seconds",
    H,
    "Between the relay and a party.",
    ("leg", "medium"),
    ROUND_TRIP_S,
)
SCORE: Final = Metric("gateway_media_mos", H, "Mean opinion score of a leg's audio.", ("leg", "source"), MOS)
PACKETS: Final = Metric(
    "gateway_media_packets_total", C, "RTP packets of the parties, of calls that are over.", ("leg", "medium")
)
PACKETS_DROPPED: Final = Metric(
    "gateway_media_packets_dropped_total", C, "Others, not relayed: no party's own.", ("leg", "medium")
)
SILENT: Final = Metric(
    "gateway_media_silent_total",
    C,
    "Media of answered calls for which a leg sent nothing at all.",
    ("leg", "medium"),
)
MEDIA: Final = Metric(
    "gateway_media_total", C, "Media of answered calls by the codecs of both legs.", ("medium", "wic", "ims")
)

TRUNK_UP: Final = Metric("gateway_trunk_up", G, "1 while a next hop of the trunk answers.", ("trunk",))
TRUNK_UNREGISTERED: Final = Metric(
    "gateway_trunk_unregistered",
    G,
    "1 while the trunk does not know this gateway, which wants to be registered there.",
    ("trunk",),
)
TRUNK_CALLS: Final = Metric("gateway_trunk_calls", G, "Calls it has here.", ("trunk",))
TRUNK_ENDED: Final = Metric(
    "gateway_trunk_calls_total",
    C,
    "Calls over a trunk that are over: a page's (from_page), and those that the trunk begins (from_trunk).",
    ("trunk", "direction", "result"),
)

COSTS: Final = Metric(
    "gateway_call_attempts_total", C, "Calls and transfers the table let begin.", ("rates",)
)
DENIED: Final = Metric("gateway_calls_denied_total", C, "Calls a permission forbade.", ("why",))
EMERGENCY: Final = Metric("gateway_emergency_calls_total", C, "Calls to emergency numbers.", ("action",))
ALARMS: Final = Metric("gateway_fraud_alarms_total", C, "Alarms of the permissions.")

OVERLOAD_REFUSED: Final = Metric(
    "gateway_overload_refused_total",
    C,
    "New requests refused because there was more to do than this node can.",
    ("method",),
)
OVERLOAD_WAIT: Final = Metric(
    "gateway_overload_wait_seconds", G, "How long a message waits before a worker takes it."
)
OVERLOAD_LIMITED: Final = Metric(
    "gateway_overload_limited", G, "1 while not all new work of this kind is let in.", ("work",)
)
BANNED: Final = Metric("gateway_banned_addresses", G, "Client addresses that are banned at this moment.")
BANS: Final = Metric(
    "gateway_bans_total", C, "Addresses this node has banned, by their last offence.", ("why",)
)
BANS_MET: Final = Metric(
    "gateway_banned_handshakes_total",
    C,
    "WebSocket handshakes of banned addresses; the TLS front sees the rest.",
)
STRANGERS: Final = Metric(
    "gateway_strangers_total",
    C,
    "SIP messages of nobody we know on the side of the core, all without an answer.",
)

REDIS_UP: Final = Metric("gateway_redis_up", G, "1 while Redis answers, and takes what is written.")
REDIS_MEMORY: Final = Metric(
    "gateway_redis_memory_ratio", G, "Share of the memory Redis may use that is in use; 0: it has no limit."
)
WAITING: Final = Metric("gateway_redis_waiting", G, "What waits to be shipped to Redis.", ("what",))
TICK: Final = Metric("gateway_housekeeping_seconds", H, "One round of housekeeping.", (), TICK_S)
TICKED: Final = Metric(
    "gateway_housekeeping_last_seconds", G, "When it last had its turn, in seconds since the epoch."
)
HEP: Final = Metric(
    "gateway_hep_messages_total", C, "Copies of SIP messages for the collector: sent, failed.", ("result",)
)
STARTED: Final = Metric("gateway_start_seconds", G, "When this gateway started, in seconds since the epoch.")
INFO: Final = Metric("gateway_info", G, "1; the labels are what is to be known.", ("node", "version"))

SHARED_MEMORY: Final = Metric("gateway_shared_memory_bytes", G, "Kamailio's shared memory.", ("state",))
TRANSACTIONS: Final = Metric("gateway_transactions", G, "SIP transactions at this moment.")
TCP: Final = Metric("gateway_tcp_connections", G, "TCP connections, WebSocket and SIP.")
SIP_REQUESTS: Final = Metric("gateway_sip_requests_total", C, "SIP requests Kamailio received.")
SIP_REPLIES: Final = Metric("gateway_sip_replies_total", C, "SIP replies Kamailio received.")
SIP_DROPPED: Final = Metric("gateway_sip_dropped_total", C, "SIP messages Kamailio dropped.", ("kind",))

CATALOGUE: Final = {metric.name: metric for metric in tuple(globals().values()) if isinstance(metric, Metric)}
"""All of them, by name, in the order above."""
