"""What runs on one machine: parts of the lab, rendered from the roles.  Orders come in as lines of JSON.

    {"do": "start", "parts": [...], "variables": {role: {...}}}   -> {"answer": {"redis_port", "ng_port"}}
    {"do": "redis", "address", "password"}                        -> a Redis that others reach
    {"do": "control", "method", "path", "body"}                   -> [status, answer] of the gateway's control endpoint
    {"do": "haproxy", "words": "disable frontend public"}         -> what the role's own program says
    {"do": "restart"}                                             -> seconds until Kamailio takes calls again
    {"do": "logged", "words": "event=..."}                        -> how many lines of the gateway's log have that

Ends with its standard input.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.processes import log_tail
from tests.lab.roles import REPOSITORY, render_role
from tests.lab.waiting import wait_until

_STOPPED_WITHIN_S: Final = 15.0
_STARTED_WITHIN_S: Final = 30.0
_SAY: Final = REPOSITORY / "ansible/roles/haproxy/files/say.py"
REDIS_PORT: Final = 6379


class Orders:
    """What can be ordered."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._lab: Lab | None = None

    @property
    def lab(self) -> Lab:
        """What runs here."""
        assert self._lab is not None
        return self._lab

    def start(self, parts: list[str], variables: dict[str, dict[str, Any]]) -> dict[str, int]:
        """Start parts of the lab."""
        options = LabOptions(
            parts=frozenset(map(Part, parts)), phones=(), media_ports=2000, role_variables=variables
        )
        self._lab = self._stack.enter_context(Lab(options))
        return {"ng_port": self.lab.info.rtpengine.ng_port}

    def redis(self, address: str, password: str) -> None:
        """Start a Redis that other machines reach."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rolling-redis-")))
        file = folder / "redis.conf"
        variables = {
            "redis_address": address,
            "redis_port": REDIS_PORT,
            "redis_password": password,
            "redis_data_dir": str(folder),
            "redis_append_only": False,
        }
        file.write_text(render_role("redis", "redis.conf.j2", variables))
        process = subprocess.Popen(["redis-server", str(file)], stdout=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def control(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask the gateway's control endpoint."""
        return self.lab.control(method, path, body)

    def haproxy(self, words: str) -> str:
        """Say something to HAProxy, as the role's tasks do."""
        socket = str(Path(self.lab.info.run_dir) / "haproxy.sock")
        done = subprocess.run(
            [sys.executable, str(_SAY), socket, *words.split()], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def restart(self) -> float:
        """Stop Kamailio as systemd does, and start it again."""
        began = time.monotonic()
        pid = self.lab.process_ids["gateway"]
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: _has_ended(pid), "Kamailio has stopped", _STOPPED_WITHIN_S)
        self.lab.kill("gateway")
        self.lab.spawn_again("gateway")
        wait_until(
            lambda: self.lab.is_ready(Part.GATEWAY), f"Kamailio: {log_tail(self._log)}", _STARTED_WITHIN_S
        )
        return time.monotonic() - began

    def logged(self, words: str) -> int:
        """Count lines of the gateway's log."""
        return sum(words in line for line in self._log.read_text(errors="replace").splitlines())

    def log(self, words: str) -> list[str]:
        """Return lines of the gateway's log."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if words in line]

    @property
    def _log(self) -> Path:
        return Path(self.lab.info.log_dir) / "gateway.log"


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def main() -> None:
    """Do what is ordered."""
    with ExitStack() as stack:
        orders = Orders(stack)
        for line in sys.stdin:
            order = json.loads(line)
            try:
                answer = {"answer": getattr(orders, order.pop("do"))(**order)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
