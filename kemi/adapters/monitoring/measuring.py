"""What is measured of calls, registrations, relays and trunks as they go by; read by control_metrics.py.

Most is measured by the housekeeping process, which hears of everything and whom nobody waits for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from kemi.adapters.kamailio.htable import HtableTable
from kemi.core.bans import Offence
from kemi.core.call.actions import RecordProgress
from kemi.core.call.history import ANSWERED, RINGING, STARTED
from kemi.core.errors import Termination
from kemi.core.metrics import catalogue as series
from kemi.core.metrics import of_calls
from kemi.core.pace import is_early
from kemi.core.trunk.registration import State, is_missing
from kemi.state.call_history import FinishedCall
from kemi.state.metrics import Metrics
from kemi.state.nodes import NodeView
from kemi.state.trunks import TrunkView

METRICS: Final = Metrics(HtableTable("metric"))
"""Of this node; it keeps nothing itself, so every process can have it before the fork."""

GAUGES_S: Final = 5.0
"""How often what is there at the moment is counted: running calls have to be walked through."""
ROUNDS_S: Final = 1.0
"""How often the times of rounds are given: there are a hundred each second."""
MOST_SETUPS: Final = 20_000
_METHODS: Final = frozenset(
    {
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "INVITE",
        "MESSAGE",
        "NOTIFY",
        "OPTIONS",
        "PRACK",
        "PUBLISH",
        "REFER",
        "REGISTER",
        "SUBSCRIBE",
        "UPDATE",
    }
)
_STAGES: Final = (RINGING, ANSWERED)
_NOTHING: Final[Mapping[str, Any]] = {}


class Measuring:
    """The housekeeping process's side."""

    def __init__(
        self,
        node: str,
        nodes: Callable[[float], list[dict[str, Any]]],
        trunks: Callable[[], list[TrunkView]],
        running: Callable[[], int],
    ) -> None:
        self._node = node
        self._nodes = nodes
        self._trunks = trunks
        self._running = running
        self._began: dict[str, float] = {}
        self._next = 0.0
        self._rounds: list[float] = []
        """How long rounds took that METRICS has not been given yet."""
        self._rounds_given = 0.0

    # ------------------------------------------------------------ calls

    def reached(self, step: RecordProgress, at: float) -> None:
        """A call came further."""
        direction = _direction(from_page=step.from_page)
        if step.state == STARTED:
            METRICS.count(series.CALLS_STARTED, direction)
            if len(self._began) >= MOST_SETUPS:
                del self._began[next(iter(self._began))]
            self._began[step.key] = at
        elif step.state in _STAGES and step.key in self._began:
            METRICS.observe(series.SETUP, max(0.0, at - self._began[step.key]), direction, step.state)

    def finished(self, calls: Iterable[FinishedCall]) -> None:
        """Calls are over."""
        for call in calls:
            self._began.pop(call.key, None)
            answered = call.answered_at > 0
            result = of_calls.result(answered=answered, by=call.by, status=call.status, why=call.why)
            cause = of_calls.cause(call.why)
            METRICS.count(series.CALLS, call.direction, result, call.by, cause, str(call.status or 200))
            if call.trunk:
                METRICS.count(series.TRUNK_ENDED, call.trunk, call.direction, result)
            if answered:
                METRICS.observe(series.DURATION, call.duration_s, call.direction)
                for kind, figures in call.media.items():
                    _media(kind, figures)

    # ------------------------------------------------------------ registrations

    def registered(self) -> None:
        """A page has registered."""
        METRICS.count(series.REGISTERED)

    def deregistered(self, cause: str) -> None:
        """A registration has ended."""
        METRICS.count(series.DEREGISTERED, cause)

    # ------------------------------------------------------------ what is there

    def tick(
        self, now: float, bindings: int, *, redis: bool, memory: float, waiting: Mapping[str, int]
    ) -> None:
        """Count what there is at this moment, every now and then; ``memory``: the share that Redis uses of its own."""
        if is_early(now, self._next, GAUGES_S):
            return
        if not self._next:
            METRICS.set(series.INFO, 1, self._node, _version())
            METRICS.set(series.STARTED, now)
            _show_zeros()
        self._next = now + GAUGES_S
        METRICS.set(series.TICKED, now)
        METRICS.set(series.BINDINGS, bindings)
        METRICS.set(series.CALLS_RUNNING, self._running())
        METRICS.set(series.REDIS_UP, int(redis))
        METRICS.set(series.REDIS_MEMORY, memory)
        for what, number in waiting.items():
            METRICS.set(series.WAITING, number, what)
        for node in self._nodes(now):
            name = node["node"]
            METRICS.set(series.RELAY_UP, int(node["state"] != "down" and not node["broken"]), name)
            METRICS.set(series.RELAY_DRAINED, int(node["drained"]), name)
            view = NodeView(name, node["state"], drained=node["drained"], broken=node["broken"])
            METRICS.set(series.RELAY_TAKES, int(view.may_be_chosen(node["weight"])), name)
            if node["calls"] is not None:
                METRICS.set(series.RELAY_CALLS, node["calls"], name)
            else:  # it is down: what it had is no figure of now
                METRICS.remove(series.RELAY_CALLS, name)
        for trunk in self._trunks():
            METRICS.set(series.TRUNK_UP, int(trunk.state == "up"), trunk.trunk)
            METRICS.set(series.TRUNK_CALLS, trunk.calls, trunk.trunk)
            if trunk.registration:
                missing = is_missing(State(trunk.registration), trunk.registered_until, now)
                METRICS.set(series.TRUNK_UNREGISTERED, int(missing), trunk.trunk)

    def took(self, began: float) -> None:
        """A round of housekeeping is over that began then, by the performance counter."""
        now = time.perf_counter()
        self._rounds.append(now - began)
        if now - self._rounds_given >= ROUNDS_S:
            self._rounds_given = now
            METRICS.observe_all(series.TICK, self._rounds)
            self._rounds.clear()


def count_refused(method: str, status: int, term: Termination) -> None:
    """Count a request that is answered here with an error."""
    METRICS.count(series.REFUSED, method if method in _METHODS else of_calls.OTHER, str(status), term.value)


def _show_zeros() -> None:
    """Show what alerts wait for before it happens: Prometheus sees no increase in a series that begins with it."""
    for where in ("callback", "housekeeping"):
        METRICS.count(series.ERRORS, where, by=0)
    for offence in Offence:
        METRICS.count(series.BANS, offence.value, by=0)


def _version() -> str:
    try:
        return version("webrtc-ims-gateway")
    except PackageNotFoundError:
        return "unknown"


def _direction(*, from_page: bool) -> str:
    return "from_page" if from_page else "to_page"


def _media(kind: str, figures: Mapping[str, Any]) -> None:
    """Count what came in on both legs of a medium, and what its parties reported."""
    legs = {leg: figures.get(leg) or _NOTHING for leg in ("wic", "ims")}
    if not any(legs.values()):
        return
    METRICS.count(series.MEDIA, kind, of_calls.codec(legs["wic"]), of_calls.codec(legs["ims"]))
    for leg, found in legs.items():
        packets = found.get("packets", 0)
        METRICS.count(series.PACKETS, leg, kind, by=packets)
        METRICS.count(series.PACKETS_DROPPED, leg, kind, by=found.get("errors", 0))
        if not packets:
            METRICS.count(series.SILENT, leg, kind)
        heard = found.get("heard")
        if heard is None:
            continue
        if heard["samples"]:
            METRICS.observe(series.LOSS_RATIO, heard["loss_percent"] / 100, leg, kind)
            METRICS.observe(series.JITTER, heard["jitter_ms"] / 1000, leg, kind)
            if heard["round_trip_ms"]:
                METRICS.observe(series.ROUND_TRIP, heard["round_trip_ms"] / 1000, leg, kind)
        if heard["mos"]:
            METRICS.observe(series.SCORE, heard["mos"], leg, heard["mos_source"])
