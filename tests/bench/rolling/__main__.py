"""Command line: `python -m tests.bench.rolling`; as root, for machines are network namespaces."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tests.bench.cpu import calibrate
from tests.bench.report import Bar, aligned
from tests.bench.results import percentiles
from tests.bench.rolling.load import Load, LoadPage, Outcome
from tests.bench.rolling.machines import HUB
from tests.bench.rolling.site import CORE_PORT, ORIGIN, Site, Upgraded, site
from tests.peers.core import ScriptedCore

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
_BETWEEN_S: Final = 4.0
_AT_ONCE: Final = 10


async def measure(running: Site, pages: int, rate: float, hold_s: float) -> tuple[Outcome, list[Upgraded]]:
    """Upgrade both nodes under calls."""
    outcome = Outcome()
    async with ScriptedCore(HUB, CORE_PORT) as core:
        every = [LoadPage(running.url, ORIGIN, number, outcome) for number in range(pages)]
        load = Load(core, every, outcome, hold_s)
        for first in range(0, pages, _AT_ONCE):
            await asyncio.gather(*(page.begin() for page in every[first : first + _AT_ONCE]))
        _say(f"{pages} pages are registered")
        stop = asyncio.Event()
        calls = asyncio.create_task(load.run(rate, stop))
        upgraded = []
        try:
            for node in running.nodes:
                await asyncio.sleep(_BETWEEN_S)
                upgraded.append(await asyncio.to_thread(running.upgrade, node, _say))
            await asyncio.sleep(_BETWEEN_S)
        finally:
            stop.set()
            await calls
        for page in every:
            await page.end()
    return outcome, upgraded


def _say(line: str) -> None:
    click.echo(line, err=True)


def _report(outcome: Outcome, upgraded: list[Upgraded], notes: dict[str, int]) -> str:
    rows = [["calls", "begun", "set-up p50", "p95", "longest"]]
    for kind, times in outcome.setup_s.items():
        rank = percentiles(times)
        longest = f"{1000 * max(times, default=0):.0f}"
        rows.append([kind, str(outcome.begun[kind]), f"{rank.p50:.0f}", f"{rank.p95:.0f}", longest])
    nodes = [["node", "pages", "pages gone s", "empty s", "restart s"]]
    nodes += [
        [one.node, str(one.pages), *(f"{s:.1f}" for s in (one.pages_gone_s, one.empty_s, one.restart_s))]
        for one in upgraded
    ]
    away = percentiles(outcome.away_s)
    return "\n".join(
        (
            aligned(rows),
            aligned(nodes),
            f"pages changed the gateway {len(outcome.away_s)} times, "
            f"without a registration for {away.p50:.0f} ms (p50), {away.p95:.0f} ms (p95)",
            f"INVITEs of pages that met the closing of their connection, sent again: {outcome.sent_again}",
            *(f"{what}: {count}" for what, count in notes.items()),
        )
    )


@click.command()
@click.option("--rate", default=20.0, show_default=True, help="Calls each second, half of them to pages.")
@click.option("--pages", default=200, show_default=True)
@click.option("--hold", default=2.0, show_default=True, help="Seconds a call takes.")
@click.option("--strict", is_flag=True, help="Fail when a call fails.")
@click.option("--inside", is_flag=True, hidden=True)
def main(rate: float, pages: int, hold: float, strict: bool, inside: bool) -> None:
    """Upgrade two signalling nodes one after the other under calls; print what became of them, and write JSON."""
    if not inside:
        if os.geteuid() != 0:
            raise click.ClickException("machines are network namespaces: this needs root")
        again = ["unshare", "--net", sys.executable, "-m", "tests.bench.rolling", *sys.argv[1:], "--inside"]
        raise click.exceptions.Exit(subprocess.call(again))
    machine = calibrate()
    with site() as running:
        outcome, upgraded = asyncio.run(measure(running, pages, rate, hold))
        notes = {
            "calls that waited for their page": running.logged("event=request_waits"),
            "requests passed on to the page's gateway": running.logged("event=request_passed_on"),
            "errors in the gateways' logs": running.logged("event=callback_failed")
            + running.logged("event=housekeeping_failed"),
        }
    click.echo(machine.to_text())
    click.echo(f"{rate:g} calls/s, {pages} pages; times of calls in milliseconds")
    click.echo(_report(outcome, upgraded, notes))
    for line in outcome.failed[:20]:
        click.echo(line)
    bar = Bar("failed calls, none", len(outcome.failed), not outcome.failed)
    click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"rolling-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    found = {
        "machine": asdict(machine),
        "outcome": asdict(outcome),
        "nodes": [asdict(one) for one in upgraded],
    }
    path.write_text(json.dumps({**found, "notes": notes}, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not bar.kept:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
