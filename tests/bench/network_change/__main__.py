"""Command line: `python -m tests.bench.network_change`."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tests.bench.cpu import calibrate
from tests.bench.delay_line import NoDelayLineError
from tests.bench.first_audio.cases import Through
from tests.bench.first_audio.measure import open_core
from tests.bench.first_audio.sites import site
from tests.bench.network_change.gone import Waited, measure_gone
from tests.bench.network_change.measure import WAYS_BY_NAME, Times, Way, measure
from tests.bench.report import Bar, aligned
from tests.bench.results import percentiles

OUTPUT = Path(__file__).parents[3] / "build" / "bench"
BACK_BAR_MS: Final = 3000.0
GONE_BAR_MS: Final = 500.0
_WAITED_FOR_MS: Final = {"called as it goes": 5000.0}
"""As long as that the page may come back, and is waited for (``gateway_flow_wait_s``, as the role has it)."""

Found = Mapping[str, Sequence[Times | None]]


async def changes(way: Way, one_way_ms: float, runs: int) -> list[Times | None]:
    """Measure one way on one network."""
    async with open_core() as core:
        with site(Through.GATEWAY, one_way_ms / 1000, core.address[1]) as running:
            return await measure(running, way, runs, core, lambda line: click.echo(line, err=True))


def complete(times: Sequence[Times | None]) -> list[tuple[float, float, float]]:
    """Return (ICE, page, phone) of the runs in which both heard each other again."""
    return [
        (t.ice_s, t.page_s, t.phone_s)
        for t in times
        if t is not None and t.page_s is not None and t.phone_s is not None
    ]


def table(found: Found) -> str:
    """Return milliseconds after the change, p50/p95."""
    rows = [["way", "runs", "failed", "new pair", "page hears", "phone hears"]]
    for name, times in found.items():
        good = complete(times)
        figures = [percentiles([one[column] for one in good]) for column in range(3)]
        cells = [f"{rank.p50:.0f}/{rank.p95:.0f}" for rank in figures]
        rows.append([WAYS_BY_NAME[name].label, str(len(good)), str(len(times) - len(good)), *cells])
    return aligned(rows)


def bars(found: Found) -> list[Bar]:
    """Return the promise, for each way: every run within the bar at p95, none failed."""
    judged = []
    for name, times in found.items():
        good = complete(times)
        p95 = percentiles([max(page, phone) for _, page, phone in good]).p95
        label = WAYS_BY_NAME[name].label
        kept = len(good) == len(times) and p95 <= BACK_BAR_MS
        judged.append(Bar(f"{label}: all come back, both hear p95 within 3000 ms", p95, kept))
    return judged


def gone_bars(found: Mapping[str, Sequence[Waited]]) -> list[Bar]:
    """Return the promise: every caller of a page that is gone has the final answer in time."""
    judged = []
    for name, waits in found.items():
        longest = 1000 * max((w.seconds for w in waits), default=0.0)
        bar_ms = GONE_BAR_MS + _WAITED_FOR_MS.get(name, 0.0)
        late = sum(w.seconds * 1000 > bar_ms for w in waits)
        within = f"final answer within {bar_ms:.0f} ms, {late} of {len(waits)} later; longest"
        promise = f"a page that is gone ({name}): {within}"
        judged.append(Bar(promise, longest, not late))
    return judged


@click.command()
@click.option(
    "--gone", default=50, show_default=True, help="Calls to pages that are gone, of each kind; 0: none."
)
@click.option("--runs", default=20, show_default=True)
@click.option("--ways", "names", default=",".join(WAYS_BY_NAME), show_default=True, help="Comma list.")
@click.option("--delay", default=50.0, show_default=True, help="Milliseconds each way.")
@click.option("--strict", is_flag=True, help="Fail when the bar is broken.")
def main(gone: int, runs: int, names: str, delay: float, strict: bool) -> None:
    """Measure a change of network in a call, print one table and write JSON to build/bench."""
    unknown = sorted(set(names.split(",")) - WAYS_BY_NAME.keys())
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; known: {', '.join(WAYS_BY_NAME)}")
    machine = calibrate()
    waited = asyncio.run(measure_gone(gone)) if gone else {}
    found: dict[str, list[Times | None]] = {}
    try:
        found = {name: asyncio.run(changes(WAYS_BY_NAME[name], delay, runs)) for name in names.split(",")}
    except NoDelayLineError as error:
        click.echo(f"skipped: {error}")
    click.echo(machine.to_text())
    click.echo(f"milliseconds after the page lost its address, p50/p95; {delay:g} ms each way")
    click.echo(table(found))
    for name, waits in waited.items():
        rank = percentiles([w.seconds for w in waits])
        statuses = dict(Counter(w.status for w in waits))
        click.echo(f"a page that is gone, {name}: {rank.p50:.0f}/{rank.p95:.0f} ms, {statuses}")
    judged = [*bars(found), *gone_bars(waited)]
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"network-change-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    runs_of = {name: [None if t is None else asdict(t) for t in times] for name, times in found.items()}
    gone_of = {name: [asdict(w) for w in waits] for name, waits in waited.items()}
    data = {"machine": asdict(machine), "delay_ms": delay, "runs": runs_of, "gone": gone_of}
    path.write_text(json.dumps(data, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
