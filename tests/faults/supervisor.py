"""What systemd does on a real machine: whoever ends is started again after a second.

Knows processes and daemons.  Must not know why they ended.  `tests/unit/test_fault_rows.py` sees that the roles' units
say the same (Restart=always, RestartSec=1, no limit).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tests.contract.rtpengine.daemon import Daemon
from tests.lab.lab import Lab
from tests.lab.processes import start_ticks

RESTART_S: Final = 1.0
_LOOK_S: Final = 0.02


class Supervisor:
    """Looks after one lab and its relay nodes."""

    def __init__(self, lab: Lab, daemons: Sequence[Daemon]) -> None:
        self._lab = lab
        self._daemons = daemons
        self._due: dict[str, float] = {}
        self._starting: dict[Daemon, asyncio.Task[None]] = {}
        self.ended: dict[str, float] = {}
        """When each process was found dead last, on the monotonic clock."""

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(_LOOK_S)

    def _look(self) -> None:
        now = time.monotonic()
        for name, pid in dict(self._lab.process_ids).items():
            if start_ticks(pid) is None:
                self._lab.kill(name)  # of its group nobody stays, as systemd sees to it
                self.ended[name] = now
                self._due[name] = now + RESTART_S
        for name, due in list(self._due.items()):
            if now >= due:
                del self._due[name]
                self._lab.spawn_again(name)
        for daemon in self._daemons:
            if not daemon.alive and daemon not in self._starting:
                self._starting[daemon] = asyncio.create_task(self._start(daemon))

    async def _start(self, daemon: Daemon) -> None:
        await asyncio.sleep(RESTART_S)
        await asyncio.to_thread(daemon.start)
        del self._starting[daemon]
