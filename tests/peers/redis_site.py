"""A Redis master with a replica and three Sentinels, of the role's templates, and the death of the master."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import redis

from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.roles import ROLES, render_role
from tests.lab.waiting import wait_until

NAME: Final = "gateway"
SENTINELS: Final = 3
START: Final = ROLES / "redis" / "files" / "redis_start.py"


class RedisSite:
    """Servers of our own; the password is the same for all.  The first Sentinels are on the servers' machines."""

    def __init__(self, folder: Path, password: str = "", *, append_only: bool = False) -> None:
        """``append_only``: whether servers know after a restart what they knew before."""
        self._folder = folder
        self._password = password
        self._append_only = append_only
        self._ports = PortBlocks(PortMode.FREE, rtp_ports=0)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._open_logs: list[Any] = []
        self.sentinels: list[int] = []

    def __enter__(self) -> Self:
        self._ports.__enter__()
        self.master, self.replica = self._ports.port(), self._ports.port()
        self.sentinels = [self._ports.port() for _ in range(SENTINELS)]
        for port in self.sentinels:
            self._sentinel(port, master=self.master)
        self._server(self.master, self.sentinels[0])
        self._server(self.replica, self.sentinels[1], redis_replica_of=f"{LOOPBACK} {self.master}")
        wait_until(lambda: self._role(self.replica)[3] == "connected", "the replica follows", 30)
        for port in self.sentinels:
            self._run(port, ["redis-server", str(self._folder / str(port) / "sentinel.conf"), "--sentinel"])
        wait_until(self._sentinels_agree, "the Sentinels know each other and the replica", 60)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes.values():
            process.wait(30)
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

    def lose_master(self) -> float:
        """Let its machine, with a Sentinel, say nothing any more; returns when that was, on the monotonic clock."""
        for port in (self.master, self.sentinels[0]):
            self._processes[port].send_signal(signal.SIGSTOP)
        return time.monotonic()

    def fail_over(self) -> None:
        """Let the Sentinels make the replica master, and the master a replica, whose clients lose their connections."""
        with redis.Redis(port=self.sentinels[0], password=self._password or None) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", NAME)
        wait_until(lambda: self._role(self.master)[0] == "slave", "the master is a replica", 30)

    def replica_apart(self) -> redis.Redis:
        """Return a client of the replica that may write there: it differs, as where a master dies too early."""
        client = redis.Redis(port=self.replica, password=self._password or None, decode_responses=True)
        client.config_set("replica-read-only", "no")
        return client

    def restart_replica(self, **variables: Any) -> None:
        """Restart the second server, which a killed first one has made the master, with a new redis.conf."""
        self._processes[self.replica].terminate()
        self._processes[self.replica].wait(5)
        self._server(self.replica, self.sentinels[1], **variables)

    def files_of_first(self) -> tuple[str, str]:
        """Return what is in redis.conf and sentinel.conf of the machine of the first server."""
        config = self._folder / str(self.master) / "redis.conf"
        return config.read_text(), (self._folder / str(self.sentinels[0]) / "sentinel.conf").read_text()

    def new_server(self) -> int:
        """Start an empty server that no Sentinel knows; return its port."""
        port = self._ports.port()
        self._run(port, ["redis-server", str(self._written(port, "redis.conf.j2"))])
        return port

    def _server(self, port: int, sentinel: int, **variables: Any) -> None:
        """Start a server as its service does, on the machine of this Sentinel."""
        config = self._written(port, "redis.conf.j2", redis_sentinel_port=sentinel, **variables)
        kept = self._folder / str(sentinel) / "sentinel.conf"
        self._run(port, [sys.executable, str(START), str(config), str(kept), NAME])

    def _sentinel(self, port: int, *, master: int) -> Path:
        return self._written(
            port,
            "sentinel.conf.j2",
            redis_sentinel_port=port,
            redis_sentinel_name=NAME,
            redis_sentinel_master=LOOPBACK,
            redis_sentinel_master_port=master,
        )

    def _written(self, port: int, template: str, **variables: Any) -> Path:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        file = folder / template.removesuffix(".j2")
        common = {
            "redis_address": LOOPBACK,
            "redis_port": port,
            "redis_password": self._password,
            "redis_data_dir": str(folder),
            "redis_sentinel_dir": str(folder),
            "redis_append_only": self._append_only,
        }
        file.write_text(render_role("redis", template, {**common, **variables}))
        return file

    def _run(self, port: int, command: list[str]) -> None:
        log = (self._folder / str(port) / "log").open("ab")
        self._open_logs.append(log)
        self._processes[port] = subprocess.Popen(command, stdout=log, stderr=log)
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


def silent_sentinels(stack: ExitStack, *more: int) -> str:
    """Return the URL of Sentinels whose machines say nothing, and of those on these ports behind them."""
    silent = [stack.enter_context(socket.create_server((LOOPBACK, 0), backlog=200)) for _ in range(SENTINELS)]
    ports = [*(one.getsockname()[1] for one in silent[len(more) :]), *more]
    return f"redis+sentinel://{','.join(f'{LOOPBACK}:{port}' for port in ports)}/{NAME}"
