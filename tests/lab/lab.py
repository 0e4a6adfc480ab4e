"""Starts and stops the whole world on loopback.

    with Lab(LabOptions(parts=frozenset({Part.IMS, Part.PHONES}))) as lab:
        lab.phone("phone").dial(lab.info.phones["videophone"].impu)

Start it in the main thread: the kernel stops the processes when the launching thread ends.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from http.client import HTTPException
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from redis import RedisError

from tests.lab import log_secrets
from tests.lab.baresip import BaresipError
from tests.lab.control import ControlError
from tests.lab.kamailio import RpcError
from tests.lab.options import LabOptions, Part
from tests.lab.parts import gateway, haproxy, ims, media_agent, phones, redis, rtpengine, services, web_api
from tests.lab.plan import claim_ports, plan_ports
from tests.lab.ports import PortBlocks
from tests.lab.processes import ProcessDied, Processes, log_tail, stop_leftovers
from tests.lab.site import Site, Step
from tests.lab.waiting import wait_until
from tests.lab.world import INFO_FILE, World, info_to_file
from tests.lab.worldmap import info_of

# Stage by stage; within a stage everything is started first and awaited afterwards.
STEPS: Final = (
    Step(Part.IMS, 0, ims.start_hss, ims.hss_ready),
    Step(Part.REDIS, 0, redis.start, redis.ready),
    Step(Part.RTPENGINE, 0, rtpengine.start, rtpengine.ready),
    Step(Part.IMS, 1, ims.start_cscfs, ims.cscfs_ready),
    Step(Part.GATEWAY, 1, gateway.start, gateway.ready),
    Step(Part.PSTN, 1, services.start_pstn, services.pstn_ready),
    Step(Part.CONFERENCE, 1, services.start_conference, services.conference_ready),
    Step(Part.WEB_API, 1, web_api.start, web_api.ready),
    Step(Part.HAPROXY, 1, haproxy.start, haproxy.ready),
    Step(Part.MEDIA_AGENT, 2, media_agent.start, media_agent.ready),
    Step(Part.PHONES, 2, phones.start, phones.ready),
)

LOGS: Final = "log"

_NOT_YET: Final = (RpcError, ControlError, BaresipError, HTTPException, RedisError)
"""What a process says that lives and cannot do what it is asked yet."""


class RunDirectoryInUse(RuntimeError):
    """The folder is another lab's, or holds something that no lab wrote."""


class Lab(World):
    """One running world; several can run side by side."""

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        self.started_in_s = 0.0
        self._own_run_dir = self.options.run_dir is None
        self._folder: int | None = None
        self._blocks: PortBlocks | None = None
        self._processes: Processes | None = None
        self._site: Site | None = None
        self._step_of: dict[str, Step] = {}
        """By process."""

    def start(self) -> Self:
        """Start the chosen parts and wait until each can be used; stop everything when one fails."""
        began = time.monotonic()
        try:
            run_dir = self._take_run_dir()
            self._blocks = claim_ports(self.options)
            self._clear_run_dir()
            log_dir = self._log_dir
            log_dir.mkdir(exist_ok=log_dir == self.options.log_dir)
            self._processes = Processes(run_dir, log_dir)
            site = Site(self.options, plan_ports(self.options, self._blocks), run_dir, self._processes)
            self._site = site
            self._run_steps(site)
            self.info = info_of(site)
            info_to_file(self.info, run_dir / INFO_FILE)
        except BaseException:
            self.stop(keep_run_dir=True)
            raise
        self.started_in_s = time.monotonic() - began
        _RUNNING.append(self)
        return self

    def _take_run_dir(self) -> Path:
        """Take the folder for as long as this lab runs; nothing in it is touched yet."""
        if self.options.run_dir is None:
            self._run_dir = Path(tempfile.mkdtemp(prefix="lab-"))
        else:
            self._run_dir = self.options.run_dir.absolute()
            self._run_dir.mkdir(parents=True, exist_ok=True)
        self._folder = _lock(self._run_dir)
        if self._folder is None:
            raise RunDirectoryInUse(f"a lab runs in {self._run_dir}")
        return self._run_dir

    def _clear_run_dir(self) -> None:
        """End and remove what a lab that was killed has left in the folder."""
        stop_leftovers(self._run_dir)
        if any(self._run_dir.iterdir()):
            if not (self._run_dir / Processes.RECORDS).exists():
                raise RunDirectoryInUse(f"{self._run_dir} is not empty and no lab ran there")
            _empty(self._run_dir)

    def _run_steps(self, site: Site) -> None:
        processes = site.processes
        chosen = [step for step in STEPS if step.part in self.options.parts]
        for _, stage in groupby(chosen, lambda step: step.stage):
            steps = list(stage)
            processes.next_wave()
            for step in steps:
                before = processes.pids.keys()
                step.start(site)
                self._step_of |= dict.fromkeys(processes.pids.keys() - before, step)
            for step in steps:
                self._wait_ready(site, step)

    def stop(self, *, keep_run_dir: bool = False) -> None:
        """Stop every process, give the ports back and remove a run directory of our own."""
        if self in _RUNNING:
            _RUNNING.remove(self)
        self.disconnect()
        if self._site is not None and Part.REDIS in self.options.parts:
            log_secrets.search_traces(self._site.plan.redis)
        if self._processes is not None:
            self._processes.stop()
        if self._blocks is not None:
            self._blocks.release()
        if (logs := self._log_dir).is_dir():
            log_secrets.search(logs)
        if self._own_run_dir and not keep_run_dir:
            shutil.rmtree(self._run_dir, ignore_errors=True)
        self.leave_run_dir()

    def leave_run_dir(self) -> None:
        """Let another lab have the folder, as when this process is killed."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def log_tails(self) -> dict[str, str]:
        """Return the end of every log by process name."""
        return {path.stem: log_tail(path) for path in sorted(self._log_dir.glob("*.log"))}

    @property
    def _log_dir(self) -> Path:
        return self.options.log_dir or self._run_dir / LOGS

    def check(self) -> bool:
        """Return True while every process runs.

        Raises:
            ProcessDied: one does not; its exit status, and the end of its log.
        """
        assert self._processes is not None
        return self._processes.check()

    def kill(self, process: str) -> None:
        """Kill one process as a crash would."""
        assert self._processes is not None
        self._processes.kill(process)

    def end(self, process: str) -> None:
        """End one process as an operator would."""
        assert self._processes is not None
        self._processes.end(process)

    @property
    def process_ids(self) -> Mapping[str, int]:
        """The processes of this moment; lab.json has those of the start."""
        assert self._processes is not None
        return self._processes.pids

    def start_again(self, process: str, part: Part) -> None:
        """Start a killed process with the same configuration and wait until its part can be used."""
        self.spawn_again(process)
        wait_until(partial(self.is_ready, part), f"{part} ready", self.options.ready_timeout_s)

    def spawn_again(self, process: str) -> None:
        """Start a killed process with the same configuration, and do not wait for it."""
        assert self._processes is not None
        self._processes.start_again(process)

    def mend(self) -> None:
        """Start again what a test has killed, and wake what it has stopped: a test that fails leaves it so.

        Raises:
            ProcessDied: a process had ended by itself, whose log says why; it runs again, too.
        """
        assert self._site is not None and self._processes is not None
        self._processes.wake()
        if not (missing := self._processes.missing()):
            return
        died: ProcessDied | None = None
        for name in missing:
            if name in self._processes.pids:
                try:
                    self._processes.check()
                except ProcessDied as error:
                    died = died or error
                self._processes.kill(name)  # of its group nobody stays
            self._processes.start_again(name)
        for step in dict.fromkeys(self._step_of[name] for name in missing):
            self._wait_ready(self._site, step)
        if died is not None:
            raise died

    def _wait_ready(self, site: Site, step: Step) -> None:
        wait_until(partial(_is_ready, site, step), f"{step.part} ready", self.options.ready_timeout_s)

    def is_ready(self, part: Part) -> bool:
        """Whether a part can be used."""
        assert self._site is not None
        (step,) = (step for step in STEPS if step.part is part)
        return _is_ready(self._site, step)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


_RUNNING: list[Lab] = []


def running_labs() -> tuple[Lab, ...]:
    """Return the labs of this process that run now."""
    return tuple(_RUNNING)


def is_running(run_dir: Path) -> bool:
    """Whether the launcher of a lab in that folder lives."""
    folder = _lock(run_dir)
    if folder is None:
        return True
    os.close(folder)
    return False


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the folder until it is closed or the process ends; None: somebody else has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_ready(site: Site, step: Step) -> bool:
    site.processes.check()
    try:
        return step.ready(site)
    except _NOT_YET as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
