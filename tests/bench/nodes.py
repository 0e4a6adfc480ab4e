"""What a relay node costs the others when it stops, and what pages that vanish leave.

    python -m tests.bench.nodes [--seconds 30] [--drops 2000]

First REGISTERs and calls run at a fixed rate, then one of two nodes is stopped (SIGSTOP) and they go on: what they took
before and after, the moment of the stop included.  Then pages in calls lose their connection, and the relay's open
ports are counted.  Exit status 1 when something is left, or a stopped node costs more than a tenth.
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
CALLS_PER_S = 2
PAGES = 20
DROPS_AT_ONCE = 25
ALLOWED = 1.1
PATIENT = {
    "gateway_ims_response_timeout_s": 5,
    "gateway_update_timeout_s": 5,
    "gateway_ims_answer_timeout_s": 30,
    "gateway_entry_point_timeout_s": 5,
}
NOISE_MS = 2.0
"""A difference below is the generator's own."""


@dataclass
class Window:
    """What took how long, in milliseconds."""

    registers: list[float] = field(default_factory=list)
    calls: dict[str, list[float]] = field(default_factory=dict)
    """By node."""
    refused: int = 0


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


async def load(
    stage: NodeStage, pages: list[ScriptedWic], callers: list[ScriptedWic], seconds: float
) -> Window:
    """Run REGISTERs and calls side by side."""
    window = Window()

    async def register(number: int) -> None:
        began = time.monotonic()
        await pages[number % len(pages)].register()
        window.registers.append((time.monotonic() - began) * 1000)

    async def call(number: int) -> None:
        began = time.monotonic()
        wic = await callers[number % len(callers)].invite(BOB, AUDIO)
        node = ""
        try:
            if (await wic.wait_status(range(183, 700))).status < 300:
                node = json.loads(stage.record(wic.call_id))["node"]
                await wic.wait_answer()
        except NothingMatchedError:
            node = ""
        if not node:
            window.refused += 1
            return
        window.calls.setdefault(node, []).append((time.monotonic() - began) * 1000)
        await wic.bye()

    await asyncio.gather(at_rate(REGISTERS_PER_S, seconds, register), at_rate(CALLS_PER_S, seconds, call))
    return window


async def stopped_node(nodes: Nodes, seconds: float) -> tuple[Window, Window]:
    """Measure before and after one of the nodes stops."""
    stage = NodeStage(nodes)
    await stage.open()
    pages = [await stage.page() for _ in range(PAGES)]
    callers = [await stage.page() for _ in range(PAGES)]
    await load(stage, pages, callers, 3)
    before = await load(stage, pages, callers, seconds)

    async def stop() -> None:
        await asyncio.sleep(1)
        nodes.daemons[nodes.a].pause()

    _, after = await asyncio.gather(stop(), load(stage, pages, callers, seconds))
    nodes.daemons[nodes.a].resume()
    await stage.close()
    return before, after


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


def report(before: Window, after: Window, kept: str) -> tuple[dict[str, object], bool]:
    """Compare; return the figures, and whether the stopped node cost too much."""
    figures: dict[str, object] = {"refused before/after": [before.refused, after.refused]}
    too_much = False
    rows = [
        ("REGISTER", before.registers, after.registers),
        ("calls on the other node", before.calls.get(kept, []), after.calls.get(kept, [])),
    ]
    for name, old, new in rows:
        for percent in (50, 99):
            was, now = percentile(old, percent), percentile(new, percent)
            figures[f"{name} p{percent} ms"] = [round(was, 2), round(now, 2)]
            too_much = too_much or now > was * ALLOWED + NOISE_MS
        figures[f"{name} number"] = [len(old), len(new)]
    return figures, too_much


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="Length of each of the two windows.")
@click.option("--drops", default=2000, show_default=True, help="Pages that vanish.")
def main(seconds: float, drops: int) -> None:
    """Measure and print JSON."""
    with tempfile.TemporaryDirectory() as folder, lab_with_nodes(Path(folder), **PATIENT) as nodes:
        before, after = asyncio.run(stopped_node(nodes, seconds))
        figures, too_much = report(before, after, nodes.b)
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
