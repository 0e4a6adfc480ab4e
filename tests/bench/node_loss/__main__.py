"""Command line: `python -m tests.bench.node_loss`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aioice.ice
import click

from tests.bench.cpu import calibrate
from tests.bench.node_loss.measure import Silence, measure
from tests.bench.report import Bar, aligned
from tests.bench.results import percentiles

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
BACK_BAR_S: Final = 3.0
SHARE_BAR: Final = 0.98


def both_s(silence: Silence) -> float | None:
    """Return when both hear again."""
    if silence.page_s is None or silence.phone_s is None:
        return None
    return max(silence.page_s, silence.phone_s)


def table(found: Sequence[Silence]) -> str:
    """Return milliseconds after the kill."""
    rows = [["who hears", "p50", "p95", "longest", "never"]]
    columns = {
        "the page": [one.page_s for one in found],
        "the phone": [one.phone_s for one in found],
        "both": [both_s(one) for one in found],
    }
    for name, times in columns.items():
        good = sorted(time for time in times if time is not None)
        rank = percentiles(good)
        longest = f"{1000 * good[-1]:.0f}" if good else "-"
        rows.append([name, f"{rank.p50:.0f}", f"{rank.p95:.0f}", longest, str(len(times) - len(good))])
    return aligned(rows)


def bar(found: Sequence[Silence]) -> Bar:
    """Return the promise: nearly all calls are back in time."""
    in_time = sum((both := both_s(one)) is not None and both <= BACK_BAR_S for one in found)
    share = in_time / len(found)
    return Bar("share of calls heard both ways within 3 s, at least 0.98", share, share >= SHARE_BAR)


@click.command()
@click.option("--calls", default=50, show_default=True)
@click.option("--strict", is_flag=True, help="Fail when the bar is broken.")
def main(calls: int, strict: bool) -> None:
    """Kill a media node with calls on it, print one table and write JSON to build/bench."""
    machine = calibrate()
    # Both ends are in this process: one candidate for each line is enough.
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    with tempfile.TemporaryDirectory(prefix="node-loss-") as directory:
        found = asyncio.run(measure(Path(directory), calls, lambda line: click.echo(line, err=True)))
    click.echo(machine.to_text())
    click.echo(f"milliseconds after the node was killed and the gateway told, {calls} calls at once")
    click.echo(table(found))
    judged = bar(found)
    click.echo(judged.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"node-loss-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(
        json.dumps({"machine": asdict(machine), "calls": [asdict(one) for one in found]}, indent=1)
    )
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not judged.kept:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
