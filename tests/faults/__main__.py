"""Command line: `python -m tests.faults --only kamailio-killed,redis-stopped --calls 20 --rate 5`."""

from __future__ import annotations

import asyncio

import click

from tests.bench.cpu import calibrate
from tests.faults.faults import BY_NAME, FAULTS
from tests.faults.report import REPOSITORY, table
from tests.faults.rows import Row
from tests.faults.scale import Scale
from tests.faults.suite import run, written


@click.command()
@click.option("--only", default="", help="Comma list of faults.")
@click.option("--calls", default=Scale.running, show_default=True, help="Calls that stand.")
@click.option("--rate", default=Scale.per_s, show_default=True, help="New calls each second.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(only: str, calls: int, rate: float, strict: bool) -> None:
    """Let faults strike, print the table, and write JSON to build/faults."""
    names = set(only.split(",")) if only else BY_NAME.keys()
    if unknown := names - BY_NAME.keys():
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; known: {', '.join(BY_NAME)}")
    machine = calibrate()
    scale = Scale(calls, rate, min(Scale.heard, calls))
    faults = [fault for fault in FAULTS if fault.name in names]
    rows: list[Row] = []
    try:
        asyncio.run(run(faults, scale, lambda line: click.echo(line, err=True), rows))
    finally:  # what is known is kept
        click.echo(table(rows))
        click.echo(f"written: {written(rows, scale, machine).relative_to(REPOSITORY)}")
    if strict and any(row.broken for row in rows):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
