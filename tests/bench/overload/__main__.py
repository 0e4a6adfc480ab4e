"""Command line: `python -m tests.bench.overload`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tests.bench.cpu import calibrate
from tests.bench.overload.measure import Run, overload, pinned_gateway, sustainable, wait_rest
from tests.bench.report import Bar

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
GOODPUT_BAR: Final = 0.9
RECOVERY_BAR_S: Final = 1.0
NAMES: Final = {True: "with control", False: "without"}


def rows(run: Run) -> dict[str, str]:
    """Say a run in words."""
    memory = " / ".join(f"{one.shared:.0f} + {one.private:.0f}" for one in (run.before, run.most, run.after))
    return {
        "calls/s asked for": f"{run.offered:.0f}",
        "most good calls/s": f"{run.sustainable:.0f}",
        "good calls/s under overload": f"{run.goodput:.0f}",
        "goodput": f"{100 * run.ratio:.0f} %",
        "in its first two seconds": f"{100 * run.goodput_at_first / run.sustainable:.0f} %",
        "CPU ms for each good call, at most / now": f"{run.cpu_ms_at_most:.1f} / {run.cpu_ms:.1f}",
        "refused with 503": f"{100 * run.refused:.0f} %",
        "lost": f"{100 * run.lost:.1f} %",
        "set-up p50 / p99 ms": f"{run.setup_ms.p50:.0f} / {run.setup_ms.p99:.0f}",
        "emergency calls good": f"{run.emergencies_good} of {run.emergencies}",
        "their set-up p50 / p99 ms": f"{run.emergency_setup_ms.p50:.0f} / {run.emergency_setup_ms.p99:.0f}",
        "MB shared + private, before / most / after": memory,
        "back to normal after s": f"{run.recovery_s:.2f}",
    }


@click.command()
@click.option("--times", default=3.0, show_default=True, help="How many times what the gateway can take.")
@click.option("--seconds", default=15.0, show_default=True, help="How long the overload lasts.")
@click.option("--first", default=120.0, show_default=True, help="The first rate tried for what it can take.")
@click.option("--step-seconds", default=5.0, show_default=True)
@click.option("--without/--only-with", default=True, show_default=True, help="Also without the control.")
@click.option("--rounds", default=3, show_default=True, help="How often; the middle one is shown.")
@click.option("--strict", is_flag=True, help="Fail when a bar is broken.")
def main(
    times: float, seconds: float, first: float, step_seconds: float, without: bool, rounds: int, strict: bool
) -> None:
    """Overload a gateway with and without its control, print a table and write JSON to build/bench."""
    machine = calibrate()
    click.echo(machine.to_text())

    def say(text: str) -> None:
        click.echo(text, err=True)

    with pinned_gateway(gateway_overload_control=False) as bare, pinned_gateway() as tamed:
        most, cpu_ms = sustainable(bare, first, step_seconds, say)
        wait_rest(bare)
        runs: list[Run] = []
        for _ in range(rounds):
            runs.append(overload(tamed, most, times, seconds))
            say(f"with control: {runs[-1]}")
            wait_rest(tamed)
        made = {NAMES[True]: runs}
        if without:
            made[NAMES[False]] = [overload(bare, most, times, seconds)]
    made = {name: [replace(run, cpu_ms_at_most=cpu_ms) for run in found] for name, found in made.items()}
    found = {name: sorted(runs, key=lambda run: run.goodput)[len(runs) // 2] for name, runs in made.items()}
    columns = {name: rows(run) for name, run in found.items()}
    click.echo(f"{'':46}" + "".join(f"{name:>26}" for name in columns))
    for label in next(iter(columns.values())):
        click.echo(f"{label:46}" + "".join(f"{column[label]:>26}" for column in columns.values()))
    run = found[NAMES[True]]
    bars = [
        Bar(f"goodput at least {GOODPUT_BAR:.0%} of the most", run.ratio, run.ratio >= GOODPUT_BAR),
        Bar(
            "every emergency call",
            run.emergencies_good / run.emergencies,
            run.emergencies_good == run.emergencies,
        ),
        Bar(
            f"back to normal within {RECOVERY_BAR_S:.0f} s", run.recovery_s, run.recovery_s <= RECOVERY_BAR_S
        ),
    ]
    click.echo("\n".join(bar.to_text() for bar in bars))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"overload-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    rounds_made = {name: [asdict(run) for run in runs] for name, runs in made.items()}
    document = {"machine": asdict(machine), "rounds": rounds_made}
    path.write_text(json.dumps(document, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in bars):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
