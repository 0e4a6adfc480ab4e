"""Command line: `python -m tests.bench.injection --packets 100000`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aioice.ice
import click

from tests.bench.cpu import calibrate
from tests.bench.report import Bar, aligned
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.contract.rtpengine.injected import Siege

OUTPUT = Path(__file__).parents[3] / "build" / "bench"
PORTS: Final = 200
ATTACKED_PHASES: Final = 8


def bars(siege: Siege, packets: int, *, alive: bool) -> list[Bar]:
    """Return whether the promises are kept."""
    injected = min(sum(phase.injected.get(leg, 0) for phase in siege.phases) for leg in ("core", "web"))
    relayed, stolen = (sum(getattr(phase, name) for phase in siege.phases) for name in ("relayed", "stolen"))
    return [
        Bar(f"at least {packets} injected at each leg", injected, kept=injected >= packets),
        Bar("0 relayed", relayed, kept=not relayed),
        Bar("0 sent to the stranger", stolen, kept=not stolen),
        Bar(
            "0 of the page's packets missing at the far end",
            siege.lost_by_far_end,
            kept=not siege.lost_by_far_end,
        ),
        Bar("the relay lives", alive, kept=alive),
    ]


def text(siege: Siege) -> str:
    """Return the phases as a table."""
    rows = [["phase", "at the core leg", "at the web leg", "relayed", "sent to the stranger"]]
    for phase in siege.phases:
        counts = [str(phase.injected.get(leg, 0)) for leg in ("core", "web")]
        rows.append([phase.name, *counts, str(phase.relayed), str(phase.stolen)])
    return aligned(rows)


@click.command()
@click.option("--packets", default=100_000, show_default=True, help="At each leg, over the whole call.")
@click.option("--rate", default=4000, show_default=True, help="Packets per second at each leg.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(packets: int, rate: int, strict: bool) -> None:
    """Attack one call from its reservation on, print what became of the packets, and write JSON to build/bench."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    machine = calibrate()
    with (
        tempfile.TemporaryDirectory() as folder,
        media_ports(PORTS) as ports,
        Daemon(Path(folder), ports) as daemon,
    ):
        siege = Siege(daemon, packets_per_s=rate, phase_s=packets / ATTACKED_PHASES / rate * 1.1)
        asyncio.run(siege.run())
        judged = bars(siege, packets, alive=daemon.alive)
    click.echo(machine.to_text())
    click.echo(text(siege))
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"injection-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    phases = [
        {"name": phase.name, "injected": phase.injected, "relayed": phase.relayed, "stolen": phase.stolen}
        for phase in siege.phases
    ]
    path.write_text(json.dumps({"machine": asdict(machine), "phases": phases}, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
