"""What was measured as tables, and whether the bars are met.

Knows figures and bars. Must not run anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.bench.full_call.measure import Calls, Run
from tests.bench.full_call.sites import CASES
from tests.bench.report import Bar, aligned
from tests.bench.results import percentiles

CPU_BAR_MS: Final = 4.0
OURS: Final = ("update", "two-way")


@dataclass(frozen=True)
class Redials:
    """Calls that followed each other on one page, of one case."""

    case: str
    pages: int
    calls: Calls

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        calls = self.calls
        return {
            "case": self.case,
            "pages": self.pages,
            "calls": calls.tried,
            "heard": calls.heard,
            "silent": calls.silent,
            "failures": dict(calls.failures),
            "strange": calls.strange,
            "heard_ms": asdict(percentiles(calls.heard_s)),
        }


def table(runs: Sequence[Run]) -> str:
    """Return the medians of each case's runs, milliseconds of CPU for each call."""
    parts = list(dict.fromkeys(part for run in runs for part in run.cpu_ms))
    head = ["case", "calls", "silent", "failed", "calls/s", "CPU ms/call", "without idle", *parts]
    rows = [[*head, "generator", "late ms", "connected p50", "p95", "heard p50", "p95", "packets"]]
    for case in dict.fromkeys(run.case for run in runs):
        own = [run for run in runs if run.case == case]
        rows.append(
            [
                CASES[case][1],
                str(sum(run.calls for run in own)),
                str(sum(run.silent for run in own)),
                str(sum(sum(run.failures.values()) for run in own)),
                f"{_median(own, lambda run: run.calls_per_s):.1f}",
                f"{_median(own, lambda run: run.total_ms):.2f}",
                f"{_median(own, lambda run: run.net_ms):.2f}",
                *(f"{_part(own, part):.2f}" if part in own[0].cpu_ms else "-" for part in parts),
                f"{_median(own, lambda run: run.generator_cpu_ms):.2f}",
                f"{max(run.late_ms for run in own):.0f}",
                f"{_median(own, lambda run: run.connected_ms.p50):.0f}",
                f"{_median(own, lambda run: run.connected_ms.p95):.0f}",
                f"{_median(own, lambda run: run.heard_ms.p50):.0f}",
                f"{_median(own, lambda run: run.heard_ms.p95):.0f}",
                f"{_median(own, lambda run: run.packets_per_call):.1f}",
            ]
        )
    return aligned(rows)


def redials_to_text(found: Redials) -> str:
    """One line."""
    calls = found.calls
    failed = ", ".join(f"{reason}: {count}" for reason, count in calls.failures.items()) or "none"
    heard = percentiles(calls.heard_s)
    return (
        f"{CASES[found.case][1]}: {calls.tried} calls on {found.pages} pages, each 0.7 s after the BYE before:"
        f" {calls.silent} silent, failed {failed}; both heard after {heard.p50:.0f} ms (p95 {heard.p95:.0f})"
    )


def bars(runs: Sequence[Run], redials: Sequence[Redials]) -> list[Bar]:
    """Judge ours; the others are there to compare with."""
    found = []
    for case in OURS:
        own = [run for run in runs if run.case == case]
        if own:
            used = _median(own, lambda run: run.total_ms)
            promise = f"{CASES[case][1]}: CPU of all parts at most {CPU_BAR_MS:g} ms for each call"
            found.append(Bar(promise, used, used <= CPU_BAR_MS))
            bad = sum(run.silent + run.strange + sum(run.failures.values()) for run in own)
            found.append(Bar(f"{CASES[case][1]}: calls silent or failed, strange packets", bad, not bad))
    for one in redials:
        if one.case in OURS:
            bad = one.calls.silent + one.calls.strange + one.calls.failures.total()
            found.append(
                Bar(f"{CASES[one.case][1]}: redials silent or failed, strange packets", bad, not bad)
            )
    return found


def _median(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(value(run) for run in runs)


def _part(runs: Sequence[Run], part: str) -> float:
    return _median(runs, lambda run: run.cpu_ms[part])
