"""Command line of the benchmark: `python -m tests.bench --targets native,kemi,full,signalling`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from tests.bench.report import FIXED_RATE_BAR, bars, table
from tests.bench.runner import CLOSED_LOOP, HALF_LOAD, Mode, Plan, compare, comparison_to_json
from tests.bench.targets import TARGETS

OUTPUT = Path(__file__).parents[2] / "build" / "bench"


@click.command()
@click.option("--targets", default="native,kemi,full,signalling", show_default=True, help="Comma list.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="Length of one measured run.")
@click.option(
    "--rate", default=FIXED_RATE_BAR, show_default=True, help="Calls/s of the fixed rate mode; 0: none."
)
@click.option("--connections", default=20, show_default=True)
@click.option("--processes", default=1, show_default=True, help="Load client processes.")
@click.option("--strict", is_flag=True, help="Fail when a bar is broken.")
def main(
    targets: str, rounds: int, seconds: float, rate: float, connections: int, processes: int, strict: bool
) -> None:
    """Compare gateways under load, print one table and write JSON to build/bench."""
    names = tuple(targets.split(","))
    unknown = sorted(set(names) - TARGETS.keys())
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; known: {', '.join(TARGETS)}")
    modes = (CLOSED_LOOP, HALF_LOAD, *([Mode(f"{rate:g}/s", rate)] if rate else []))
    plan = Plan(names, modes, rounds, seconds, connections, processes)
    comparison = compare(plan, TARGETS, lambda line: click.echo(line, err=True))
    click.echo(table(comparison))
    judged = bars(comparison)
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(comparison_to_json(comparison))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
