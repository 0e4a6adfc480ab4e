"""Machines as network namespaces: each a process of its own, joined by one bridge in the namespace of the caller.

Nothing can stay behind: a namespace ends with its process, and its end of the line with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

NETWORK: Final = "198.18.240"
"""For measurements (RFC 2544)."""
BRIDGE: Final = "site"
HUB: Final = f"{NETWORK}.1"
_INSIDE_WITHIN_S: Final = 5.0


class MachineError(RuntimeError):
    """A machine cannot be had, or refused an order; the text says why."""


def make_hub() -> None:
    """Make the bridge in this process's namespace, which has to be one of its own."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{HUB}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


class Machine:
    """One machine; orders go in as lines of JSON, answers come out so."""

    def __init__(self, name: str, number: int, *further: int) -> None:
        self.name = name
        self.address = f"{NETWORK}.{number}"
        self.addresses = [self.address, *(f"{NETWORK}.{one}" for one in further)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = ["unshare", "--net", sys.executable, "-m", "tests.bench.rolling.machine"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._join(self._process.pid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate()

    def _join(self, pid: int) -> None:
        own = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + _INSIDE_WITHIN_S
        while Path(f"/proc/{pid}/ns/net").readlink() == own:
            if time.monotonic() > deadline:
                raise MachineError("no network namespace: unshare is not allowed here")
            time.sleep(0.01)
        near = f"to-{self.name}"
        run("ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        run("ip", "link", "set", near, "master", BRIDGE, "up")
        inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip")
        for address in self.addresses:
            run(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")

    def ask(self, **order: Any) -> Any:
        """Give an order and return the answer; raise MachineError with what went wrong there."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise MachineError(f"{self.name} has gone")
        answer = json.loads(line)
        if "error" in answer:
            raise MachineError(f"{self.name}: {answer['error']}")
        return answer["answer"]


def run(*command: str) -> None:
    """Run a command; raise MachineError with its complaint."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MachineError(f"{' '.join(command)}: {done.stderr.strip()}")
