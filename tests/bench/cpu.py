"""CPU time of process trees, and how fast this machine is today.

Knows /proc. Must not know what the processes do.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_SCHEDULER_CLOCK = 2
"""CPUCLOCK_SCHED of clock_getcpuclockid(3), which Python lacks for other processes."""
_PROC = Path("/proc")


def tree_cpu_s(roots: Iterable[int]) -> float:
    """Return user and system seconds spent so far by these processes and all their descendants.

    By the scheduler's nanosecond counter: the 10 ms ticks of utime and stime are too coarse when twenty workers share
    a second, and what /proc says of each thread leaves out those that have ended.
    """
    return sum(_process_cpu_s(pid) for pid in process_tree(roots))


def process_tree(roots: Iterable[int]) -> set[int]:
    """Return these processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        fields = _stat_fields(int(entry.name)) if entry.name.isdigit() else []
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    todo = list(roots)
    while todo:
        pid = todo.pop()
        found.add(pid)
        todo += children.get(pid, [])
    return found


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the command: state, ppid, pgrp, session, ..."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:  # the process has ended
        return []
    return text.rpartition(")")[2].split()


def _process_cpu_s(pid: int) -> float:
    """Return what all threads of a process used, those that have ended too."""
    try:
        return time.clock_gettime(~pid << 3 | _SCHEDULER_CLOCK)
    except OSError:  # the process has ended
        return 0.0


def machine_busy_s() -> float:
    """Return the seconds that all cores together have worked so far, for whomever."""
    fields = [int(field) for field in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # without idle and iowait


@dataclass(frozen=True)
class Machine:
    """The machine and its speed at this moment; results of different machines do not compare."""

    cores: int
    model: str
    load_1min: float
    sha256_mb_per_s: float
    python_loops_per_ms: float

    def to_text(self) -> str:
        """One line for the head of a report."""
        return "machine: " + " ".join(f"{key}={value}" for key, value in asdict(self).items())


def calibrate() -> Machine:
    """Measure this machine for a quarter of a second."""
    block = b"\0" * (1 << 20)
    start = time.perf_counter()
    for _ in range(64):
        hashlib.sha256(block).digest()
    hashed = 64 / (time.perf_counter() - start)
    start = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    looped = 1_000_000 / (time.perf_counter() - start) / 1000
    info = Path("/proc/cpuinfo").read_text()
    model = next(
        (ln.partition(":")[2].strip() for ln in info.splitlines() if ln.startswith("model name")), ""
    )
    return Machine(
        os.cpu_count() or 0,
        model.replace(" ", "_"),
        round(os.getloadavg()[0], 2),
        round(hashed, 1),
        round(looped, 1),
    )
