"""The gateway under registration load: HAProxy, Kamailio and Redis of the lab, and a registrar in place of the core.

Knows which limits a lab needs for thousands of pages. Must not know what is measured.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

from tests.bench.registration.pages import PagesOrder
from tests.bench.targets import LOOPBACK, WORKERS
from tests.lab.kamailio import KamailioRpc
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.roles import role_defaults
from tests.lab.subscribers import REALM

FILES_FOR_A_PAGE: Final = 2
"""HAProxy's file descriptors for one page: its socket and the one to Kamailio."""
_OTHER_FILES: Final = 100


def connections(pages: int) -> int:
    """Return what HAProxy must be able to take; in a storm a lost connection may outlast its page's return."""
    return pages * 3 // 2 + 500


def check_files(pages: int) -> None:
    """Raise OSError with the number when this process may not open as many files as HAProxy will need."""
    needed = FILES_FOR_A_PAGE * connections(pages) + _OTHER_FILES
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < needed:
        raise OSError(f"{pages} pages need {needed} file descriptors, `ulimit -n` allows {allowed}")


class CoreProcess:
    """The registrar."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(_pipe(process.stdout).readline())

    def cpu_s(self) -> float:
        """Return the CPU seconds spent since this was last asked."""
        pipe = _pipe(self._process.stdin)
        pipe.write("report\n")
        pipe.flush()
        return float(json.loads(_pipe(self._process.stdout).readline())["cpu_s"])


@dataclass(frozen=True)
class RegistrationSite:
    """A running gateway and its registrar."""

    order: PagesOrder
    core: CoreProcess
    gateway_pid: int
    front_pid: int
    rpc: KamailioRpc
    redis_url: str


@contextmanager
def core() -> Iterator[CoreProcess]:
    """Run the registrar until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.registration.registrar", "--realm", REALM],
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
        options = LabOptions(
            parts=frozenset({Part.REDIS, Part.GATEWAY, Part.HAPROXY}),
            phones=(),
            media_ports=0,
            role_variables={"kamailio": variables, "haproxy": _front_limits(pages)},
        )
        with Lab(options) as lab:
            info = lab.info
            port = int(info.web.origin.rpartition(":")[2])
            yield RegistrationSite(
                order=PagesOrder(LOOPBACK, port, info.web.origin, REALM),
                core=registrar,
                gateway_pid=info.processes["gateway"],
                front_pid=info.processes["haproxy"],
                rpc=lab.gateway_rpc,
                redis_url=info.redis_url,
            )


def _udp_only() -> dict[str, int]:
    """The registrar speaks UDP only: where the gateway would change to TCP for a long request, it may not."""
    return {name: 0 for name in ("kamailio_udp_mtu",) if name in role_defaults("kamailio")}


def _front_limits(pages: int) -> dict[str, int]:
    most = connections(pages)
    return {
        "haproxy_max_connections": most,
        "haproxy_client_connections": most,
        "haproxy_client_connections_per_10s": 100 * most,
        "haproxy_client_requests_per_10s": 100 * most,
    }


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
