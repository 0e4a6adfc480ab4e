"""What a relay node costs the others when it stops, and what pages that vanish leave.

    python -m tests.bench.nodes [--rounds 3] [--seconds 30] [--drops 2000]

REGISTERs and calls run at a fixed rate, in windows that take turns: in one the first of two nodes is drained, in the
other it is stopped (SIGSTOP) a second after the beginning.  Either way the other node has the same load, so a
difference is what the stop itself costs.  Calls that begin before the stop is known may have chosen the stopped node:
they are a row of their own; REGISTERs are compared whole.  Then pages in calls lose their connection, and the relay's
open ports are counted.  Exit status 1 when something is left, or a stopped node costs more than a tenth.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, until
from tests.integration.calls.test_control_ports import open_ports
from tests.integration.nodes.world import Nodes, NodeStage, lab_with_nodes
from tests.peers.trace import NothingMatchedError
from tests.peers.websocket import Loss
from tests.peers.wic import ScriptedWic

REGISTERS_PER_S = 20
CALLS_PER_S = 4
PAGES = 20
DROPS_AT_ONCE = 25
ALLOWED = 1.1
PATIENT = {
    "gateway_ims_response_timeout_s": 5,
    "gateway_update_timeout_s": 5,
    "gateway_ims_answer_timeout_s": 30,
    "gateway_entry_point_timeout_s": 5,
}
SHOWN = 12
NOISE_MS = 2.0
"""A difference below is the generator's own."""


@dataclass
class Windows:
    """What took how long in all windows of a kind, in milliseconds."""

    registers: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    """On the other node."""
    unaware: list[float] = field(default_factory=list)
    """Begun while the first node had stopped and nobody knew."""
    refused: list[str] = field(default_factory=list)
    known_after: list[float] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    """What took longest, with when it began in its window."""

    def note(self, row: list[float], what: str, took_s: float, began_s: float) -> None:
        """Add to a row; ``began_s`` counts from the window's beginning."""
        row.append(took_s * 1000)
        self.slowest = sorted([*self.slowest, (took_s * 1000, f"{what} at {began_s:.2f} s")])[-SHOWN:]


def percentile(values: list[float], percent: float) -> float:
    """Return a percentile, NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


async def at_rate(per_s: float, seconds: float, work: Callable[[int], Awaitable[None]]) -> None:
    """Begin work at a fixed rate, whatever the former one does, and wait for all of it."""
    began = time.monotonic()
    tasks = []
    for number in range(int(per_s * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
        tasks.append(asyncio.ensure_future(work(number)))
    await asyncio.gather(*tasks)


class Load:
    """REGISTERs and calls side by side."""

    def __init__(self, nodes: Nodes, stage: NodeStage) -> None:
        self.nodes = nodes
        self._stage = stage
        self._pages: list[ScriptedWic] = []
        self._callers: list[ScriptedWic] = []
        self._unaware = False

    async def open(self) -> None:
        """Let the pages register."""
        self._pages = [await self._stage.page() for _ in range(PAGES)]
        self._callers = [await self._stage.page() for _ in range(PAGES)]

    async def run(self, seconds: float, windows: Windows) -> None:
        """Run for a time; add what it took."""

        opened = time.monotonic()

        async def register(number: int) -> None:
            began = time.monotonic()
            await self._pages[number % PAGES].register()
            windows.note(windows.registers, "REGISTER", time.monotonic() - began, began - opened)

        async def call(number: int) -> None:
            row = windows.unaware if self._unaware else windows.calls
            began = time.monotonic()
            wic = await self._callers[number % PAGES].invite(BOB, AUDIO)
            try:
                await wic.wait_status(range(183, 300))
                await wic.wait_answer()
            except NothingMatchedError as error:
                windows.refused.append(str(error))
                return
            windows.note(row, "INVITE", time.monotonic() - began, began - opened)
            await wic.bye()

        await asyncio.gather(at_rate(REGISTERS_PER_S, seconds, register), at_rate(CALLS_PER_S, seconds, call))

    async def run_with_a_stop(self, seconds: float, windows: Windows) -> None:
        """Run for a time, with the first node stopped a second after the beginning; let it go on at the end."""
        node = self.nodes.a

        async def stop() -> None:
            # Until now nothing was to choose it: every call of this window is on the other node or hit by the stop.
            await asyncio.sleep(1)
            self.nodes.daemons[node].pause()
            began, self._unaware = time.monotonic(), True
            await asyncio.to_thread(drain, self.nodes, on=False)  # not to hold up the load
            while await asyncio.to_thread(self.nodes.state, node) == "up":
                await asyncio.sleep(0.02)
            self._unaware = False
            windows.known_after.append(time.monotonic() - began)

        await asyncio.gather(stop(), self.run(seconds, windows))
        drain(self.nodes, on=True)
        self.nodes.daemons[node].resume()
        await asyncio.to_thread(self.nodes.wait_state, node, "up")


def drain(nodes: Nodes, *, on: bool) -> None:
    """Let the first node have no new calls, or again."""
    status, _ = nodes.lab.control("PUT", "/v1/nodes/drain", {"node": nodes.a, "drain": on})
    assert status == 200, status


async def stopped_node(nodes: Nodes, rounds: int, seconds: float) -> tuple[Windows, Windows]:
    """Measure with the first node drained, and stopped, in turns."""
    stage = NodeStage(nodes)
    await stage.open()
    load = Load(nodes, stage)
    await load.open()
    drain(nodes, on=True)
    await load.run(3, Windows())
    drained, stopped = Windows(), Windows()
    for number in range(rounds):
        turns = [load.run(seconds, drained), load.run_with_a_stop(seconds, stopped)]
        for turn in turns if number % 2 else reversed(turns):
            await turn
    await stage.close()
    return drained, stopped


def media_ports(nodes: Nodes) -> int:
    """Count the open UDP ports of all nodes."""
    opened = [port for daemon in nodes.daemons.values() for port in open_ports(daemon.pid)]
    return sum(1 for protocol, _, _ in opened if protocol == "udp")


async def dropped_pages(nodes: Nodes, drops: int) -> tuple[int, int, int]:
    """Let pages in calls vanish; return the most ports there were, those that stayed, and calls that failed."""
    stage = NodeStage(nodes)
    await stage.open()
    idle, most, failed = media_ports(nodes), 0, 0
    for _ in range(0, drops, DROPS_AT_ONCE):
        pages = [await stage.page() for _ in range(DROPS_AT_ONCE)]
        results = await asyncio.gather(*(stage.answered(page) for page in pages), return_exceptions=True)
        failed += sum(1 for result in results if isinstance(result, BaseException))
        most = max(most, media_ports(nodes) - idle)
        for page in pages:
            page.lose(Loss.RESET)
        stage.pages.clear()
    with suppress(AssertionError):
        await until(lambda: media_ports(nodes) == idle, lambda: "ports left", 20)
    left = media_ports(nodes) - idle
    await stage.close()
    return most, left, failed


def report(drained: Windows, stopped: Windows) -> tuple[dict[str, object], bool]:
    """Compare; return the figures, and whether the stopped node cost too much."""
    figures: dict[str, object] = {"refused drained/stopped": [len(drained.refused), len(stopped.refused)]}
    too_much = bool(drained.refused or stopped.refused)
    rows = [
        ("REGISTER", drained.registers, stopped.registers),
        ("calls on the other node", drained.calls, stopped.calls),
    ]
    for name, old, new in rows:
        for percent in (50, 99):
            was, now = percentile(old, percent), percentile(new, percent)
            figures[f"{name} p{percent} ms"] = [round(was, 2), round(now, 2)]
            too_much = too_much or now > was * ALLOWED + NOISE_MS
        figures[f"{name} number"] = [len(old), len(new)]
    figures["stop known after s"] = [round(seconds, 2) for seconds in stopped.known_after]
    figures["calls begun before it was known ms"] = [round(value) for value in sorted(stopped.unaware)]
    for name, windows in (("drained", drained), ("stopped", stopped)):
        figures[f"slowest while {name}"] = [
            f"{took:.0f} ms: {what}" for took, what in reversed(windows.slowest)
        ]
    if too_much:
        figures["refused"] = (drained.refused + stopped.refused)[:5]
    return figures, too_much


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Pairs of windows.")
@click.option("--seconds", default=30.0, show_default=True, help="Length of each window.")
@click.option("--drops", default=2000, show_default=True, help="Pages that vanish.")
def main(rounds: int, seconds: float, drops: int) -> None:
    """Measure and print JSON."""
    with tempfile.TemporaryDirectory() as folder, lab_with_nodes(Path(folder), **PATIENT) as nodes:
        drained, stopped = asyncio.run(stopped_node(nodes, rounds, seconds))
        figures, too_much = report(drained, stopped)
        if drops:
            most, left, failed = asyncio.run(dropped_pages(nodes, drops))
            figures["drops"] = {
                "pages": drops,
                "most ports": most,
                "ports left": left,
                "calls that failed": failed,
            }
            too_much = too_much or left > 0
    click.echo(json.dumps(figures, indent=2))
    sys.exit(1 if too_much else 0)


if __name__ == "__main__":
    main()
