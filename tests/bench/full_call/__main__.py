"""Command line: `python -m tests.bench.full_call`; about four minutes."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tests.bench.cpu import calibrate
from tests.bench.full_call.measure import (
    PAGES_PER_RATE,
    Run,
    answering_phone,
    at_rate,
    idle_cores,
    open_pages,
    redials,
)
from tests.bench.full_call.pages import Page
from tests.bench.full_call.phone import Phone
from tests.bench.full_call.report import Redials, bars, redials_to_text, table
from tests.bench.full_call.sites import CASES, SYSTEMS, System
from tests.bench.media_load import janus

OUTPUT = Path(__file__).parents[3] / "build" / "bench"
_FEWER_OF_OTHERS = 5
"""What is not ours redials a fifth of the calls."""


async def measure(
    cases: Sequence[str], rates: Sequence[float], rounds: int, seconds: float, redialled: int, pages: int
) -> tuple[list[Run], list[Redials]]:
    """Run all systems side by side, one of them under load at a time."""
    runs: list[Run] = []
    again: list[Redials] = []
    async with AsyncExitStack() as stack:
        phone = await stack.enter_async_context(answering_phone())
        systems: dict[str, System] = {}
        for name in dict.fromkeys(CASES[case][0] for case in cases):
            systems[name] = stack.enter_context(SYSTEMS[name](phone.port))
        for per_s in rates:
            runs += await _at_rate(cases, systems, phone, per_s, rounds, seconds)
        for case in cases if redialled else ():
            ours = CASES[case][0] == "gateway"
            count = redialled if ours else redialled // _FEWER_OF_OTHERS
            async with open_pages(systems[CASES[case][0]].pages[case], pages) as opened:
                again.append(Redials(case, pages, await redials(opened, phone, count)))
            click.echo(redials_to_text(again[-1]), err=True)
    return runs, again


async def _at_rate(
    cases: Sequence[str],
    systems: Mapping[str, System],
    phone: Phone,
    per_s: float,
    rounds: int,
    seconds: float,
) -> list[Run]:
    runs: list[Run] = []
    async with AsyncExitStack() as stack:
        pages: dict[str, Sequence[Page]] = {}
        idle: dict[str, dict[str, float]] = {}
        for case in cases:
            system = systems[CASES[case][0]]
            opening = open_pages(system.pages[case], math.ceil(per_s * PAGES_PER_RATE))
            pages[case] = await stack.enter_async_context(opening)
            idle[case] = await idle_cores(system)
        for number in range(rounds):
            # The order turns so that a slow drift of the machine hits all alike.
            for case in cases if number % 2 == 0 else cases[::-1]:
                system = systems[CASES[case][0]]
                runs.append(await at_rate(case, system, idle[case], pages[case], phone, per_s, seconds))
                click.echo(f"{per_s:g}/s, round {number + 1}: {case} {runs[-1].total_ms:.2f} ms", err=True)
    return runs


def to_json(runs: Sequence[Run], again: Sequence[Redials]) -> dict[str, Any]:
    """Return plain data."""
    return {
        "runs": [
            {**asdict(run), "total_ms": round(run.total_ms, 3), "net_ms": round(run.net_ms, 3)}
            for run in runs
        ],
        "redials": [one.to_json() for one in again],
    }


@click.command()
@click.option("--cases", "names", default=",".join(CASES), show_default=True, help="Comma list.")
@click.option("--rates", default="60", show_default=True, help="Calls/s, comma list.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=6.0, show_default=True, help="Length of one run.")
@click.option(
    "--redials", "redialled", default=1000, show_default=True, help="Of each case of ours; 0: none."
)
@click.option("--pages", default=40, show_default=True, help="Pages that redial side by side.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(
    names: str, rates: str, rounds: int, seconds: float, redialled: int, pages: int, strict: bool
) -> None:
    """Place whole calls with real ICE, DTLS and SRTP, print what they cost, and write JSON to build/bench."""
    cases = names.split(",")
    if unknown := sorted(set(cases) - CASES.keys()):
        raise click.BadParameter(f"{', '.join(unknown)}; known: {', '.join(CASES)}")
    if janus.PROGRAM is None and "janus" in cases:
        click.echo(f"{janus.HOW_TO_INSTALL}. Left out.")
        cases.remove("janus")
    machine = calibrate()
    per_s = [float(rate) for rate in rates.split(",")]
    runs, again = asyncio.run(measure(cases, per_s, rounds, seconds, redialled, pages))
    click.echo(machine.to_text())
    for rate in per_s if runs else ():
        click.echo(f"{rate:g} calls/s")
        click.echo(table([run for run in runs if run.offered_per_s == rate]))
    for one in again:
        click.echo(redials_to_text(one))
    judged = bars([run for run in runs if run.offered_per_s == max(per_s)], again)
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"full-call-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"machine": asdict(machine), **to_json(runs, again)}, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
