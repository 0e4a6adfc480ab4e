"""Rounds of several cases as one table, and whether the bars are met.

Knows figures and bars. Must not run anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.bench.registration.measure import Round
from tests.bench.report import Bar, aligned

HELD_BAR_KB: Final = 120.0
"""Private and shared memory of all processes together for each held registration."""
RATE_BARS: Final = {"digest": 4000.0, "token": 3000.0}
"""REGISTER transactions a second, by how pages authenticate."""
STORM_BAR_S: Final = 30.0
STORM_PAGES: Final = 10_000

_ROWS: Final[tuple[tuple[str, Callable[[Round], float]], ...]] = (
    ("REGISTER transactions/s", lambda r: r.rate.transactions_per_s),
    ("registrations/s", lambda r: r.rate.registrations_per_s),
    ("gateway CPU ms for each REGISTER", lambda r: r.rate.gateway_cpu_ms),
    ("HAProxy CPU ms", lambda r: r.rate.front_cpu_ms),
    ("load generator CPU ms", lambda r: r.rate.generator_cpu_ms),
    ("scripted core CPU ms", lambda r: r.rate.core_cpu_ms),
    ("REGISTER failed", lambda r: r.rate.failed),
    ("pages held", lambda r: r.held.pages),
    ("pages missing", lambda r: r.held.missing),
    ("Kamailio private kB for each page", lambda r: r.held.private_kb),
    ("Kamailio pool kB, given out", lambda r: r.held.pool_reserved_kb),
    ("Kamailio pool kB, written to", lambda r: r.held.pool_resident_kb),
    ("HAProxy kB", lambda r: r.held.front_kb),
    ("all together kB", lambda r: r.held.total_kb),
    ("Kamailio MB before the pages", lambda r: r.held.empty_gateway_mb),
    ("HAProxy file descriptors", lambda r: r.held.most_files),
    ("pages in the storm", lambda r: r.storm.pages),
    ("storm s", lambda r: r.storm.seconds),
    ("storm retries", lambda r: r.storm.retries),
    ("storm lost", lambda r: r.storm.lost),
)


def table(rounds: Mapping[str, Sequence[Round]]) -> str:
    """Return the medians, one line for each figure and one column for each case."""
    lines = [["median of the rounds", *rounds]]
    for name, value in _ROWS:
        lines.append([name, *(f"{_median(value, runs):g}" for runs in rounds.values())])
    return aligned(lines)


def bars(rounds: Mapping[str, Sequence[Round]]) -> list[Bar]:
    """Return the promises, judged for each case."""
    found = []
    for name, runs in rounds.items():
        held = _median(lambda r: r.held.total_kb, runs)
        found.append(Bar(f"{name}: at most {HELD_BAR_KB:g} kB for each held page", held, held <= HELD_BAR_KB))
        rate = _median(lambda r: r.rate.transactions_per_s, runs)
        least = RATE_BARS.get(name.partition(",")[0])
        if least is not None:
            found.append(Bar(f"{name}: at least {least:g} REGISTER/s", rate, rate >= least))
        if min(r.storm.pages for r in runs) >= STORM_PAGES:
            storm_s = _median(lambda r: r.storm.seconds, runs)
            found.append(
                Bar(f"{name}: at most {STORM_BAR_S:g} s until all are back", storm_s, storm_s <= STORM_BAR_S)
            )
        lost = max(r.storm.lost + r.held.missing + r.rate.failed for r in runs)
        found.append(Bar(f"{name}: nothing lost in any round", lost, lost == 0))
    return found


def _median(value: Callable[[Round], float], runs: Sequence[Round]) -> float:
    return statistics.median(value(run) for run in runs)
