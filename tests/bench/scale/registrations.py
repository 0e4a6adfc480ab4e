"""REGISTER and calls to pages with few and with many registrations held.

Knows the steps and what is measured at each. Pages speak WebSocket without TLS, straight to Kamailio: HAProxy's cost of
a page does not depend on the others (`tests.bench.registration` measures it). A process may have 20,000 descriptors at
most where this was written, and Kamailio has all connections in one: beyond ``connections`` the registrations are of
pages that have lost theirs, which the gateway keeps for ``gateway_flow_recovery_s``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.bench.registration.measure import PROCESSES
from tests.bench.registration.pages import PagesOrder, Task
from tests.bench.registration.site import CoreProcess, core
from tests.bench.registration.swarm import Swarm, swarm
from tests.bench.scale.processes import Processes, Spent
from tests.bench.targets import LOOPBACK, RELAY, WORKERS
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.roles import role_defaults
from tests.lab.subscribers import REALM

STEPS: Final = (100, 10_000, 50_000)
CONNECTIONS: Final = 18_000
SETTLE_S: Final = 6.5
"""Longer than an answered transaction lives."""
_AT_ONCE: Final = 100
_PATIENCE_S: Final = 200.0
_BUSY_PAGES: Final = 100
_LONG_S: Final = 3600
_MEDIA_PORTS: Final = 2000


@dataclass
class AtSize:
    """What was measured with so many registrations held."""

    held: int
    connected: int
    """How many of them have their connection."""
    idle_cores: float
    """CPU seconds a second when nothing happens but keep-alives."""
    idle_by_kind: dict[str, float]
    """The same by kind of process."""
    register_ms: float
    """Kamailio's CPU of one REGISTER transaction, of pages that refresh."""
    register_by_kind: dict[str, float]
    register_redis: dict[str, float]
    new_page_ms: float
    """Of a page's handshake with its first two REGISTER transactions."""
    call_to_page_ms: float
    """Of an INVITE of the core to a page that is busy."""
    lost_page_ms: float
    """Of a page that loses its connection."""
    memory_mb: dict[str, float]
    failures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """Everything but the pages."""

    order: PagesOrder
    core: CoreProcess
    processes: Processes


def measure(
    steps: Sequence[int], connections: int, seconds: float, *, settle_s: float = SETTLE_S
) -> Iterator[AtSize]:
    """Hold more and more registrations and yield what is measured at each step."""
    with site(max(steps), connections) as running, swarm(running.order, 2 * max(steps), PROCESSES) as pages:
        held = _Held(pages, connections, settle_s)
        pages.run(Task("open", _BUSY_PAGES, _AT_ONCE, _PATIENCE_S))
        pages.run(Task("refresh", seconds=min(2.0, seconds)))  # the code is warm
        held.number = held.connected = _BUSY_PAGES
        for step in steps:
            held.reach(step)
            time.sleep(settle_s)
            yield _measure(running, pages, held, seconds)


class _Held:
    """How many registrations there are, and how many of them have their connection."""

    def __init__(self, pages: Swarm, connections: int, settle_s: float) -> None:
        self._pages = pages
        self._most = connections
        self._settle_s = settle_s
        self.number = self.connected = 0
        self.failures: dict[str, int] = {}

    def open(self, number: int) -> None:
        """Let so many new pages register."""
        outcome = self._pages.run(Task("open", number, _AT_ONCE, _PATIENCE_S))
        for reason, count in outcome.failures.items():
            self.failures[reason] = self.failures.get(reason, 0) + count
        self.number += number
        self.connected += number

    def lose(self, number: int) -> None:
        """Let so many of the connected pages lose their connection, the oldest first."""
        lost_before = self.number - self.connected
        self._pages.run(Task("drop", lost_before + number))
        self.connected -= number

    def reach(self, number: int) -> None:
        """Get so many registrations."""
        while self.number < number:
            if self.connected >= self._most:
                self.lose(self.connected - max(_BUSY_PAGES, self._most // 20))
                time.sleep(self._settle_s + 2)  # their buffers are given back
            self.open(min(number - self.number, self._most - self.connected))


def _measure(running: Site, pages: Swarm, held: _Held, seconds: float) -> AtSize:
    number, connected = held.number, held.connected
    memory = running.processes.memory_mb()
    with running.processes.spending() as idle:
        time.sleep(seconds)
    with running.processes.spending() as refreshing:
        refreshed = pages.run(Task("refresh", _BUSY_PAGES, seconds=seconds))
    with running.processes.spending() as calling:
        calls = running.core.ask(f"call {int(100 * seconds)} 10 {_BUSY_PAGES}")
    new = int(40 * seconds) // PROCESSES * PROCESSES
    with running.processes.spending() as opening:
        held.open(new)
        time.sleep(0.5)
    with running.processes.spending() as losing:
        held.lose(new)
        time.sleep(1.0)
    answered = calls["statuses"].get("486", 0)
    return AtSize(
        held=number,
        connected=connected,
        idle_cores=round(idle.cpu_s / idle.seconds, 4),
        idle_by_kind=_rounded(idle, idle.seconds),
        register_ms=_ms(refreshing, idle, refreshed.transactions),
        register_by_kind=_rounded(refreshing, refreshed.transactions / 1000),
        register_redis=refreshing.redis_per(idle, refreshed.transactions),
        new_page_ms=_ms(opening, idle, new),
        call_to_page_ms=_ms(calling, idle, answered),
        lost_page_ms=_ms(losing, idle, new),
        memory_mb=memory,
        failures={
            **held.failures,
            **refreshed.failures,
            **{f"call {status}": count for status, count in calls["statuses"].items() if status != "486"},
        },
    )


def _ms(spent: Spent, idle: Spent, number: int) -> float:
    return round(1000 * spent.without(idle) / max(1, number), 3)


def _rounded(spent: Spent, by: float) -> dict[str, float]:
    return {kind: round(used_s / by, 4) for kind, used_s in spent.by_kind.items() if used_s / by >= 0.0005}


@contextmanager
def site(registrations: int, connections: int) -> Iterator[Site]:
    """Run gateway, Redis, relay and the core, with the sizes that the role gives for so many."""
    with core("tests.bench.scale.core") as registrar:
        defaults = role_defaults("kamailio")
        variables: dict[str, Any] = {
            **NO_LIMITS,
            "gateway_icscf_uris": [f"sip:{LOOPBACK}:{registrar.port}"],
            "gateway_flow_recovery_s": _LONG_S,
            "kamailio_udp_workers": WORKERS,
            "kamailio_tcp_workers": WORKERS,
            "kamailio_pages": max(connections, registrations // 3),
            "kamailio_tcp_max_connections": connections + 1500,
            "kamailio_debug": 1,
            "kamailio_udp_mtu": 0,  # the core speaks UDP only
            **{name: defaults[name] for name in ("kamailio_shm_mb", "kamailio_tcp_rd_buf_size")},
        }
        parts = frozenset({Part.REDIS, Part.RTPENGINE, Part.GATEWAY})
        options = LabOptions(
            parts=parts,
            phones=(),
            media_ports=_MEDIA_PORTS,
            role_variables={"kamailio": variables, "rtpengine": RELAY},
        )
        with Lab(options) as lab:
            info = lab.info
            yield Site(
                PagesOrder(
                    LOOPBACK,
                    info.gateway.ws_port,
                    info.web.origin,
                    REALM,
                    source=LOOPBACK,
                    tls=False,
                    headers={"X-Forwarded-For": "198.51.100.7"},
                ),
                registrar,
                Processes(info.processes["gateway"], lab.gateway_rpc, info.redis_url or ""),
            )
