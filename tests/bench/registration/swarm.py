"""Several load client processes as one: the same task for all, one outcome.

Knows how pages are divided among processes. Must not know what is measured.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from tests.bench.registration.pages import Outcome, PagesOrder, Task


class LoadClientError(RuntimeError):
    """A load client process ended in the middle of its work."""


class Swarm:
    """All pages of a measurement."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids."""
        return tuple(process.pid for process in self._processes)

    def run(self, task: Task) -> Outcome:
        """Let every process do its share at the same time; return the sum."""
        share = dataclasses.replace(
            task,
            pages=task.pages // len(self._processes),
            at_once=max(1, task.at_once // len(self._processes)),
        )
        for process in self._processes:
            pipe = _pipe(process.stdin)
            pipe.write(json.dumps(dataclasses.asdict(share)) + "\n")
            pipe.flush()
        return sum_of([self._outcome(process) for process in self._processes])

    @staticmethod
    def _outcome(process: subprocess.Popen[str]) -> Outcome:
        line = _pipe(process.stdout).readline()
        if not line:
            raise LoadClientError(f"load client ended with {process.wait()}")
        return Outcome(**json.loads(line))


@contextmanager
def swarm(order: PagesOrder, pages: int, processes: int) -> Iterator[Swarm]:
    """Start load clients for at most that many pages; they and their connections end with the block."""
    each = pages // processes
    command = [sys.executable, "-m", "tests.bench.registration.pages"]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for number, process in enumerate(running):
            pipe = _pipe(process.stdin)
            first = number * each
            share = dataclasses.replace(
                order,
                first_page=order.first_page + first,
                authorizations=order.authorizations[first : first + each],
            )
            pipe.write(json.dumps(dataclasses.asdict(share)) + "\n")
            pipe.flush()
        yield Swarm(running)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.communicate()


def sum_of(outcomes: Sequence[Outcome]) -> Outcome:
    """Add up what several processes did side by side."""
    failures: Counter[str] = Counter()
    for outcome in outcomes:
        failures.update(outcome.failures)
    return Outcome(
        registered=sum(outcome.registered for outcome in outcomes),
        transactions=sum(outcome.transactions for outcome in outcomes),
        successes=sum(outcome.successes for outcome in outcomes),
        began_at_s=min(outcome.began_at_s for outcome in outcomes),
        ended_at_s=max(outcome.ended_at_s for outcome in outcomes),
        cpu_s=sum(outcome.cpu_s for outcome in outcomes),
        retries=sum(outcome.retries for outcome in outcomes),
        failures=dict(failures),
    )


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
