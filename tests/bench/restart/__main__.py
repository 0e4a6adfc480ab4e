"""Command line: `python -m tests.bench.restart`."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aioice.ice
import click

from tests.bench.cpu import calibrate
from tests.bench.report import Bar, aligned
from tests.bench.restart.measure import Restart, measure, restart_options
from tests.lab.lab import Lab
from tests.lab.proof import wait_clean

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
WAYS: Final = ("SIGTERM", "SIGKILL")
WORKING_BAR: Final = 0.99
RELAYED_BAR: Final = 0.99
CLEAN_WITHIN_S: Final = 60.0


def table(found: Sequence[Restart]) -> str:
    """Return one line for each restart."""
    rows = [
        ["restart by", "calls", "away s", "all pages back s", "pages lost", "packets relayed", "calls silent",
         "sound heard", "longest gap ms", "calls that failed"],
    ]  # fmt: skip
    for one in found:
        rows.append(
            [one.how, str(one.calls), f"{one.away_s:.1f}", f"{one.back_s:.1f}", str(one.lost_pages),
             f"{one.relayed:.4f}", str(one.silent), f"{min(one.heard, default=0.0):.3f}",
             f"{1000 * one.longest_gap_s:.0f}", str(len(one.failed))]
        )  # fmt: skip
    return aligned(rows)


def bars(one: Restart) -> list[Bar]:
    """Return the promises of one restart."""
    working = 1 - len(one.failed) / one.calls
    return [
        Bar(f"{one.how}: share of calls that can do everything", working, working >= WORKING_BAR),
        Bar(f"{one.how}: share of packets relayed meanwhile", one.relayed, one.relayed >= RELAYED_BAR),
    ]


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.option("--calls", default=200, show_default=True)
@click.option("--sound", default=6, show_default=True, help="Calls more, with real media at both ends.")
@click.option("--way", type=click.Choice([*WAYS, "both"]), default="both", show_default=True)
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(calls: int, sound: int, way: str, strict: bool) -> None:
    """Restart Kamailio under answered calls, print one table and write JSON to build/bench."""
    machine = calibrate()
    # Both ends are in this process: one candidate for each line is enough.
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    found = []
    with Lab(restart_options()) as lab:
        for how in WAYS if way == "both" else (way,):
            OUTPUT.mkdir(parents=True, exist_ok=True)
            try:
                found.append(asyncio.run(measure(lab, how, calls, sound, _say)))
            finally:
                shutil.copy(Path(lab.info.log_dir) / "gateway.log", OUTPUT / f"restart-{how}-gateway.log")
            wait_clean(lab, CLEAN_WITHIN_S)
    click.echo(machine.to_text())
    click.echo(table(found))
    for one in found:
        steps = Counter((step, why) for failed in one.failed.values() for step, why in failed.items())
        for (step, why), count in steps.most_common():
            click.echo(f"{one.how}: {count} x {step}: {why}")
    judged = [bar for one in found for bar in bars(one)]
    for bar in judged:
        click.echo(bar.to_text())
    path = OUTPUT / f"restart-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(
        json.dumps({"machine": asdict(machine), "restarts": [asdict(one) for one in found]}, indent=1)
    )
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
