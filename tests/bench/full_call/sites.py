"""The systems that are compared, each started in front of the same phone.

Knows how each is started, which of its processes count, and how a page gets there. Must not know calls.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rtpengine.ng.commands import Ping
from rtpengine.ng.errors import NgError
from rtpengine.pool import NodeAddress
from rtpengine.transport.udp import UdpClient
from tests.bench.first_audio import sites as first_audio
from tests.bench.full_call.media import HOST
from tests.bench.full_call.pages import CLASSIC, TWO_WAY, UPDATE, Kind, Page, janus_page, sip_page
from tests.bench.generator import LoadOrder
from tests.bench.media_load.janus import running_server
from tests.bench.targets import WORKERS, free_port, kamailio, wait_for_port
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, media_ports, render_configuration
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.parts.rtpengine import THREADS
from tests.lab.ports import PortBlocks, PortMode
from tests.lab.relay_program import bare_command
from tests.lab.subscribers import REALM
from tests.lab.waiting import wait_until

_MEDIA_PORTS: Final = 4000
_SHM_MB: Final = 1024
_READY_S: Final = 10.0
_LOG_LEVEL: Final = 5
"""Of every rtpengine: the role's, which is its own, too."""
_CLASSIC: Final = Path(first_audio.__file__).parent / "classic.cfg"
_OURS: Final = frozenset({Part.REDIS, Part.RTPENGINE, Part.GATEWAY, Part.HAPROXY, Part.MEDIA_AGENT})

MakePage = Callable[[int], Awaitable[Page]]


@dataclass(frozen=True)
class System:
    """A running system: its parts' processes by name, and what makes pages of each kind of call that it can carry."""

    parts: dict[str, int]
    pages: dict[str, MakePage]


@contextmanager
def gateway(phone_port: int, ports: int = _MEDIA_PORTS) -> Iterator[System]:
    """Run the whole gateway, HAProxy with TLS in front."""
    options = LabOptions(
        parts=_OURS,
        phones=(),
        media_ports=ports,
        role_variables={
            "kamailio": {
                **NO_LIMITS,
                "gateway_icscf_uris": [f"sip:{HOST}:{phone_port}"],
                "kamailio_udp_mtu": 0,  # the phone speaks UDP only
                "kamailio_udp_workers": WORKERS,
                "kamailio_tcp_workers": WORKERS,
                "kamailio_shm_mb": _SHM_MB,
                "kamailio_debug": 1,
            },
            "rtpengine": {"rtpengine_log_level": _LOG_LEVEL},
        },
    )
    with Lab(options) as lab:
        origin = lab.info.web.origin
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        order = LoadOrder(
            int(origin.rpartition(":")[2]), HOST, register=True, headers={"Origin": origin}, realm=REALM
        )

        def of(kind: Kind, first_user: int) -> MakePage:
            return lambda number: sip_page(order, first_user + number, kind, tls)

        yield System(
            {part.value: lab.process_ids[part] for part in sorted(_OURS)},
            {"update": of(UPDATE, 0), "two-way": of(TWO_WAY, 100_000)},
        )


@contextmanager
def classic(phone_port: int) -> Iterator[System]:
    """Run the classic recipe: native routing, which gives the page's offer to the callee, and Debian's rtpengine.

    Its relay does without our library: nobody who follows the recipe has it.
    """
    with tempfile.TemporaryDirectory(prefix="classic-") as folder, _bare_relay(Path(folder)) as relay:
        port = free_port(socket.SOCK_STREAM)
        text = _CLASSIC.read_text()
        for name, value in {
            "children=2\nsocket_workers=2\ntcp_children=2": f"children={WORKERS}\ntcp_children={WORKERS}",
            "WS_ADDRESS": HOST,
            "WS_PORT": port,
            "SIP_PORT": free_port(socket.SOCK_DGRAM),
            "CALLEE_PORT": phone_port,
            "NG_PORT": relay.ng_port,
        }.items():
            text = text.replace(name, str(value))
        config = Path(folder) / "classic.cfg"
        config.write_text(text)
        with kamailio(config) as process:
            wait_for_port(port, process)
            order = LoadOrder(port, HOST, realm=REALM)
            parts = {"gateway": process.pid, "rtpengine": relay.pid}
            yield System(parts, {"classic": lambda number: sip_page(order, number, CLASSIC, None)})


@dataclass(frozen=True)
class _Relay:
    pid: int
    ng_port: int


@contextmanager
def _bare_relay(folder: Path) -> Iterator[_Relay]:
    config = folder / "rtpengine.conf"
    with media_ports(_MEDIA_PORTS) as ports, PortBlocks(PortMode.FREE, rtp_ports=0) as blocks:
        ng_port = blocks.port()
        config.write_text(
            render_configuration(
                rtpengine_wic_address=WIC_ADDRESS,
                rtpengine_ims_address=IMS_ADDRESS,
                rtpengine_ng_port=ng_port,
                rtpengine_cli_port=blocks.port(),
                rtpengine_port_min=ports.start,
                rtpengine_port_max=ports.stop - 1,
                rtpengine_threads=THREADS,
                rtpengine_log_level=_LOG_LEVEL,
            )
        )
        command = [*bare_command(), f"--config-file={config}", "--foreground", "--log-stderr"]
        with (folder / "rtpengine.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: _answers(ng_port), "rtpengine ready", _READY_S)
            yield _Relay(process.pid, ng_port)
        finally:
            process.kill()
            process.wait()


def _answers(ng_port: int) -> bool:
    client = UdpClient(NodeAddress(HOST, ng_port), deadline_s=0.2)
    try:
        client.request(Ping())
    except NgError:
        return False
    finally:
        client.close()
    return True


@contextmanager
def janus(phone_port: int) -> Iterator[System]:
    """Run Janus' SIP plugin."""
    with tempfile.TemporaryDirectory(prefix="janus-") as folder, running_server(Path(folder)) as server:
        yield System(
            {"janus": server.process.pid},
            {"janus": lambda _: janus_page(server.port, server.host, phone_port)},
        )


SYSTEMS: Final[dict[str, Callable[[int], AbstractContextManager[System]]]] = {
    "gateway": gateway,
    "classic": classic,
    "janus": janus,
}
CASES: Final = {
    "update": ("gateway", "ours: answer, then UPDATE"),
    "two-way": ("gateway", "ours: two-way, 100rel (SIP.js)"),
    "classic": ("classic", "classic recipe, native Kamailio and rtpengine"),
    "janus": ("janus", "Janus, SIP plugin"),
}
"""Case → the system that carries it, and what the report calls it."""
