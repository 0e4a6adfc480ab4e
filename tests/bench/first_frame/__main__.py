"""Command line: `python -m tests.bench.first_frame`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tests.bench.cpu import calibrate
from tests.bench.first_frame.measure import (
    CASES,
    CHROMIUM,
    FIREFOX,
    FrameTimes,
    cases_of,
    open_world,
)
from tests.bench.report import Bar, aligned
from tests.bench.results import percentiles

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
BAR_S: Final = 1.0


async def run(names: list[str], calls: int, browser: str = CHROMIUM) -> dict[str, list[FrameTimes | None]]:
    """Make that many calls of each case, in turns; None for one in which an end saw nothing."""
    found: dict[str, list[FrameTimes | None]] = {name: [] for name in names}
    async with open_world(browser) as world:
        for _ in range(calls):
            for name in names:
                try:
                    found[name].append(await world.measure(CASES[name]))
                except (AssertionError, TimeoutError) as error:
                    click.echo(f"{name}: {error}", err=True)
                    found[name].append(None)
    return found


def report(found: dict[str, list[FrameTimes | None]]) -> tuple[str, list[Bar]]:
    """Return a table of milliseconds, p50/p95, and whether every call saw its first picture within a second."""
    rows = [["case", "calls", "failed", "page sees", "phone sees"]]
    bars = []
    for name, calls in found.items():
        seen = [call for call in calls if call is not None]
        pages, phones = (percentiles([getattr(call, end) for call in seen]) for end in ("page_s", "phone_s"))
        rows.append(
            [
                CASES[name].label,
                str(len(calls)),
                str(len(calls) - len(seen)),
                f"{pages.p50:.0f}/{pages.p95:.0f}",
                f"{phones.p50:.0f}/{phones.p95:.0f}",
            ]
        )
        slowest_s = max((max(call.page_s, call.phone_s) for call in seen), default=0.0)
        kept = len(seen) == len(calls) and slowest_s < BAR_S
        bars.append(Bar(f"{CASES[name].label}: first picture at both ends in less than 1 s", slowest_s, kept))
    return aligned(rows), bars


@click.command()
@click.option("--calls", default=20, show_default=True, help="Calls of each case.")
@click.option("--cases", "names", default="", help=f"Comma list of {', '.join(CASES)}; all if not given.")
@click.option("--browser", type=click.Choice([CHROMIUM, FIREFOX]), default=CHROMIUM, show_default=True)
@click.option("--strict", is_flag=True, help="Fail when a bar is broken.")
def main(calls: int, names: str, browser: str, strict: bool) -> None:
    """Measure the time to the first picture, print one table and write JSON to build/bench."""
    wanted = names.split(",") if names else cases_of(browser)
    if unknown := sorted(set(wanted) - CASES.keys()):
        raise click.BadParameter(f"{', '.join(unknown)}; known: {', '.join(CASES)}")
    machine = calibrate()
    found = asyncio.run(run(wanted, calls, browser))
    table, bars = report(found)
    click.echo(machine.to_text())
    click.echo(
        f"milliseconds after the phone's message, p50/p95; {browser}; the phone never asks for a key frame"
    )
    click.echo(table)
    for bar in bars:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"first-frame-{browser}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    data = {
        "machine": asdict(machine),
        "cases": {name: [None if c is None else asdict(c) for c in calls] for name, calls in found.items()},
    }
    path.write_text(json.dumps(data, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in bars):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
