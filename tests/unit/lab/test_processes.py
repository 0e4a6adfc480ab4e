"""The processes of a lab: what was killed is gone with all that it began, and can be found missing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.processes import Processes, start_ticks
from tests.lab.waiting import wait_until


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path, tmp_path)
    yield found
    found.stop()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_who_was_killed_or_ended_is_missing_until_it_is_started_again(
    processes: Processes, tmp_path: Path
) -> None:
    for name in ("killed", "ends", "stays"):
        processes.spawn(name, ["sleep", "1000"], cwd=tmp_path)
    assert processes.missing() == []
    processes.kill("killed")
    os.kill(processes.pids["ends"], signal.SIGKILL)
    wait_until(lambda: processes.missing() == ["killed", "ends"], "an end", 10)
    processes.start_again("killed")
    assert processes.missing() == ["ends"]


def test_children_are_gone_when_the_kill_is_done(processes: Processes, tmp_path: Path) -> None:
    children = tmp_path / "children"
    script = (
        f"for i in 1 2 3 4 5 6 7 8; do sleep 1000 & echo $! >> {children}; done; echo >> {children}; wait"
    )
    processes.spawn("parent", ["sh", "-c", script], cwd=tmp_path)
    wait_until(lambda: children.read_text().endswith("\n\n"), "the children", 10)
    processes.kill("parent")
    assert [start_ticks(int(pid)) for pid in children.read_text().split()] == [None] * 8


def test_who_was_stopped_goes_on(processes: Processes, tmp_path: Path) -> None:
    pid = processes.spawn("stopped", ["sleep", "1000"], cwd=tmp_path)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) == "T", "a stop", 10)
    processes.wake()
    wait_until(lambda: state_of(pid) == "S", "a start", 10)
