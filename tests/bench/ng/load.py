"""Client processes that send as much as they can, through the two shells of our client.

Knows how to load and what to count. Must not know what is at the other end.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rtpengine.ng.commands import Command
from rtpengine.ng.errors import NgError
from rtpengine.ng.protocol import Counters, Dropped
from rtpengine.pool import NodeAddress
from rtpengine.sessions import run
from rtpengine.transport.aio import AioClient
from rtpengine.transport.udp import UdpClient
from tests.bench.ng.cycle import Cycle
from tests.bench.results import Percentiles, percentiles

DEADLINE_S: Final = 5.0
"""Time for several retransmissions, so that a loss costs time and no request."""


class Shell(StrEnum):
    """Which of the client's shells."""

    BLOCKING = "blocking"
    ASYNCIO = "asyncio"


@dataclass(frozen=True)
class LoadOrder:
    """What one client process is to do."""

    shell: Shell
    address: NodeAddress
    commands: tuple[Command[Any], ...]
    """Sent in turn."""
    begin_at_s: float
    """On the machine's monotonic clock."""
    seconds: float
    in_flight: int = 1
    """Requests at the same time; "blocking" has one."""


@dataclass
class Tally:
    """What a client process saw."""

    latencies_s: list[float]
    failed: int = 0
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    retransmitted: int = 0
    unexpected: int = 0
    """Replies that no request waited for, those that came again left out."""


@dataclass(frozen=True)
class LoadResult:
    """What all client processes of a run saw."""

    answered: int
    failed: int
    per_s: float
    cpu_us: float
    """CPU time of the client for each request."""
    latency_ms: Percentiles
    longest_ms: float
    retransmitted: int
    unexpected: int


def load(order: LoadOrder) -> Tally:
    """Carry an order out; to be called in a process of its own."""
    time.sleep(max(0.0, order.begin_at_s - time.monotonic()))
    return _load_blocking(order) if order.shell is Shell.BLOCKING else asyncio.run(_load_asyncio(order))


def added_up(tallies: Sequence[Tally]) -> LoadResult:
    """Add up what processes saw that worked side by side."""
    latencies = [one for tally in tallies for one in tally.latencies_s]
    answered = len(latencies)
    return LoadResult(
        answered,
        sum(tally.failed for tally in tallies),
        round(answered / max(tally.elapsed_s for tally in tallies), 1),
        round(1e6 * sum(tally.cpu_s for tally in tallies) / max(1, answered), 2),
        percentiles(latencies),
        round(1000 * max(latencies, default=0.0), 1),
        sum(tally.retransmitted for tally in tallies),
        sum(tally.unexpected for tally in tallies),
    )


def _load_blocking(order: LoadOrder) -> Tally:
    client = UdpClient(order.address, deadline_s=DEADLINE_S)
    tally = Tally([])
    clock, done = time.perf_counter, tally.latencies_s.append
    cpu_before_s, began = time.process_time(), clock()
    end = began + order.seconds
    while clock() < end:
        for command in order.commands:
            sent_at = clock()
            try:
                client.request(command)
            except NgError:
                tally.failed += 1
            else:
                done(clock() - sent_at)
    _conclude(tally, clock() - began, time.process_time() - cpu_before_s, client.counters)
    client.close()
    return tally


async def _load_asyncio(order: LoadOrder) -> Tally:
    client = await AioClient.connect(order.address, deadline_s=DEADLINE_S)
    tally = Tally([])
    clock, done = time.perf_counter, tally.latencies_s.append
    cpu_before_s, began = time.process_time(), clock()
    end = began + order.seconds

    async def one_after_the_other() -> None:
        while clock() < end:
            for command in order.commands:
                sent_at = clock()
                try:
                    await client.request(command)
                except NgError:
                    tally.failed += 1
                else:
                    done(clock() - sent_at)

    await asyncio.gather(*(one_after_the_other() for _ in range(order.in_flight)))
    _conclude(tally, clock() - began, time.process_time() - cpu_before_s, client.counters)
    client.close()
    return tally


def _conclude(tally: Tally, elapsed_s: float, cpu_s: float, counters: Counters) -> None:
    tally.elapsed_s, tally.cpu_s = elapsed_s, cpu_s
    tally.retransmitted = counters.retransmitted
    tally.unexpected = sum(counters.dropped.values()) - counters.dropped[Dropped.DUPLICATE]


@dataclass(frozen=True)
class CycleOrder:
    """Calls to set up and end, one after the other, by one blocking client."""

    address: NodeAddress
    cycle: Cycle
    begin_at_s: float
    seconds: float


def cycles(order: CycleOrder) -> Tally:
    """Carry an order out; to be called in a process of its own. A latency is that of a whole call."""
    client = UdpClient(order.address, deadline_s=DEADLINE_S)
    tally = Tally([])
    name = f"cycle-{os.getpid()}-{order.begin_at_s}"
    time.sleep(max(0.0, order.begin_at_s - time.monotonic()))
    clock = time.perf_counter
    cpu_before_s, began = time.process_time(), clock()
    end = began + order.seconds
    for number in itertools.count():
        sent_at = clock()
        if sent_at >= end:
            break
        run(order.cycle.steps(f"{name}-{number}"), client)
        tally.latencies_s.append(clock() - sent_at)
    _conclude(tally, clock() - began, time.process_time() - cpu_before_s, client.counters)
    client.close()
    return tally
