"""The HTTP server's processes: a core each, also for one that takes the place of another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import redis

from tests.bench.cpu import process_tree
from tests.contract.web.server import Server, gunicorn
from tests.lab.waiting import wait_until
from webapp_api.settings import Settings

CORES = sorted(os.sched_getaffinity(0))
PROCESSES = 2


def cores_of(pid: int) -> set[frozenset[int]]:
    """What the threads of a process may run on."""
    return {frozenset(os.sched_getaffinity(int(task.name))) for task in Path(f"/proc/{pid}/task").iterdir()}


def workers(server: Server) -> list[int]:
    """The processes that serve."""
    return sorted(process_tree([server.process.pid]) - {server.process.pid})


def settled(server: Server) -> list[int]:
    """The cores of all processes; fewer while one begins or ends, or hashes a password, which it does anywhere."""
    try:
        found = [cores_of(pid) for pid in workers(server)]
    except (FileNotFoundError, ProcessLookupError):  # one has just ended
        return []
    return sorted(
        core for threads in found if len(threads) == 1 for one in threads if len(one) == 1 for core in one
    )


def test_each_process_has_a_core_and_who_follows_one_that_died_gets_its(
    settings: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    expected = sorted(CORES[::-1][number % len(CORES)] for number in range(PROCESSES))
    with gunicorn(settings, tmp_path, workers=PROCESSES) as server:
        wait_until(lambda: settled(server) == expected, "processes on their cores", 10)
        assert cores_of(server.process.pid) == {frozenset(CORES)}
        first = workers(server)
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: first[0] not in workers(server), "the end of one", 10)
        wait_until(lambda: settled(server) == expected, "another one on its core", 10)
        assert server.get("/healthz") == 200
