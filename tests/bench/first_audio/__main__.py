"""Command line: `python -m tests.bench.first_audio`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import click

from tests.bench.cpu import calibrate
from tests.bench.delay_line import NoDelayLineError
from tests.bench.first_audio.cases import CASES_BY_NAME, Case
from tests.bench.first_audio.measure import measure, open_core
from tests.bench.first_audio.report import Cell, bars, table
from tests.bench.first_audio.sites import site

OUTPUT = Path(__file__).parents[3] / "build" / "bench"
LOOPBACK = "loopback"


def network_name(one_way_ms: float) -> str:
    """Return the report's name of a network."""
    return f"{one_way_ms:g} ms each way" if one_way_ms else LOOPBACK


async def cells_of(cases: Sequence[Case], one_way_ms: float, calls: int, client: str) -> list[Cell]:
    """Measure cases on one network, gateway by gateway."""
    found: list[Cell] = []
    async with open_core() as core:
        for through, same in groupby(cases, lambda case: case.through):
            group = tuple(same)
            with site(through, one_way_ms / 1000, core.address[1]) as running:
                one_way_s, times = await measure(
                    running, group, calls, client, core, lambda line: click.echo(line, err=True)
                )
            found += [
                Cell(case, network_name(one_way_ms), one_way_s, client, times[case.name]) for case in group
            ]
    return found


@click.command()
@click.option("--calls", default=30, show_default=True, help="Calls of each case on each network.")
@click.option("--cases", "names", default=",".join(CASES_BY_NAME), show_default=True, help="Comma list.")
@click.option("--delays", default="0,50", show_default=True, help="Milliseconds each way, comma list.")
@click.option("--client", type=click.Choice(["aiortc", "chromium"]), default="aiortc", show_default=True)
@click.option("--strict", is_flag=True, help="Fail when a bar is broken.")
def main(calls: int, names: str, delays: str, client: str, strict: bool) -> None:
    """Measure answer to first sound, print one table and write JSON to build/bench."""
    unknown = sorted(set(names.split(",")) - CASES_BY_NAME.keys())
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; known: {', '.join(CASES_BY_NAME)}")
    cases = [CASES_BY_NAME[name] for name in names.split(",")]
    machine = calibrate()
    cells: list[Cell] = []
    for one_way_ms in map(float, delays.split(",")):
        try:
            cells += asyncio.run(cells_of(cases, one_way_ms, calls, client))
        except NoDelayLineError as error:
            click.echo(f"skipped: {network_name(one_way_ms)}: {error}")
            continue
        click.echo(f"done: {network_name(one_way_ms)}", err=True)
    if not cells:
        return
    click.echo(machine.to_text())
    click.echo(f"milliseconds after the callee's 200, p50/p95; client: {client}")
    click.echo(table(cells))
    judged = bars(cells)
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"first-audio-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    data = {"machine": asdict(machine), "cells": [cell.to_json() for cell in cells]}
    path.write_text(json.dumps(data, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
