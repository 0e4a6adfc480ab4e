"""Processes of one lab: started with a log file each, stopped together, never left behind.

Every process leads its own group and gets a signal from the kernel when the launcher dies, even by SIGKILL:
SIGTERM, so that a daemon takes its children along, unless the process has none and would hesitate.
The kernel means the launching *thread*: start a lab in a thread that outlives it.
What a dead launcher could not stop is found by the next lab in the same run directory.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tests.lab.waiting import NotReady, wait_until

STOP_TIMEOUT_S: Final = 5.0
LOG_TAIL_LINES: Final = 40
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class ProcessDied(RuntimeError):
    """A process of the lab ended by itself; the text holds the end of its log."""


class ProcessRecord(msgspec.Struct, frozen=True):
    """What identifies a process beyond reuse of its id: the start time, in ticks since boot."""

    name: str
    pid: int
    start_ticks: int


def start_ticks(pid: int) -> int | None:
    """Return a process' start time in ticks since boot, None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log that are not blank."""
    try:
        written = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(written[-lines:])
    except OSError as error:
        return f"(no log: {error})"


def _die_with_launcher(number: signal.Signals) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def _kill_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _group_is_gone(group: int) -> bool:
    """Whether no process of a group has anything any more; one that nobody has waited for has not."""
    with contextlib.suppress(PermissionError):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
            if int(its_group) == group and state not in ("Z", "X"):
                return False
    return True


class Processes:
    """The processes of one run directory, in the order of their start."""

    RECORDS: Final = "processes.json"

    def __init__(self, run_dir: Path, log_dir: Path) -> None:
        self.log_dir = log_dir
        self._records_file = run_dir / self.RECORDS
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._spawned: dict[str, Callable[[], int]] = {}
        self._waves: list[list[str]] = [[]]

    def next_wave(self) -> None:
        """What is spawned from now on needs what runs already, and is stopped before it."""
        self._waves.append([])

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    def log_file(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> int:
        """Start a process under that name with `env` added to the environment; return its id."""
        if name in self._running:
            raise ValueError(f"{name} runs already")
        self._spawned[name] = partial(self.spawn, name, argv, cwd=cwd, env=env, death_signal=death_signal)
        with self.log_file(name).open("ab") as log:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=partial(_die_with_launcher, death_signal),  # noqa: PLW1509 - one system call, no Python state is touched
            )
        self._running[name] = process
        self._waves[-1].append(name)
        self._write_records()
        return process.pid

    def _write_records(self) -> None:
        records = [
            ProcessRecord(name, process.pid, start_ticks(process.pid) or 0)
            for name, process in self._running.items()
        ]
        self._records_file.write_bytes(msgspec.json.encode(records))

    def check(self) -> bool:
        """Return True while everything runs; raise ProcessDied with the log of the first one that does not."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ProcessDied(
                    f"{name} ended with status {process.returncode}; the end of {self.log_file(name)}:\n"
                    + log_tail(self.log_file(name))
                )
        return True

    def missing(self) -> list[str]:
        """Return what was started once and does not run now, in the order of the start."""
        return [
            name
            for name in self._spawned
            if name not in self._running or self._running[name].poll() is not None
        ]

    def wake(self) -> None:
        """Let every process that was stopped go on."""
        for process in self._running.values():
            _kill_group(process.pid, signal.SIGCONT)

    def kill(self, name: str) -> None:
        """Kill one process and its children at once, as a crash would, and wait until their ports are free."""
        process = self._running.pop(name)
        _kill_group(process.pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(NotReady):
            wait_until(lambda: _group_is_gone(process.pid), f"the end of {name}", STOP_TIMEOUT_S)
        self._write_records()

    def end(self, name: str) -> None:
        """End one process as systemd would: it is asked to, and killed when it takes too long."""
        process = self._running.pop(name)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        _kill_group(process.pid, signal.SIGKILL)
        process.wait()
        self._write_records()

    def start_again(self, name: str) -> int:
        """Start a process that was killed, as it was started before; return its new id."""
        return self._spawned[name]()

    def stop(self) -> None:
        """Stop everything, last wave first; SIGKILL for what does not listen."""
        while self._waves:
            wave = [self._running.pop(name) for name in self._waves.pop() if name in self._running]
            for process in wave:
                process.terminate()
            for process in wave:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_TIMEOUT_S)
                _kill_group(process.pid, signal.SIGKILL)  # children that outlived their parent
                process.wait()
        self._write_records()


def stop_leftovers(run_dir: Path) -> list[str]:
    """Stop what an earlier lab left running in that directory; return the names."""
    try:
        records = msgspec.json.decode((run_dir / Processes.RECORDS).read_bytes(), type=list[ProcessRecord])
    except (OSError, msgspec.DecodeError):
        return []
    alive = [record for record in records if start_ticks(record.pid) == record.start_ticks]
    for record in alive:
        _kill_group(record.pid, signal.SIGTERM)
    for record in alive:

        def gone(record: ProcessRecord = record) -> bool:
            return start_ticks(record.pid) != record.start_ticks

        with contextlib.suppress(NotReady):
            wait_until(gone, record.name, STOP_TIMEOUT_S)
        _kill_group(record.pid, signal.SIGKILL)
    return [record.name for record in alive]
