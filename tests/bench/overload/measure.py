"""Calls of several processes against one gateway, and what is to be said of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.bench.cpu import process_tree, tree_cpu_s
from tests.bench.generator import LoadOrder
from tests.bench.overload.crowd import GOOD, CrowdOrder, Outcome, order_to_text
from tests.bench.results import Percentiles, percentiles
from tests.bench.runner import callee
from tests.bench.targets import LOOPBACK, REALM, Target, signalling

LATE_S: Final = 4.0
"""Who is not answered within this time has given up (the callee answers at once): T1 * 8, and no goodput."""
EMERGENCY_RATE: Final = 3.0
EMERGENCY: Final = f"sip:112@{REALM}"
WARM_UP_RATE, WARM_UP_S = 30.0, 2.0
SETTLING_S: Final = 2.0
"""The beginning of an overload, which is judged apart from the rest of it."""
_LOWER: Final = 1.5


@dataclass(frozen=True)
class Memory:
    """Of Kamailio, in megabytes."""

    shared: float
    private: float


@dataclass(frozen=True)
class Sample:
    """A gateway at a moment of the monotonic clock."""

    at_s: float
    cpu_s: float
    """What its processes have used so far."""
    memory: Memory


@dataclass(frozen=True)
class Run:
    """One gateway before, under and after more calls than it can take."""

    sustainable: float
    """The most calls per second that were answered, of any rate that was tried."""
    offered: float
    goodput: float
    goodput_at_first: float
    refused: float
    """Share of the calls."""
    lost: float
    """Share of the calls that were neither good nor refused."""
    failures: dict[str, int]
    setup_ms: Percentiles
    """Of the calls that were let in."""
    emergencies: int
    emergencies_good: int
    emergency_setup_ms: Percentiles
    before: Memory
    most: Memory
    after: Memory
    cpu_ms: float
    """Of the gateway for each good call under overload, refusals included."""
    cpu_ms_at_most: float
    """The same at the most calls it can take."""
    recovery_s: float
    """From the end of the overload to the last call that was not good."""

    @property
    def ratio(self) -> float:
        """Goodput under overload, beside the most there is."""
        return self.goodput / self.sustainable


@contextmanager
def pinned_gateway(**variables: Any) -> Iterator[Target]:
    """Run a gateway on one core; everything that loads it has the others."""
    settings: dict[str, Any] = {"gateway_overload_control": True, "gateway_emergency": "core", **variables}
    with callee() as far_end, signalling(far_end.port, **settings) as target:
        call(target, [(WARM_UP_RATE, WARM_UP_S)])  # Kamailio takes calls while it is still forking
        gateway = process_tree(target.gateway_pids)
        _pin(gateway, {0})
        others = process_tree([os.getpid()]) - gateway
        _pin({pid for pid in others if os.sched_getaffinity(pid) != {0}}, set(range(1, os.cpu_count() or 1)))
        yield target


def _pin(pids: set[int], cores: set[int]) -> None:
    for pid in pids if cores else ():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores)


def call(
    target: Target,
    rates: list[tuple[float, float]],
    *,
    processes: int = 2,
    connections: int = 100,
    for_help: float = EMERGENCY_RATE,
) -> tuple[list[Outcome], list[Outcome]]:
    """Let pages call by a plan of rates and seconds, and some for help; return what became of both."""
    order = LoadOrder(
        target.ws_port, LOOPBACK, target.path, connections=connections, register=True, headers=target.headers
    )
    divided = [(rate / processes, seconds) for rate, seconds in rates]
    orders = [
        CrowdOrder(replace(order, first_user=number * connections), divided) for number in range(processes)
    ]
    others = replace(order, connections=6, first_user=processes * connections, target=EMERGENCY)
    orders.append(CrowdOrder(others, [(for_help, sum(seconds for _, seconds in rates))]))
    found = _run(orders)
    return [outcome for outcomes in found[:-1] for outcome in outcomes], found[-1]


def _run(orders: Sequence[CrowdOrder]) -> list[list[Outcome]]:
    command = [sys.executable, "-m", "tests.bench.overload.crowd"]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in orders
    ]
    try:
        for process, order in zip(running, orders, strict=True):
            assert process.stdin is not None
            process.stdin.write(order_to_text(order) + "\n")
            process.stdin.flush()
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the pages could not register")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [[tuple(row) for row in json.loads(process.communicate()[0])] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


def is_good(outcome: Outcome) -> bool:
    """Whether a call was answered before its caller had given up, and ended as it should."""
    invited, answered, what = outcome
    return what == GOOD and answered - invited <= LATE_S


def answered_per_s(
    target: Target, rate: float, seconds: float, said: Callable[[str], None]
) -> tuple[float, float]:
    """Return how many calls per second are answered, of so many that come, and the gateway's CPU for each, in ms.

    The first third is not looked at, and what is answered when no more calls come does not count: it has waited.
    """
    with _watched(target) as samples:
        outcomes, _ = call(target, [(rate, seconds)])
    begin = min(invited for invited, _, _ in outcomes)
    counted_from, end = begin + seconds / 3, begin + seconds
    good = sum(is_good(one) and counted_from <= one[1] < end for one in outcomes) / (end - counted_from)
    setup = percentiles([answered - invited for invited, answered, what in outcomes if what == GOOD])
    cpu_ms = 1000 * _cpu_per_s(samples, counted_from, end) / max(good, 1.0)
    said(
        f"  {rate:.0f} calls/s: {good:.0f} answered, {cpu_ms:.1f} ms of CPU each,"
        f" set-up p50 {setup.p50:.0f} p99 {setup.p99:.0f} ms"
    )
    return good, cpu_ms


def sustainable(
    target: Target, first: float, seconds: float, said: Callable[[str], None]
) -> tuple[float, float]:
    """Return the most calls per second that are answered and the CPU for each, from rates that grow.

    Beyond it a gateway without control collapses: every call waits for those that came before.  So the first rate is
    made lower until the gateway keeps up with it.
    """
    best, rate, missed, climbs = (0.0, 0.0), first, 0, False
    while True:
        good, cpu_ms = answered_per_s(target, rate, seconds, said)
        if not climbs and good < 0.95 * rate:
            best = max(best, (good, cpu_ms))
            rate /= _LOWER
            wait_rest(target)
            continue
        climbs = True
        best = max(best, (good, cpu_ms))
        missed = missed + 1 if good < 0.95 * rate else 0
        if missed == 2:  # one alone may be the machine's
            return best
        rate *= 1.15


def overload(target: Target, most: float, times: float, seconds: float, after_s: float = 6.0) -> Run:
    """Ask for so many times more than a gateway can, for so long, and then for half of what it can."""
    calm = most / 2
    with _watched(target) as samples:
        outcomes, emergencies = call(target, [(calm, 2.0), (times * most, seconds), (calm, after_s)])
    memory = [sample.memory for sample in samples]
    peak = Memory(max(one.shared for one in memory), max(one.private for one in memory))
    begin = min(invited for invited, _, _ in outcomes) + 2.0
    end = begin + seconds
    under = [one for one in outcomes if begin <= one[0] < end]
    settled = [one for one in under if one[0] >= begin + SETTLING_S]
    late = [one for one in outcomes if one[0] >= end and not is_good(one)]
    what = Counter(outcome[2] for outcome in under)
    refused = what["INVITE 503"]
    good = sum(map(is_good, under))
    return Run(
        sustainable=most,
        offered=len(under) / seconds,
        goodput=sum(map(is_good, settled)) / (seconds - SETTLING_S),
        goodput_at_first=(good - sum(map(is_good, settled))) / SETTLING_S,
        refused=refused / len(under),
        lost=(len(under) - refused - good) / len(under),
        failures=dict(what),
        setup_ms=percentiles([answered - invited for invited, answered, what in under if what == GOOD]),
        emergencies=len(emergencies),
        emergencies_good=sum(map(is_good, emergencies)),
        emergency_setup_ms=percentiles([one[1] - one[0] for one in emergencies if one[2] == GOOD]),
        before=memory[0],
        most=peak,
        after=memory_of(target),
        cpu_ms=1000
        * _cpu_per_s(samples, begin + SETTLING_S, end)
        / max(1.0, sum(map(is_good, settled)) / (seconds - SETTLING_S)),
        cpu_ms_at_most=0.0,
        recovery_s=max((one[0] for one in late), default=end) - end,
    )


def memory_of(target: Target) -> Memory:
    """Return what Kamailio takes at this moment."""
    assert target.rpc is not None
    shared = int(target.rpc("core.shmmem")["real_used"])
    private = 0
    for pid in process_tree(target.gateway_pids):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        private += sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))
    return Memory(round(shared / 1e6, 1), round(private / 1000, 1))


@contextmanager
def _watched(target: Target) -> Iterator[list[Sample]]:
    def sample() -> Sample:
        return Sample(time.monotonic(), tree_cpu_s(target.gateway_pids), memory_of(target))

    seen, over = [sample()], threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            seen.append(sample())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _cpu_per_s(samples: Sequence[Sample], begin: float, end: float) -> float:
    first = min(samples, key=lambda one: abs(one.at_s - begin))
    last = min(samples, key=lambda one: abs(one.at_s - end))
    return (last.cpu_s - first.cpu_s) / max(0.1, last.at_s - first.at_s)


def wait_rest(target: Target, seconds: float = 8.0) -> None:
    """Wait until no transaction is left, so that one run does not burden the next."""
    assert target.rpc is not None
    until = time.monotonic() + seconds
    while time.monotonic() < until and int(target.rpc("tm.stats")["current"]):
        time.sleep(0.2)
