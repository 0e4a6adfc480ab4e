"""The gateway under registration load: HAProxy, Kamailio and Redis of the lab, and a registrar in place of the core.

Knows which limits a lab needs for thousands of pages. Must not know what is measured.
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from tests.bench.registration.pages import PagesOrder
from tests.bench.targets import LOOPBACK, WORKERS, free_port, wait_for_port
from tests.lab.kamailio import KamailioRpc
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.roles import role_defaults, role_variables
from tests.lab.subscribers import REALM

FILES_FOR_A_PAGE: Final = 2
"""HAProxy's file descriptors for one page: its socket and the one to Kamailio."""
_OTHER_FILES: Final = 200
_READY_S: Final = 10.0


def connections(pages: int) -> int:
    """Return what HAProxy must be able to take; in a storm a lost connection may outlast its page's return."""
    return pages * 3 // 2 + 500


def fronts_for(pages: int) -> int:
    """Return how many HAProxies these pages need where a process may open no more files than this one.

    Raise OSError with the number where Kamailio, which has them all, could not hold so many.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections(pages) + _OTHER_FILES
    if allowed < needed:
        raise OSError(f"{pages} pages need {needed} file descriptors, `ulimit -n` allows {allowed}")
    return -(-FILES_FOR_A_PAGE * connections(pages) // (allowed - _OTHER_FILES))


class CoreProcess:
    """The registrar, as a process that answers each line with one of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(_pipe(process.stdout).readline())

    def cpu_s(self) -> float:
        """Return the CPU seconds spent since this was last asked."""
        return float(self.ask("report")["cpu_s"])

    def ask(self, line: str) -> dict[str, Any]:
        """Give an order and return its answer."""
        pipe = _pipe(self._process.stdin)
        pipe.write(line + "\n")
        pipe.flush()
        answer: dict[str, Any] = json.loads(_pipe(self._process.stdout).readline())
        return answer


@dataclass(frozen=True)
class RegistrationSite:
    """A running gateway and its registrar."""

    order: PagesOrder
    core: CoreProcess
    gateway_pid: int
    front_pids: tuple[int, ...]
    rpc: KamailioRpc
    redis_url: str


@contextmanager
def core(module: str = "tests.bench.registration.registrar") -> Iterator[CoreProcess]:
    """Run the registrar until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--realm", REALM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield CoreProcess(process)
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def registration_site(changed: Mapping[str, Any], pages: int) -> Iterator[RegistrationSite]:
    """Run everything but the pages, with the sizes that the role gives a gateway for so many.

    `changed` are variables of the role kamailio.
    """
    sizes = ("kamailio_shm_mb", "kamailio_tcp_max_connections", "kamailio_tcp_rd_buf_size")
    with core() as registrar:
        variables = {
            **NO_LIMITS,
            "gateway_icscf_uris": [f"sip:{LOOPBACK}:{registrar.port}"],
            "kamailio_udp_workers": WORKERS,
            "kamailio_tcp_workers": WORKERS,
            "kamailio_pages": pages,
            **{name: role_defaults("kamailio")[name] for name in sizes},
            "kamailio_debug": 1,
            **_udp_only(),
            **changed,
        }
        fronts = fronts_for(pages)
        options = LabOptions(
            parts=frozenset({Part.REDIS, Part.GATEWAY, Part.HAPROXY}),
            phones=(),
            media_ports=0,
            role_variables={"kamailio": variables, "haproxy": _front_limits(-(-pages // fronts), fronts)},
        )
        with Lab(options) as lab, ExitStack() as stack:
            info = lab.info
            port = int(info.web.origin.rpartition(":")[2])
            config = (Path(info.run_dir) / "haproxy.cfg").read_text()
            more = [stack.enter_context(front(config, port)) for _ in range(fronts - 1)]
            yield RegistrationSite(
                order=PagesOrder(LOOPBACK, port, info.web.origin, REALM, more_ports=[one for one, _ in more]),
                core=registrar,
                gateway_pid=info.processes["gateway"],
                front_pids=(info.processes["haproxy"], *(pid for _, pid in more)),
                rpc=lab.gateway_rpc,
                redis_url=info.redis_url,
            )


@contextmanager
def front(config: str, port: int) -> Iterator[tuple[int, int]]:
    """Run one more HAProxy like that of the lab, whose public port is given; yield its port and process."""
    own_port = free_port(socket.SOCK_STREAM)
    head, _, _ = config.partition("frontend metrics")
    kept = [line for line in head.splitlines() if not line.strip().startswith("stats socket")]
    with tempfile.TemporaryDirectory(prefix="front-") as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text("\n".join(kept).replace(f":{port} ssl", f":{own_port} ssl") + "\n")
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(file)], stdout=log, stderr=log)
        try:
            wait_for_port(own_port, process)
            yield own_port, process.pid
        finally:
            process.terminate()
            process.wait(_READY_S)


def _udp_only() -> dict[str, int]:
    """The registrar speaks UDP only: where the gateway would change to TCP for a long request, it may not."""
    return {name: 0 for name in ("kamailio_udp_mtu",) if name in role_defaults("kamailio")}


def _front_limits(pages: int, fronts: int) -> dict[str, int]:
    """One client's limits away, for these share addresses; that of all clients as the role has it, divided."""
    most = connections(pages)
    together = int(role_variables("haproxy", {})["haproxy_new_connections_per_s"])
    return {
        "haproxy_max_connections": most,
        "haproxy_client_connections": most,
        "haproxy_client_connections_per_10s": 100 * most,
        "haproxy_client_requests_per_10s": 100 * most,
        "haproxy_new_connections_per_s": together // fronts,
    }


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
