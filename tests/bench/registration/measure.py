"""The three measurements of one round: the rate, the memory of held pages, the storm.

Knows the order in which they are made and why. Must not know how pages or the gateway are started.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from tests.bench.cpu import tree_cpu_s
from tests.bench.registration.memory import open_files, resident, shared_pool_used
from tests.bench.registration.pages import Outcome, Task
from tests.bench.registration.site import RegistrationSite
from tests.bench.registration.swarm import Swarm

SETTLE_S: Final = 6.0
"""Longer than an answered transaction lives (tm wt_timer, 5 s): what is left then is what a held page costs."""
_PATIENCE_S: Final = 120.0
_AT_ONCE: Final = 100
_SOCKET_PATIENCE_S: Final = 5.0
"""So long a WebSocket may take to open: what SIP.js allows when nobody says otherwise, and our SDK."""


PROCESSES: Final = 2
"""Load clients, one for each core of a small machine; pages are divided among them."""


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    rate_pages: int = 200
    rate_s: float = 5.0
    held: int = 5000
    storm: int = 2000


@dataclass(frozen=True)
class Rate:
    """All rate pages registering again and again, one REGISTER of each under way."""

    transactions: int
    transactions_per_s: float
    registrations_per_s: float
    gateway_cpu_ms: float
    """CPU for each REGISTER transaction, a challenged one included; so are the others."""
    front_cpu_ms: float
    generator_cpu_ms: float
    core_cpu_ms: float
    failed: int


@dataclass(frozen=True)
class Held:
    """Kilobytes (1000 bytes) for each registered page held through HAProxy over TLS."""

    pages: int
    missing: int
    """Pages that should have been held and were not."""
    private_kb: float
    """Growth of Kamailio's private memory, all processes."""
    pool_resident_kb: float
    """Growth of its shared memory that was ever written to."""
    pool_reserved_kb: float
    """Growth of its shared memory that is given out, written to or not (RPC core.shmmem)."""
    front_kb: float
    empty_gateway_mb: float
    """Resident memory of Kamailio after the rate measurement, before the pages."""
    most_files: int
    """File descriptors of the process of HAProxy that has most."""
    reasons: dict[str, int]
    """Why pages are missing."""

    @property
    def total_kb(self) -> float:
        """What is judged: everything private, and of the pool the larger of given out and written to."""
        return self.private_kb + max(self.pool_resident_kb, self.pool_reserved_kb) + self.front_kb


@dataclass(frozen=True)
class Storm:
    """All sockets reset at once, all pages back at once."""

    pages: int
    seconds: float
    """From the first connect to the last 200 to REGISTER."""
    lost: int
    retries: int
    reasons: dict[str, int]
    """Why pages had to try again."""


@dataclass(frozen=True)
class Round:
    """One gateway from its start to its end."""

    rate: Rate
    held: Held
    storm: Storm


def one_round(site: RegistrationSite, pages: Swarm, plan: Plan) -> Round:
    """Measure everything on a gateway that has just started.

    The rate comes first: it also brings the gateway to its working size, so that what grows afterwards grows by the
    held pages.
    """
    rate = measure_rate(site, pages, plan)
    held = measure_held(site, pages, plan)
    return Round(rate, held, measure_storm(pages, plan))


def measure_rate(site: RegistrationSite, pages: Swarm, plan: Plan) -> Rate:
    """Open the rate pages and let them register for a while."""
    opened = pages.run(Task("open", plan.rate_pages, _AT_ONCE, _PATIENCE_S, again=True))
    pages.run(
        Task("refresh", seconds=SETTLE_S)
    )  # until then each transaction takes memory nobody has touched yet
    site.core.cpu_s()
    gateway_s, front_s = tree_cpu_s([site.gateway_pid]), tree_cpu_s(site.front_pids)
    seen = pages.run(Task("refresh", seconds=plan.rate_s))
    gateway_s = tree_cpu_s([site.gateway_pid]) - gateway_s
    front_s = tree_cpu_s(site.front_pids) - front_s
    number, elapsed_s = max(1, seen.transactions), seen.ended_at_s - seen.began_at_s

    def each(cpu_s: float) -> float:
        return round(1000 * cpu_s / number, 3)

    return Rate(
        transactions=seen.transactions,
        transactions_per_s=round(seen.transactions / elapsed_s, 1),
        registrations_per_s=round(seen.successes / elapsed_s, 1),
        gateway_cpu_ms=each(gateway_s),
        front_cpu_ms=each(front_s),
        generator_cpu_ms=each(seen.cpu_s),
        core_cpu_ms=each(site.core.cpu_s()),
        failed=plan.rate_pages - opened.registered + _failed(seen),
    )


def measure_held(site: RegistrationSite, pages: Swarm, plan: Plan) -> Held:
    """Open pages up to the number to be held and see what memory grew by."""
    time.sleep(SETTLE_S)
    gateway, front = resident([site.gateway_pid]), resident(site.front_pids)
    pool = shared_pool_used(site.rpc)
    opened = pages.run(Task("open", plan.held - plan.rate_pages, _AT_ONCE, _PATIENCE_S, again=True))
    time.sleep(SETTLE_S)
    more, more_front = resident([site.gateway_pid]) - gateway, resident(site.front_pids) - front
    new = max(1, opened.registered - plan.rate_pages)

    def each(size: int) -> float:
        return round(size / 1000 / new, 1)

    return Held(
        pages=opened.registered,
        missing=plan.held - opened.registered,
        private_kb=each(more.private + more.files),
        pool_resident_kb=each(more.shared),
        pool_reserved_kb=each(shared_pool_used(site.rpc) - pool),
        front_kb=each(more_front.total),
        empty_gateway_mb=round(gateway.total / 1e6, 1),
        most_files=open_files(site.front_pids),
        reasons=opened.failures,
    )


def measure_storm(pages: Swarm, plan: Plan) -> Storm:
    """Reset some of the held pages' connections and let them come back together, at once, and as the SDK's pages where
    that fails."""
    pages.run(Task("drop", plan.storm))
    back = pages.run(Task("back", at_once=plan.storm, seconds=_PATIENCE_S, patience_s=_SOCKET_PATIENCE_S))
    return Storm(
        pages=plan.storm,
        seconds=round(back.ended_at_s - back.began_at_s, 2),
        lost=plan.held - back.registered,
        retries=back.retries,
        reasons=back.failures,
    )


def _failed(outcome: Outcome) -> int:
    return sum(outcome.failures.values())
