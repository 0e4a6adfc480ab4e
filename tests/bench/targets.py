"""What can be loaded: the two twins, and the gateway itself in a small lab.

Knows how each is started in front of a given callee port and which processes belong to it. Must
not know how load is made.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.bench.callee import PCMA_USER
from tests.bench.load_call import TARGET
from tests.lab.kamailio import KamailioRpc
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.roles import role_defaults

LOOPBACK: Final = "127.0.0.1"
_TWIN: Final = Path(__file__).parent / "twin"
_READY_S: Final = 10.0
_SHM_MB: Final = 1024
_PKG_MB: Final = 16
_MEMORY_MANAGER: Final = "tlsf"  # the gateway's, or the twins would be dearer than they need be
REALM: Final = "ims.example"
"""Where the load client registers."""
WORKERS: Final = 2
"""UDP and TCP workers of every target, as the role has them on two cores, and as in twin/common.cfg."""


@dataclass(frozen=True)
class Target:
    """A running gateway, twin or real."""

    name: str
    ws_port: int
    gateway_pids: tuple[int, ...]
    media_pids: tuple[int, ...] = ()
    path: str = "/sip"
    register: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    rpc: KamailioRpc | None = None
    redis_url: str = ""
    called: str = TARGET
    """Whom its pages call: who that is decides what the callee speaks."""


TargetFactory = Callable[[int], AbstractContextManager[Target]]
"""From the callee's port to a running target."""


def free_port(kind: socket.SocketKind) -> int:
    """Return a port nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((LOOPBACK, 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def twin(name: str, config: str, callee_port: int) -> Iterator[Target]:
    """Run one of the twin configurations."""
    with tempfile.TemporaryDirectory(prefix="twin-") as folder:
        ws_port = free_port(socket.SOCK_STREAM)
        values = {
            "WS_PORT": str(ws_port),
            "SIP_PORT": str(free_port(socket.SOCK_DGRAM)),
            "CALLEE_PORT": str(callee_port),
            "KEMI_SCRIPT": str(Path(folder) / "kemi_plain.py"),
        }
        for source in [*_TWIN.glob("*.cfg"), *_TWIN.glob("*.py")]:
            text = source.read_text()
            for key, value in values.items():
                text = text.replace(key, value)
            (Path(folder) / source.name).write_text(text)
        with kamailio(Path(folder) / config) as process:
            wait_for_port(ws_port, process)
            yield Target(name, ws_port, (process.pid,))


@contextmanager
def kamailio(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Kamailio in the foreground until the block ends; its log is beside the configuration."""
    binary = shutil.which("kamailio") or "/usr/sbin/kamailio"
    log = config.with_suffix(".log")
    memory = ["-m", str(_SHM_MB), "-M", str(_PKG_MB), "-x", _MEMORY_MANAGER, "-X", _MEMORY_MANAGER]
    command = [binary, "-f", str(config), "-DD", "-E", *memory]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-Y", str(config.parent)], stdout=output, stderr=subprocess.STDOUT, cwd=config.parent
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_READY_S)


@contextmanager
def full_flow(callee_port: int, name: str = "full flow", **variables: object) -> Iterator[Target]:
    """Run the gateway with rtpengine and Redis, and the callee in place of the IMS core."""
    parts = frozenset({Part.REDIS, Part.RTPENGINE, Part.GATEWAY})
    with _gateway(name, callee_port, parts, variables) as target:
        yield target


@contextmanager
def transcoding(callee_port: int, **variables: object) -> Iterator[Target]:
    """Run the same, with calls of somebody who speaks PCMA alone."""
    with full_flow(callee_port, "transcoding", **variables) as target:
        yield replace(target, called=f"sip:{PCMA_USER.decode()}@{REALM}")


@contextmanager
def signalling(
    callee_port: int, name: str = "signalling", *, relay_delay_s: float = 0.0, **variables: object
) -> Iterator[Target]:
    """Run the gateway with a stand-in for the relay's control port: the gateway's own cost, alone."""
    command = [sys.executable, "-m", "tests.bench.relay", "--delay-s", str(relay_delay_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout is not None
        nodes = [{"address": LOOPBACK, "port": int(relay.stdout.readline()), "version": "10.5"}]
        parts = frozenset({Part.REDIS, Part.GATEWAY})
        try:
            variables = {"gateway_rtpengine_nodes": nodes, **variables}
            with _gateway(name, callee_port, parts, variables) as target:
                yield replace(target, media_pids=(relay.pid,))
        finally:
            relay.communicate()


@contextmanager
def _gateway(
    name: str, callee_port: int, parts: frozenset[Part], variables_of_target: dict[str, object]
) -> Iterator[Target]:
    origin = "https://bench.example"
    variables = {
        **NO_LIMITS,
        "gateway_icscf_uris": [f"sip:{LOOPBACK}:{callee_port}"],
        "gateway_realm": REALM,
        "gateway_origins": [origin],
        "kamailio_udp_workers": WORKERS,
        "kamailio_tcp_workers": WORKERS,
        "kamailio_shm_mb": _SHM_MB,
        "kamailio_memory_manager": _MEMORY_MANAGER,
        "kamailio_debug": 1,
        "kamailio_udp_mtu": 0,  # the callee speaks UDP only
        **variables_of_target,
    }
    options = LabOptions(
        parts=parts,
        media_ports=_MEDIA_PORTS if Part.RTPENGINE in parts else 0,
        role_variables={"kamailio": variables, "rtpengine": RELAY},
    )
    with Lab(options) as lab:
        processes = lab.info.processes
        yield Target(
            name,
            lab.info.gateway.ws_port,
            (processes["gateway"],),
            tuple(processes[part] for part in ("rtpengine",) if part in processes),
            register=True,
            headers={"Origin": origin, "X-Forwarded-For": "198.51.100.7"},
            rpc=lab.gateway_rpc,
            redis_url=lab.info.redis_url or "",
        )


_NEVER: Final = 1_000_000
_RATES: Final = {"register": _NEVER, "invite": _NEVER, "in_call": _NEVER, "other": _NEVER}
_NEVER_REACHED: Final[dict[str, Any]] = {
    "gateway_limits_connection": _RATES,
    "gateway_limits_identity": _RATES,
    "gateway_limits_address": {**_RATES, "in_call": 0},
    "gateway_limits_unrefused": _NEVER,
    "gateway_overload_target_wait_s": 10,
    "gateway_calls_per_identity": 1000,
}
"""One page of the load does what a hundred do: it is counted as the role has it, but not refused."""
_OF_TESTS: Final = {*NO_LIMITS, "kamailio_debug"}
EVERYTHING: Final[dict[str, Any]] = {
    **{name: value for name, value in role_defaults("kamailio").items() if name in _OF_TESTS},
    **_NEVER_REACHED,
}
"""Limits, counters, bans, overload control and log lines as the role has them; traces and history are on anyway."""
RELAY: Final = {"rtpengine_log_level": role_defaults("rtpengine")["rtpengine_log_level"]}
"""Of the role's rtpengine, where labs have it another way: they log each call's steps."""
_MEDIA_PORTS: Final = 4000
"""A closed loop holds few calls at once, but rtpengine keeps ports of ended calls for a while."""

TARGETS: Final[dict[str, TargetFactory]] = {
    "native": lambda callee_port: twin("native", "native.cfg", callee_port),
    "kemi": lambda callee_port: twin("kemi", "kemi.cfg", callee_port),
    "full": lambda callee_port: full_flow(callee_port, **EVERYTHING),
    "transcoding": lambda callee_port: transcoding(callee_port, **EVERYTHING),
    "signalling": lambda callee_port: signalling(callee_port, **EVERYTHING),
    "unlimited": lambda callee_port: signalling(callee_port, "signalling, no limits"),
    "untraced": lambda callee_port: signalling(
        callee_port, "signalling, untraced", **{**EVERYTHING, "gateway_trace": False}
    ),
}


def wait_for_port(port: int, process: subprocess.Popen[bytes], address: str = LOOPBACK) -> None:
    """Wait until a process listens; raise RuntimeError when it does not."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((address, port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"no listener on port {port}")
