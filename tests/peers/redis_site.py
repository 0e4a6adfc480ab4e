"""A Redis master with a replica and three Sentinels, which make the replica a master within about two seconds."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Self

import redis

from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.waiting import wait_until

NAME: Final = "gateway"
SENTINELS: Final = 3
DOWN_AFTER_MS: Final = 1000


class RedisSite:
    """Servers of our own; the password is the same for all."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self._folder = folder
        self._password = password
        self._ports = PortBlocks(PortMode.FREE, rtp_ports=0)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._open_logs: list[Any] = []
        self.sentinels: list[int] = []

    def __enter__(self) -> Self:
        self._ports.__enter__()
        self.master, self.replica = self._ports.port(), self._ports.port()
        self.sentinels = [self._ports.port() for _ in range(SENTINELS)]
        secret = [f"requirepass {self._password}", f"masterauth {self._password}"] if self._password else []
        self._start(self.master, secret)
        self._start(self.replica, [*secret, f"replicaof {LOOPBACK} {self.master}"])
        wait_until(lambda: self._role(self.replica)[3] == "connected", "the replica follows", 10)
        for port in self.sentinels:
            lines = [
                f"sentinel monitor {NAME} {LOOPBACK} {self.master} 2",
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {NAME} 10000",
            ]
            if self._password:
                lines.append(f"sentinel auth-pass {NAME} {self._password}")
            self._start(port, lines, "--sentinel")
        wait_until(self._sentinels_agree, "the Sentinels know each other and the replica", 15)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            process.wait(5)
        for log in self._open_logs:
            log.close()
        self._ports.__exit__(None, None, None)

    @property
    def url(self) -> str:
        """The URL programs are given."""
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.sentinels)
        user = f":{self._password}@" if self._password else ""
        return f"redis+sentinel://{user}{hosts}/{NAME}"

    def kill_master(self) -> float:
        """Kill it; returns when that was, on the monotonic clock."""
        self._processes[self.master].kill()
        return time.monotonic()

    def _start(self, port: int, lines: list[str], *options: str) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        file = folder / "redis.conf"
        file.write_text("\n".join([f"port {port}", f"bind {LOOPBACK}", f"dir {folder}", "save ''", *lines]))
        log = (folder / "log").open("wb")
        self._open_logs.append(log)
        command = ["redis-server", str(file), *options]
        self._processes[port] = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: _listens(port), f"Redis listens on {port}", 5)

    def _role(self, port: int) -> Any:
        with redis.Redis(port=port, password=self._password or None, decode_responses=True) as client:
            found: Any = client.role()
            return found

    def _sentinels_agree(self) -> bool:
        for port in self.sentinels:
            with redis.Redis(port=port, decode_responses=True) as client:
                seen: Any = client.execute_command("SENTINEL", "MASTER", NAME)
                seen = seen if isinstance(seen, dict) else dict(zip(seen[::2], seen[1::2], strict=True))
                if (int(seen["num-other-sentinels"]), int(seen["num-slaves"])) != (SENTINELS - 1, 1):
                    return False
        return True


def _listens(port: int) -> bool:
    with socket.create_connection((LOOPBACK, port), 1):
        return True
