"""Command line: `python -m tests.bench.ng`; less than a minute."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from rtpengine.ng.commands import Command, Ping
from rtpengine.pool import NodeAddress
from rtpengine.sessions import WicTransport, run
from tests.bench.cpu import calibrate, tree_cpu_s
from tests.bench.ng.cycle import AMR_WB, OPUS, Cycle, Recorder, code_us, learn
from tests.bench.ng.load import CycleOrder, LoadOrder, LoadResult, Shell, Tally, added_up, cycles, load
from tests.bench.ng.stub import StubReport, key_of, running_stub
from tests.bench.report import Bar, aligned
from tests.contract.rtpengine.daemon import Daemon, media_ports

OUTPUT: Final = Path(__file__).parents[3] / "build" / "bench"
PORTS: Final = 400
WORKERS: Final = 4
"""Blocking clients side by side: as many as a gateway has UDP workers."""
PIPELINE: Final = 8
"""Requests in flight of one asyncio client."""
LOSS: Final = 0.05
RATE_BAR: Final = 20_000
P99_BAR_MS: Final = 1.0
SHARE_BAR: Final = 0.10
_WARM_UP_S: Final = 0.3
_LEAD_S: Final = 0.3
"""Client processes begin at the same moment, so much after they were told."""

CYCLES: Final = {
    "shared, AMR-WB": (WicTransport.SHARED, AMR_WB),
    "shared, Opus": (WicTransport.SHARED, OPUS),
    "split, AMR-WB": (WicTransport.SPLIT, AMR_WB),
}


@dataclass(frozen=True)
class Setting:
    """Who sends what to whom."""

    peer: str
    clients: int
    shell: Shell
    in_flight: int
    commands: str

    def to_text(self) -> str:
        """Name the clients."""
        shape = f"{self.in_flight} in flight" if self.shell is Shell.ASYNCIO else "one by one"
        return f"{self.clients} {self.shell}, {shape}"


STUB: Final = (
    Setting("stub", 1, Shell.BLOCKING, 1, "call"),
    Setting("stub", WORKERS, Shell.BLOCKING, 1, "call"),
    Setting("stub", 1, Shell.ASYNCIO, 1, "call"),
    Setting("stub", 1, Shell.ASYNCIO, PIPELINE, "call"),
    Setting("stub", 1, Shell.ASYNCIO, 64, "call"),
    Setting("stub", WORKERS, Shell.BLOCKING, 1, "ping"),
    Setting("stub", 1, Shell.ASYNCIO, PIPELINE, "ping"),
)
RELAY: Final = (
    Setting("rtpengine", WORKERS, Shell.BLOCKING, 1, "ping"),
    Setting("rtpengine", 1, Shell.ASYNCIO, PIPELINE, "ping"),
)
LOSSY: Final = (
    Setting("stub", WORKERS, Shell.BLOCKING, 1, "call"),
    Setting("stub", 1, Shell.ASYNCIO, 64, "call"),
)


@dataclass(frozen=True)
class Measured:
    """One run of a setting; `seen` by the stub, None of rtpengine."""

    setting: Setting
    loss: float
    result: LoadResult
    seen: StubReport | None


@dataclass(frozen=True)
class CycleMeasured:
    """Set-up cycles of one kind."""

    kind: str
    requests: int
    """Commands of one cycle."""
    result: LoadResult
    code_us: float
    """CPU of our own code for each cycle."""
    relay_cpu_us: float
    """Of rtpengine for each cycle."""

    @property
    def own_share(self) -> float:
        """CPU of our own code over that of rtpengine."""
        return self.code_us / self.relay_cpu_us

    @property
    def share(self) -> float:
        """CPU of the client's process, the system's part of it included, over that of rtpengine."""
        return self.result.cpu_us / self.relay_cpu_us


class Clients:
    """Client processes, ready to be told what to do."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def work(self, count: int, task: Callable[[Any], Tally], order: Callable[[float], Any]) -> LoadResult:
        """Let so many processes carry the order out that is made for the moment they begin."""
        orders = [order(time.monotonic() + _LEAD_S)] * count
        return added_up([future.result() for future in [self._pool.submit(task, one) for one in orders]])

    def load(
        self, setting: Setting, address: NodeAddress, commands: Sequence[Command[Any]], seconds: float
    ) -> LoadResult:
        """Send commands in turn."""
        return self.work(
            setting.clients,
            load,
            lambda at: LoadOrder(setting.shell, address, tuple(commands), at, seconds, setting.in_flight),
        )


def against_stub(
    clients: Clients, settings: Sequence[Setting], recorded: Recorder, seconds: float, loss: float
) -> list[Measured]:
    """Load a stub that answers as rtpengine did."""
    found = []
    replies = {key_of(Ping()): b"d6:result4:ponge", **recorded.replies}
    with running_stub(replies, loss) as stub:
        for setting in settings:
            commands = recorded.commands if setting.commands == "call" else [Ping()]
            clients.load(setting, stub.address, commands, _WARM_UP_S)
            stub.report()
            result = clients.load(setting, stub.address, commands, seconds)
            found.append(Measured(setting, loss, result, stub.report()))
    return found


def cycles_of(clients: Clients, daemon: Daemon, kind: str, cycle: Cycle, seconds: float) -> CycleMeasured:
    """Set calls up and end them, one after the other, with one client."""
    recorder = Recorder(daemon.address)
    run(cycle.steps(f"count-{kind}"), recorder)
    recorder.close()

    def work(seconds: float) -> LoadResult:
        return clients.work(1, cycles, lambda at: CycleOrder(daemon.address, cycle, at, seconds))

    work(_WARM_UP_S)
    before_s = tree_cpu_s([daemon.pid])
    result = work(seconds)
    relay_s = tree_cpu_s([daemon.pid]) - before_s
    return CycleMeasured(
        kind,
        len(recorder.commands),
        result,
        round(code_us(daemon.address, cycle, recorder.in_order), 1),
        round(1e6 * relay_s / result.answered, 1),
    )


def bars(measured: Sequence[Measured], cycled: Sequence[CycleMeasured]) -> list[Bar]:
    """Return whether the promises are kept."""
    found = []
    for one in measured:
        who, result, seen = one.setting.to_text(), one.result, one.seen
        if one.loss and seen is not None:
            missing = abs(seen.executed - result.answered) + result.failed + result.unexpected
            promise = f"{one.loss:.0%} loss each way, {who}: of {result.answered} nothing lost or doubled"
            found.append(Bar(promise, missing, missing == 0 and seen.lost_commands > 0))
        elif one.setting.peer == "stub" and one.setting.commands == "call":
            judged = (WORKERS, 1) if one.setting.shell is Shell.BLOCKING else (1, PIPELINE)
            if (one.setting.clients, one.setting.in_flight) == judged:
                rate, p99_ms = result.per_s, result.latency_ms.p99
                found.append(Bar(f"{who}: at least {RATE_BAR} requests/s", rate, rate >= RATE_BAR))
                found.append(Bar(f"{who}: p99 below {P99_BAR_MS:g} ms", p99_ms, p99_ms < P99_BAR_MS))
    for cycle in cycled:
        promise = f"{cycle.kind}: CPU of the client's code at most {SHARE_BAR:.0%} of rtpengine's, in percent"
        found.append(Bar(promise, 100 * cycle.own_share, cycle.own_share <= SHARE_BAR))
    return found


def text(measured: Sequence[Measured], cycled: Sequence[CycleMeasured]) -> str:
    """Return two tables; times in milliseconds, CPU in microseconds."""
    rows = [["peer", "loss", "commands", "clients", "requests/s", "p50", "p99", "longest", "CPU us", "again"]]
    for one in measured:
        result, setting = one.result, one.setting
        rows.append(
            [setting.peer, f"{one.loss:.0%}", setting.commands, setting.to_text(), f"{result.per_s:.0f}"]
            + [f"{value:.3f}" for value in (result.latency_ms.p50, result.latency_ms.p99, result.longest_ms)]
            + [f"{result.cpu_us:.1f}", str(result.retransmitted)]
        )
    more = [
        [
            "set-up and end of a call",
            "requests",
            "cycles/s",
            "p50",
            "p99",
            "code us",
            "process us",
            "rtpengine us",
            "code",
            "process",
        ]
    ]
    for cycle in cycled:
        result = cycle.result
        more.append(
            [cycle.kind, str(cycle.requests), f"{result.per_s:.0f}"]
            + [f"{value:.2f}" for value in (result.latency_ms.p50, result.latency_ms.p99)]
            + [f"{cycle.code_us:.0f}", f"{result.cpu_us:.0f}", f"{cycle.relay_cpu_us:.0f}"]
            + [f"{cycle.own_share:.1%}", f"{cycle.share:.1%}"]
        )
    return f"{aligned(rows)}\n{aligned(more)}"


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="Length of one measured run.")
@click.option("--strict", is_flag=True, help="Fail when a promise is broken.")
def main(seconds: float, strict: bool) -> None:
    """Load a stub and rtpengine through both shells of the client, print tables and write JSON to build/bench."""
    machine = calibrate()
    spawning = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        media_ports(PORTS) as ports,
        Daemon(Path(folder), ports) as daemon,
        ProcessPoolExecutor(WORKERS, mp_context=spawning) as pool,
    ):
        clients = Clients(pool)
        recorder = Recorder(daemon.address)
        kinds = {kind: learn(recorder, *parts) for kind, parts in CYCLES.items()}
        recorder.commands.clear()
        run(kinds["split, AMR-WB"].steps("recorded"), recorder)
        recorder.close()
        measured = against_stub(clients, STUB, recorder, seconds, 0.0)
        measured += against_stub(clients, LOSSY, recorder, 2 * seconds, LOSS)
        for setting in RELAY:
            result = clients.load(setting, daemon.address, [Ping()], seconds)
            measured.append(Measured(setting, 0.0, result, None))
        cycled = [cycles_of(clients, daemon, kind, cycle, seconds) for kind, cycle in kinds.items()]
    click.echo(machine.to_text())
    click.echo(text(measured, cycled))
    judged = bars(measured, cycled)
    for bar in judged:
        click.echo(bar.to_text())
    click.echo(f"load now: {os.getloadavg()[0]:.1f} (on a machine with other work these are lower limits)")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"ng-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    figures = {
        "machine": asdict(machine),
        "requests": [asdict(one) for one in measured],
        "cycles": [
            {**asdict(cycle), "own_share": round(cycle.own_share, 4), "share": round(cycle.share, 4)}
            for cycle in cycled
        ],
    }
    path.write_text(json.dumps(figures, indent=1))
    click.echo(f"written: {path.relative_to(OUTPUT.parents[1])}")
    if strict and not all(bar.kept for bar in judged):
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
