"""Command line: `python -m tests.bench.mixed --calls 1000`."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.bench.cpu import calibrate
from tests.bench.mixed.remains import relay_totals
from tests.bench.mixed.report import bars, text, to_json
from tests.bench.mixed.run import mixed_lab, run
from tests.bench.mixed.scenarios import SCENARIOS

OUTPUT = Path(__file__).parents[3] / "build" / "bench"


@click.command()
@click.option("--calls", default=1000, show_default=True)
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same calls.")
@click.option("--at-once", default=50, show_default=True, help="Calls that run side by side.")
@click.option("--only", default="", help="Comma list of scenarios.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(calls: int, seed: int, at_once: int, only: str, strict: bool) -> None:
    """Play mixed calls, print what ran and what was left, and write JSON to build/bench."""
    names = set(only.split(",")) if only else {s.name for s in SCENARIOS}
    unknown = names - {s.name for s in SCENARIOS}
    if unknown:
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))}; known: {', '.join(s.name for s in SCENARIOS)}"
        )
    machine = calibrate()
    with mixed_lab(at_once) as lab:
        chosen = [s for s in SCENARIOS if s.name in names]
        outcome = asyncio.run(run(lab, chosen, calls, seed, at_once))
        OUTPUT.mkdir(parents=True, exist_ok=True)
        if outcome.failures:
            shutil.copy(Path(lab.info.log_dir) / "gateway.log", OUTPUT / "mixed-gateway.log")
        totals = [line for line in relay_totals(lab).splitlines() if "sessions" in line]
    click.echo(machine.to_text())
    click.echo(text(outcome))
    click.echo("\n".join(totals))
    judged = bars(outcome)
    for bar in judged:
        click.echo(bar.to_text())
    path = OUTPUT / f"mixed-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(
        json.dumps({"machine": asdict(machine), "seed": seed, "outcome": to_json(outcome)}, indent=1)
    )
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
