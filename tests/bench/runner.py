"""Alternating runs of several targets, and what they say about each other.

Knows rounds, medians and ratios. Must not know how a target is started or how calls are made.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import IO, Final

from tests.bench.cpu import Machine, calibrate, tree_cpu_s
from tests.bench.generator import LoadOrder, order_to_text
from tests.bench.results import (
    CallTimes,
    LoadResult,
    RunResult,
    added_latencies_s,
    percentiles,
)
from tests.bench.targets import LOOPBACK, Target, TargetFactory

_WARM_UP_S: Final = 1.0


class NoCallCompletedError(RuntimeError):
    """A run without one good call says nothing."""


@dataclass(frozen=True)
class Mode:
    """A way to load; rate 0 is a closed loop, of which half load needs a run before."""

    name: str
    rate: float
    by_chance: bool = False
    """Calls come independently of each other, as people make them."""


CLOSED_LOOP: Final = Mode("closed loop", 0.0)
HALF_LOAD: Final = Mode("half load", -1.0)
"""Half of what the target has just done in a closed loop."""


@dataclass(frozen=True)
class Plan:
    """The whole comparison."""

    targets: tuple[str, ...]
    modes: tuple[Mode, ...]
    rounds: int = 5
    seconds: float = 5.0
    connections: int = 20
    processes: int = 1
    """Load client processes; connections and rate are divided among them."""


@dataclass(frozen=True)
class Cell:
    """All runs of one target in one mode."""

    target: str
    mode: str
    runs: tuple[RunResult, ...]

    def median(self, value: Callable[[RunResult], float]) -> float:
        """Return the median of a figure over the rounds."""
        return statistics.median(value(run) for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """Everything a report needs."""

    machine: Machine
    plan: Plan
    cells: tuple[Cell, ...]

    def cell(self, target: str, mode: str) -> Cell:
        """Return one cell."""
        return next(c for c in self.cells if (c.target, c.mode) == (target, mode))


class Callee:
    """The callee process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._pipe(process.stdout).readline())

    def report(self) -> tuple[dict[str, float], float]:
        """Return arrivals by Call-ID and CPU seconds since the last report."""
        pipe = self._pipe(self._process.stdin)
        pipe.write("report\n")
        pipe.flush()
        answer = json.loads(self._pipe(self._process.stdout).readline())
        return answer["arrivals"], answer["cpu_s"]

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@contextmanager
def callee() -> Iterator[Callee]:
    """Run the callee until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.callee"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Callee(process)
    finally:
        process.terminate()
        process.wait()


Mark = Callable[[], None]
"""Called twice: when all connections are open and before the first call, and when the last call is over."""


def load(orders: Sequence[LoadOrder], mark: Mark = lambda: None) -> LoadResult:
    """Run load client processes side by side and add up what they saw.

    Raises:
        RuntimeError: one of them ended before it had a result.
    """
    return load_by("tests.bench.generator", [order_to_text(order) for order in orders], mark)


def load_by(module: str, orders: Sequence[str], mark: Mark) -> LoadResult:
    """Do the same with load clients of a module; see `generator.in_parts`."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_load_client(module)) for _ in orders]
        for process, order in zip(processes, orders, strict=True):
            _tell(process, order)
        for process in processes:
            _said(process)
        mark()
        for process in processes:
            _tell(process, "")
        said = [_said(process) for process in processes]
        mark()
    total = LoadResult()
    for seen in map(json.loads, said):
        total.calls += [CallTimes(**call) for call in seen["calls"]]
        total.cpu_s += seen["cpu_s"]
        total.elapsed_s = max(total.elapsed_s, seen["elapsed_s"])
        for reason, count in seen["failures"].items():
            total.failures[reason] = total.failures.get(reason, 0) + count
    return total


@contextmanager
def _load_client(module: str) -> Iterator[subprocess.Popen[str]]:
    """Run a load client; it lets its connections go with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        with suppress(BrokenPipeError):
            process.communicate()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # its end is told where its answer is missed
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"load client ended with {process.wait()}")
    return line


def orders_for(target: Target, plan: Plan, mode: Mode, seconds: float) -> list[LoadOrder]:
    """Divide connections and rate among the processes."""
    order = LoadOrder(
        target.ws_port,
        LOOPBACK,
        target.path,
        seconds,
        plan.connections // plan.processes,
        mode.rate / plan.processes,
        register=target.register,
        headers=target.headers,
        target=target.called,
    )
    return [
        replace(order, first_user=n * order.connections, phase=n / plan.processes, by_chance=mode.by_chance)
        for n in range(plan.processes)
    ]


def measure(target: Target, plan: Plan, mode: Mode, far_end: Callee) -> RunResult:
    """Warm up, then make one measured run."""
    load(orders_for(target, plan, mode, _WARM_UP_S))
    used: list[tuple[float, float]] = []
    reports: list[tuple[dict[str, float], float]] = []

    def mark() -> None:
        used.append((tree_cpu_s(target.gateway_pids), tree_cpu_s(target.media_pids)))
        reports.append(far_end.report())

    seen = load(orders_for(target, plan, mode, plan.seconds), mark)
    gateway_s, media_s = (after - before for before, after in zip(*used, strict=True))
    arrivals, callee_s = reports[-1]
    completed = len(seen.calls)
    if not completed:
        raise NoCallCompletedError(f"{target.name}, {mode.name}: {seen.failures}")
    return RunResult(
        calls=len(seen.calls),
        failures=seen.failures,
        calls_per_s=round(len(seen.calls) / seen.elapsed_s, 1),
        setup_ms=percentiles([c.answered_at_s - c.invite_at_s for c in seen.calls]),
        added_ms=percentiles(added_latencies_s(seen.calls, arrivals)),
        page_ms=percentiles([c.page_s for c in seen.calls]),
        gateway_cpu_ms=round(1000 * gateway_s / completed, 3),
        media_cpu_ms=round(1000 * media_s / completed, 3),
        generator_cpu_ms=round(1000 * seen.cpu_s / completed, 3),
        callee_cpu_ms=round(1000 * callee_s / completed, 3),
    )


def compare(
    plan: Plan, factories: dict[str, TargetFactory], progress: Callable[[str], None] = lambda text: None
) -> Comparison:
    """Run every target in every mode, round by round, in turning order."""
    machine = calibrate()
    runs: dict[tuple[str, str], list[RunResult]] = {}
    with ExitStack() as stack:
        far_end = stack.enter_context(callee())
        running = [(name, stack.enter_context(factories[name](far_end.port))) for name in plan.targets]
        for number in range(plan.rounds):
            for mode in plan.modes:
                # The order turns so that a slow drift of the machine hits all alike.
                for name, target in _turned(running, number):
                    known = runs.get((name, CLOSED_LOOP.name))
                    at = (
                        replace(mode, rate=known[-1].calls_per_s / 2) if known and mode == HALF_LOAD else mode
                    )
                    result = measure(target, plan, at, far_end)
                    runs.setdefault((name, mode.name), []).append(result)
                    progress(f"round {number + 1} {mode.name}: {name} {result.calls_per_s} calls/s")
    cells = tuple(Cell(name, mode, tuple(found)) for (name, mode), found in runs.items())
    return Comparison(machine, plan, cells)


def comparison_to_json(comparison: Comparison) -> str:
    """Print a comparison."""
    return json.dumps(asdict(comparison), indent=1)


def _turned(items: Sequence[tuple[str, Target]], number: int) -> Iterable[tuple[str, Target]]:
    return items if number % 2 == 0 else items[::-1]
