"""Command line: `python -m tests.bench.scale`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from tests.bench.cpu import calibrate
from tests.bench.report import aligned
from tests.bench.scale import calls, registrations

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"


def table(heading: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Return what was measured, a column for each size."""
    lines = [[heading, *(f"{one['held']:,}" for one in found)]]
    for name in found[0]:
        if name == "held":
            continue
        values = [one[name] for one in found]
        if isinstance(values[0], Mapping):
            for part in dict.fromkeys(part for value in values for part in value):
                lines.append([f"{name}: {part}", *(f"{value.get(part, 0):g}" for value in values)])
        else:
            lines.append([name, *(f"{value:g}" for value in values)])
    return aligned(lines)


@click.command()
@click.option("--only", type=click.Choice(["calls", "registrations"]))
@click.option("--seconds", default=4.0, show_default=True, help="For how long each figure is measured.")
@click.option(
    "--connections", default=registrations.CONNECTIONS, show_default=True, help="WebSockets at most."
)
@click.option("--short", is_flag=True, help="Few of everything, to see that it works.")
def main(only: str | None, seconds: float, connections: int, short: bool) -> None:
    """Measure what calls and registrations cost when few and when many are held; write JSON to build/bench."""
    machine = calibrate()
    call_steps, page_steps = ((10, 50), (100, 300)) if short else (calls.STEPS, registrations.STEPS)
    if short:
        seconds, connections = 1.0, 200
    found: dict[str, list[dict[str, Any]]] = {}
    measured: dict[str, Iterable[registrations.AtSize | calls.AtSize]] = {
        "registrations": registrations.measure(page_steps, connections, seconds),
        "calls": calls.measure(call_steps, seconds),
    }
    for what, sizes in measured.items():
        if only in (None, what):
            found[what] = []
            for one in sizes:
                found[what].append(asdict(one))
                click.echo(f"{what}: {asdict(one)}", err=True)
            click.echo(table(f"{what} held", found[what]))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"scale-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"machine": asdict(machine), "seconds": seconds, **found}, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")


if __name__ == "__main__":
    main()
