"""A Redis master with a replica and three Sentinels, of the role's templates, and the death of the master."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Self

import redis

from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.roles import render_role
from tests.lab.waiting import wait_until

NAME: Final = "gateway"
SENTINELS: Final = 3


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
        self._start(self.master, "redis.conf.j2")
        self._start(self.replica, "redis.conf.j2", redis_replica_of=f"{LOOPBACK} {self.master}")
        wait_until(lambda: self._role(self.replica)[3] == "connected", "the replica follows", 10)
        for port in self.sentinels:
            self._start(
                port,
                "sentinel.conf.j2",
                redis_sentinel_port=port,
                redis_sentinel_name=NAME,
                redis_sentinel_master=LOOPBACK,
                redis_sentinel_master_port=self.master,
            )
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
        option = f"?sentinel_password={self._password}" if self._password else ""
        return f"redis+sentinel://{user}{hosts}/{NAME}{option}"

    def kill_master(self) -> float:
        """Kill it; returns when that was, on the monotonic clock."""
        self._processes[self.master].kill()
        return time.monotonic()

    def replica_apart(self) -> redis.Redis:
        """Return a client of the replica that may write there: it differs, as where a master dies too early."""
        client = redis.Redis(port=self.replica, password=self._password or None, decode_responses=True)
        client.config_set("replica-read-only", "no")
        return client

    def _start(self, port: int, template: str, **variables: Any) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        file = folder / template.removesuffix(".j2")
        common = {
            "redis_address": LOOPBACK,
            "redis_port": port,
            "redis_password": self._password,
            "redis_data_dir": str(folder),
            "redis_sentinel_dir": str(folder),
            "redis_append_only": False,
        }
        file.write_text(render_role("redis", template, {**common, **variables}))
        log = (folder / "log").open("wb")
        self._open_logs.append(log)
        options = ["--sentinel"] if template.startswith("sentinel") else []
        self._processes[port] = subprocess.Popen(
            ["redis-server", str(file), *options], stdout=log, stderr=log
        )
        wait_until(lambda: _listens(port), f"Redis listens on {port}", 5)

    def _role(self, port: int) -> Any:
        with redis.Redis(port=port, password=self._password or None, decode_responses=True) as client:
            found: Any = client.role()
            return found

    def _sentinels_agree(self) -> bool:
        for port in self.sentinels:
            with redis.Redis(port=port, password=self._password or None, decode_responses=True) as client:
                seen: Any = client.execute_command("SENTINEL", "MASTER", NAME)
                seen = seen if isinstance(seen, dict) else dict(zip(seen[::2], seen[1::2], strict=True))
                if (int(seen["num-other-sentinels"]), int(seen["num-slaves"])) != (SENTINELS - 1, 1):
                    return False
        return True


def _listens(port: int) -> bool:
    with socket.create_connection((LOOPBACK, port), 1):
        return True
