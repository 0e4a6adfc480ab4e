"""Command line: `python -m tests.bench.soak --hours 1`."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tests.bench.cpu import calibrate
from tests.bench.soak.measure import soak, soak_lab
from tests.bench.soak.report import bars, text, to_json

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
SAMPLES: Final = 60
_EVERY_S: Final = (5.0, 60.0)
"""Between two looks: not more often, not more seldom."""


@click.command()
@click.option("--hours", default=1.0, show_default=True)
@click.option("--rate", default=5.0, show_default=True, help="Calls begun each second.")
@click.option("--slots", default=60, show_default=True, help="Pages, each with one call at a time.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(hours: float, rate: float, slots: int, strict: bool) -> None:
    """Play mixed calls, print what failed and what grew, and write JSON to build/bench."""
    machine = calibrate()
    seconds = hours * 3600
    every_s = min(max(seconds / SAMPLES, _EVERY_S[0]), _EVERY_S[1])
    with soak_lab(slots) as lab:
        found = asyncio.run(soak(lab, seconds, rate, slots, every_s, lambda line: click.echo(line, err=True)))
        OUTPUT.mkdir(parents=True, exist_ok=True)
        if found.failures:
            shutil.copy(Path(lab.info.log_dir) / "gateway.log", OUTPUT / "soak-gateway.log")
    click.echo(machine.to_text())
    click.echo(text(found))
    judged = bars(found)
    for bar in judged:
        click.echo(bar.to_text())
    path = OUTPUT / f"soak-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"machine": asdict(machine), "rate": rate, **to_json(found)}, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
