"""CPU time of Kamailio's processes by what they do, the memory of all of them, and what they ask of Redis.

Knows /proc, Kamailio's RPC and INFO of Redis. Must not know what is measured.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from tests.bench.cpu import process_tree
from tests.bench.registration.memory import resident, shared_pool_used
from tests.lab.kamailio import KamailioRpc

_KINDS: Final[tuple[tuple[str, str], ...]] = (
    ("housekeeping", "housekeeping"),
    ("rtimer", "housekeeping"),
    ("RTIMER", "housekeeping"),
    ("tcp receiver", "TCP workers"),
    ("udp receiver", "UDP workers"),
    ("tcp main", "TCP main"),
    ("timer", "timers"),
    ("WEBSOCKET", "WebSocket keep-alive"),
)
_SCHEDULER_CLOCK: Final = 2
"""CPUCLOCK_SCHED of clock_getcpuclockid(3)."""


@dataclass
class Spent:
    """What Kamailio used in a while."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    by_kind: dict[str, float] = field(default_factory=dict)
    """CPU seconds by kind of process."""
    redis_commands: int = 0
    redis_cpu_s: float = 0.0

    def redis_per(self, idle: Spent, number: int) -> dict[str, float]:
        """Return what Redis did for each of so many, without what it does when nothing happens."""
        share = self.seconds / idle.seconds if idle.seconds else 0.0
        return {
            "commands": round((self.redis_commands - idle.redis_commands * share) / max(1, number), 2),
            "CPU ms": round(1000 * (self.redis_cpu_s - idle.redis_cpu_s * share) / max(1, number), 4),
        }

    def without(self, idle: Spent) -> float:
        """Return the CPU seconds without what it uses when nothing happens."""
        return self.cpu_s - idle.cpu_s * self.seconds / idle.seconds if idle.seconds else self.cpu_s


class Processes:
    """Kamailio's processes."""

    def __init__(self, gateway_pid: int, rpc: KamailioRpc, redis_url: str) -> None:
        self._root = gateway_pid
        self._rpc = rpc
        self._redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self._names: dict[int, str] = {}

    @contextmanager
    def spending(self) -> Iterator[Spent]:
        """Fill what is yielded when the block ends."""
        spent = Spent()
        commands, redis_cpu_s = self._redis_used()
        before, began_s = self._used(), time.monotonic()
        yield spent
        spent.seconds = time.monotonic() - began_s
        after = self._used()
        commands_now, redis_cpu_now_s = self._redis_used()
        spent.redis_commands, spent.redis_cpu_s = commands_now - commands, redis_cpu_now_s - redis_cpu_s
        told = self._rpc("core.ps")  # now: the last processes may begin after the first ones answer
        self._names = {told[at]: told[at + 1] for at in range(0, len(told), 2)}
        kinds: defaultdict[str, float] = defaultdict(float)
        for pid, used_s in after.items():
            kinds[self._kind(pid)] += used_s - before.get(pid, 0.0)
        spent.by_kind = {
            kind: round(used_s, 4) for kind, used_s in sorted(kinds.items(), key=lambda one: -one[1])
        }
        spent.cpu_s = sum(kinds.values())

    def memory_mb(self) -> dict[str, float]:
        """Return resident private and shared memory, and what is given out of the pool, in MB of 10^6 bytes."""
        found = resident([self._root])
        return {
            "private": round((found.private + found.files) / 1e6, 1),
            "shared": round(found.shared / 1e6, 1),
            "pool given out": round(shared_pool_used(self._rpc) / 1e6, 1),
            "Redis": round(int(self._info()["used_memory"]) / 1e6, 1),
        }

    def _info(self) -> dict[str, Any]:
        return self._redis.info()

    def _redis_used(self) -> tuple[int, float]:
        info = self._info()
        used_s = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
        return int(info["total_commands_processed"]), used_s

    def _used(self) -> dict[int, float]:
        return {pid: _cpu_s(pid) for pid in process_tree([self._root])}

    def _kind(self, pid: int) -> str:
        name = self._names.get(pid, "")
        return next((kind for mark, kind in _KINDS if mark in name), name or "others")


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of one process, by the scheduler's counter."""
    try:
        return time.clock_gettime(~pid << 3 | _SCHEDULER_CLOCK)
    except OSError:  # it has ended
        return 0.0
