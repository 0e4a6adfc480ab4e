"""Command line: `python -m tests.bench.injection --packets 100000`."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aioice.ice
import click

from tests.fakes.installed_ksr import installed_ksr

installed_ksr()  # before anything imports what stands on Kamailio

# ruff: noqa: E402
from tests.bench.cpu import calibrate
from tests.bench.report import Bar, aligned
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.contract.rtpengine.injected import SHAPES, Phase, Siege
from tests.peers.injection import KINDS, REPORTS

OUTPUT = Path(__file__).parents[3] / "build" / "bench"
PORTS: Final = 200
ATTACKED_PHASES: Final = 11
"""The least that a call has; with the others what a busy machine does not send is made up for."""
SHORTEST_S: Final = 0.25
ATTACKS: Final = {"all kinds": KINDS, "RTCP alone": REPORTS}


@dataclass(frozen=True)
class Besieged:
    """One call and what became of it."""

    shape: str
    attack: str
    phases: list[Phase]
    lost_by_far_end: int

    def injected(self, leg: str) -> int:
        """How many packets were sent to the ports of a leg."""
        return sum(phase.injected.get(leg, 0) for phase in self.phases)


def bars(calls: Sequence[Besieged], packets: int, *, alive: bool) -> list[Bar]:
    """Return whether the promises are kept."""
    injected = min(sum(call.injected(leg) for call in calls) for leg in ("core", "web"))
    phases = [phase for call in calls for phase in call.phases]
    relayed, stolen = (sum(getattr(phase, name) for phase in phases) for name in ("relayed", "stolen"))
    lost = sum(abs(call.lost_by_far_end) for call in calls)
    return [
        Bar(f"at least {packets} injected at each leg", injected, kept=injected >= packets),
        Bar("0 relayed", relayed, kept=not relayed),
        Bar("0 sent to a stranger", stolen, kept=not stolen),
        Bar("0 of the page's packets missing at the far end", lost, kept=not lost),
        Bar("the relays live", alive, kept=alive),
    ]


def text(calls: Sequence[Besieged]) -> str:
    """Return the calls as a table, and the phases in which something went through."""
    rows = [
        ["call", "attack", "phases", "at the core leg", "at the web leg", "relayed", "sent to a stranger"]
    ]
    for call in calls:
        attacked = [phase for phase in call.phases if phase.injected]
        sums = [sum(getattr(phase, name) for phase in call.phases) for name in ("relayed", "stolen")]
        counts = [len(attacked), call.injected("core"), call.injected("web"), *sums]
        rows.append([call.shape, call.attack, *map(str, counts)])
    broken = [
        f"{call.shape}, {call.attack}, {phase.name}: {phase.stolen} sent to a stranger, relayed to the page "
        f"{dict(phase.at_page)}, to the far end {dict(phase.at_far_end)}"
        for call in calls
        for phase in call.phases
        if phase.relayed or phase.stolen
    ]
    return "\n".join([aligned(rows), *broken])


async def besieged(daemons: tuple[Daemon, Daemon], packets: int, rate: int) -> list[Besieged]:
    """Attack a call of each shape in each way."""
    cells = list(itertools.product(SHAPES.items(), ATTACKS.items()))
    phase_s = max(SHORTEST_S, packets / len(cells) / ATTACKED_PHASES / rate)
    calls = []
    for (shape_name, shape), (attack_name, kinds) in cells:
        siege = Siege(*daemons, packets_per_s=rate, phase_s=phase_s, shape=shape, kinds=kinds)
        await siege.run()
        calls.append(Besieged(shape_name, attack_name, siege.phases, siege.lost_by_far_end))
    return calls


@click.command()
@click.option("--packets", default=100_000, show_default=True, help="At each leg, over all calls.")
@click.option("--rate", default=3000, show_default=True, help="Packets per second at each leg.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(packets: int, rate: int, strict: bool) -> None:
    """Attack calls from their reservation on, print what became of the packets, and write JSON to build/bench."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    machine = calibrate()
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                Daemon(
                    Path(stack.enter_context(tempfile.TemporaryDirectory())),
                    stack.enter_context(media_ports(PORTS)),
                )
            )
            for _ in range(2)
        )
        calls = asyncio.run(besieged((first, second), packets, rate))
        judged = bars(calls, packets, alive=first.alive and second.alive)
    click.echo(machine.to_text())
    click.echo(text(calls))
    for bar in judged:
        click.echo(bar.to_text())
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"injection-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    found = [
        {
            "call": call.shape,
            "attack": call.attack,
            "name": phase.name,
            "injected": phase.injected,
            "relayed": phase.relayed,
            "stolen": phase.stolen,
        }
        for call in calls
        for phase in call.phases
    ]
    path.write_text(json.dumps({"machine": asdict(machine), "phases": found}, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
