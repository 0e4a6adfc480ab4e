"""A call's cost with few and with many calls held.

Knows the steps and what is measured at each. The relay is its stand-in (`tests.bench.relay`), because rtpengine would
need more file descriptors for 5,000 calls than a process may have where this was written: what Kamailio spends is
measured, not what media cost.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.generator import LoadOrder, order_to_text
from tests.bench.runner import callee
from tests.bench.scale.holder import Done, Errand
from tests.bench.scale.processes import Processes, Spent
from tests.bench.targets import LOOPBACK, signalling

STEPS: Final = (10, 100, 1_000, 5_000)
_PAGES: Final = 200
_RATE: Final = 50.0
_ASKED_RATE: Final = 200.0
_LOST_RATE: Final = 10.0
SETTLE_S: Final = 3.0


@dataclass
class AtSize:
    """What was measured with so many calls held."""

    held: int
    idle_cores: float
    """CPU seconds a second when nothing happens."""
    idle_by_kind: dict[str, float]
    call_ms: float
    """Kamailio's CPU of a new call with its end, answer-then-UPDATE."""
    call_by_kind: dict[str, float]
    call_redis: dict[str, float]
    request_ms: float
    """Of an INFO inside one of the held calls."""
    lost_page_ms: float
    """Of a page without calls that connects, registers and loses its connection."""
    memory_mb: dict[str, float]
    failures: dict[str, int]


class HolderProcess:
    """The load client that holds calls."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, what: str, number: int, rate: float = 0.0) -> Done:
        """Let it do one thing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(Errand(what, number, rate))) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))


@contextmanager
def holder(order: LoadOrder) -> Iterator[HolderProcess]:
    """Run the load client until the block ends."""
    command = [sys.executable, "-m", "tests.bench.scale.holder"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order_to_text(order) + "\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the load client could not connect")
        yield HolderProcess(process)
    finally:
        process.terminate()
        process.communicate()


def measure(steps: Sequence[int], seconds: float, *, settle_s: float = SETTLE_S) -> Iterator[AtSize]:
    """Hold more and more calls and yield what is measured at each step."""
    held = 0
    with callee() as far_end, signalling(far_end.port, gateway_media_timeout_s=0) as target:
        assert target.rpc is not None
        processes = Processes(target.gateway_pids[0], target.rpc, target.redis_url)
        order = LoadOrder(
            target.ws_port, LOOPBACK, target.path, connections=_PAGES, register=True, headers=target.headers
        )
        with holder(order) as client:
            client.do("call_at_rate", max(1, int(seconds * _RATE)), _RATE)  # the code is warm
            for step in steps:
                failures = client.do("hold", step - held).failures
                held = step
                time.sleep(settle_s)
                yield _measure(processes, client, step, seconds, failures)


def _measure(
    processes: Processes, client: HolderProcess, step: int, seconds: float, failures: dict[str, int]
) -> AtSize:
    with processes.spending() as idle:
        time.sleep(seconds)
    with processes.spending() as asking:
        asked = client.do("ask", int(seconds * _ASKED_RATE), _ASKED_RATE)
    with processes.spending() as calling:
        called = client.do("call_at_rate", int(seconds * _RATE), _RATE)
    with processes.spending() as losing:
        lost = client.do("leave", int(seconds * _LOST_RATE), _LOST_RATE)
        time.sleep(0.5)
    memory = processes.memory_mb()
    return AtSize(
        held=step,
        idle_cores=round(idle.cpu_s / idle.seconds, 4),
        idle_by_kind=_rounded(idle, idle.seconds),
        call_ms=_ms(calling, idle, called.good),
        call_by_kind=_rounded(calling, called.good / 1000),
        call_redis=calling.redis_per(idle, called.good),
        request_ms=_ms(asking, idle, asked.good),
        lost_page_ms=_ms(losing, idle, lost.good),
        memory_mb=memory,
        failures={**failures, **asked.failures, **called.failures, **lost.failures},
    )


def _ms(spent: Spent, idle: Spent, number: int) -> float:
    return round(1000 * spent.without(idle) / max(1, number), 3)


def _rounded(spent: Spent, by: float) -> dict[str, float]:
    return {kind: round(used_s / by, 4) for kind, used_s in spent.by_kind.items() if used_s / by >= 0.0005}
