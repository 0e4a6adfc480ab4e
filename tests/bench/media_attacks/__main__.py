"""Command line: `python -m tests.bench.media_attacks --seconds 20`."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from tests.contract.rtpengine.besieged import Besieged, besiege
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.peers.injection import CHECKS, HANDSHAKES, KINDS, Kind

OUTPUT = Path(__file__).parents[3] / "build" / "bench"
PORTS: Final = 200
MOST_LOST: Final = 0.001
DEAF: Final = "UDP receive queue exceeded"
ATTACKS: Final[Mapping[str, Sequence[Kind]]] = {
    "": (),
    "STUN": CHECKS,
    "DTLS": HANDSHAKES,
    "RTP and RTCP": KINDS,
    "all": (*CHECKS, *HANDSHAKES, *KINDS),
}


def text(found: Sequence[Besieged]) -> str:
    """Return what became of the call, attack by attack."""
    rows = [
        [
            *("attack", "injected", "relayed", "sent to a stranger"),
            *("lost page → core", "lost core → page", "relay's CPU"),
        ]
    ]
    rows += [
        [
            one.attack or "none",
            *map(str, (one.injected, one.relayed, one.stolen)),
            f"{one.lost_at_far_end} of {one.sent_by_page}",
            f"{one.lost_at_page} of {one.sent_by_far_end}",
            f"{one.relay_cpu:.1%}",
        ]
        for one in found
    ]
    return aligned(rows)


def bars(found: Sequence[Besieged], *, alive: bool) -> list[Bar]:
    """Return whether the promises are kept."""
    relayed = sum(one.relayed for one in found)
    sent = sum(one.sent_by_page + one.sent_by_far_end for one in found if one.attack)
    lost = sum(one.lost_at_far_end + one.lost_at_page for one in found if one.attack)
    share = lost / max(1, sent)
    return [
        Bar("0 injected packets relayed", relayed, kept=not relayed),
        Bar(f"less than {MOST_LOST:.1%} of the call's packets lost", share, kept=share < MOST_LOST),
        Bar("the relay lives", alive, kept=alive),
    ]


@click.command()
@click.option("--seconds", default=20.0, show_default=True, help="Of each attack.")
@click.option("--rate", default=4000, show_default=True, help="Packets per second of all attackers together.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(seconds: float, rate: int, strict: bool) -> None:
    """Attack a running call in every way, print what became of it, and write JSON to build/bench."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    machine = calibrate()
    with (
        tempfile.TemporaryDirectory() as folder,
        media_ports(PORTS) as ports,
        Daemon(Path(folder), ports) as daemon,
    ):
        found = asyncio.run(besiege(daemon, ATTACKS, packets_per_s=rate, lasts_s=seconds))
        judged = bars(found, alive=daemon.alive)
        deaf = sum(DEAF in line for line in daemon.log)
    click.echo(machine.to_text())
    click.echo(text(found))
    for bar in judged:
        click.echo(bar.to_text())
    if deaf:
        click.echo(f"the machine is too busy: {deaf} times rtpengine did not come to read a port")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"media_attacks-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    document = {"machine": asdict(machine), "attacks": [asdict(one) for one in found]}
    path.write_text(json.dumps(document, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
