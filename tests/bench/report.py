"""A comparison as one table, and whether the bars are met.

Knows figures and bars. Must not run anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.results import RunResult
from tests.bench.runner import CLOSED_LOOP, HALF_LOAD, Cell, Comparison

FIXED_RATE_BAR: Final = 100.0
"""Calls per second at which the added latency is judged."""

_COLUMNS: Final[tuple[tuple[str, Callable[[RunResult], float]], ...]] = (
    ("calls/s", lambda run: run.calls_per_s),
    ("gateway CPU ms", lambda run: run.gateway_cpu_ms),
    ("media CPU ms", lambda run: run.media_cpu_ms),
    ("set-up p50", lambda run: run.setup_ms.p50),
    ("p95", lambda run: run.setup_ms.p95),
    ("p99", lambda run: run.setup_ms.p99),
    ("added p50", lambda run: run.added_ms.p50),
    ("p95", lambda run: run.added_ms.p95),
    ("p99", lambda run: run.added_ms.p99),
    ("page p50", lambda run: run.page_ms.p50),
    ("generator CPU ms", lambda run: run.generator_cpu_ms),
    ("callee CPU ms", lambda run: run.callee_cpu_ms),
)


@dataclass(frozen=True)
class Bar:
    """A promise and what was measured."""

    promise: str
    value: float
    kept: bool

    def to_text(self) -> str:
        """One line."""
        return f"{'kept  ' if self.kept else 'BROKEN'} {self.promise}: {self.value:.3f}"


def table(comparison: Comparison) -> str:
    """Return the medians over the rounds, one line per target and mode; times in milliseconds."""
    rows = [["target", "mode", "failed", *(name for name, _ in _COLUMNS)]]
    for cell in comparison.cells:
        failed = sum(sum(run.failures.values()) for run in cell.runs)
        figures = [f"{cell.median(value):.2f}" for _, value in _COLUMNS]
        rows.append([cell.target, cell.mode, str(failed), *figures])
    return f"{comparison.machine.to_text()}\n{aligned(rows)}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines with straight columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(lines)


def bars(comparison: Comparison) -> list[Bar]:
    """Return the promises that this comparison can judge."""
    measured = {(cell.target, cell.mode): cell for cell in comparison.cells}
    found: list[Bar] = []
    closed = CLOSED_LOOP.name
    if ("native", closed) in measured and ("kemi", closed) in measured:
        ratio = statistics.median(
            kemi.calls_per_s / native.calls_per_s
            for kemi, native in zip(
                measured["kemi", closed].runs, measured["native", closed].runs, strict=True
            )
        )
        found.append(Bar("plain KEMI calls/s at least 0.95 of native", ratio, ratio >= 0.95))
    for mode in comparison.plan.modes:
        kemi, full = measured.get(("kemi", mode.name)), measured.get(("full", mode.name))
        if kemi and full:
            plain = kemi.median(lambda run: run.gateway_cpu_ms)
            share = full.median(lambda run: run.gateway_cpu_ms) / plain
            found.append(Bar(f"full flow CPU at most 3 plain calls, {mode.name}", share, share <= 3))
        if full and mode.rate == FIXED_RATE_BAR:
            added = full.median(lambda run: run.added_ms.p95)
            found.append(Bar(f"added set-up p95 at most 10 ms, {mode.name}", added, added <= 10))
    return found + _flow_bars(measured)


def _flow_bars(measured: Mapping[tuple[str, str], Cell]) -> list[Bar]:
    """Return those of the full flow."""
    found: list[Bar] = []
    for target, least in (("signalling", 1000), ("full", 400)):
        if closed := measured.get((target, CLOSED_LOOP.name)):
            rate = closed.median(lambda run: run.calls_per_s)
            found.append(Bar(f"{target}: at least {least} calls/s", rate, rate >= least))
            cost = closed.median(lambda run: run.gateway_cpu_ms)
            found.append(Bar(f"{target}: at most 1.5 ms of gateway CPU for each call", cost, cost <= 1.5))
        if half := measured.get((target, HALF_LOAD.name)):
            for name, most in (("p50", 3.0), ("p99", 10.0)):
                # The page's own part differs from call to call: its median is taken off both.
                added = half.median(lambda run, name=name: getattr(run.added_ms, name) - run.page_ms.p50)  # type: ignore[misc]
                found.append(
                    Bar(
                        f"{target}: INVITE in to out {name} at most {most:g} ms, half load",
                        added,
                        added <= most,
                    )
                )
    return found
