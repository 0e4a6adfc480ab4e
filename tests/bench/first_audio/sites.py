"""The two gateways that stand between page and phone, and the networks before them.

Knows how each is started.  Must not know calls.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.delay_line import DelayLine, delay_line
from tests.bench.first_audio.cases import Through
from tests.bench.targets import free_port, kamailio, wait_for_port
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.ports import LOOPBACK

_MEDIA_PORTS: Final = 100
"""There is one call at a time."""
_CLASSIC: Final = Path(__file__).parent / "classic.cfg"


@dataclass(frozen=True)
class Site:
    """Where a page connects; `line` is the network in between, None on loopback."""

    url: str
    host: str
    port: int
    origin: str
    registered: bool
    line: DelayLine | None


@contextmanager
def site(
    through: Through, one_way_s: float, core_port: int, *, relay_address: str | None = None
) -> Iterator[Site]:
    """Run a gateway behind a network with that delay; its relay at another address, if that is wanted.

    Raises:
        NoDelayLineError: there can be no delay here.
    """
    with delay_line(one_way_s) if one_way_s else nullcontext() as line:
        address = LOOPBACK if line is None else line.near
        make = _classic if through is Through.CLASSIC else partial(_gateway, relay_address or address)
        with make(address, core_port, line) as running:
            yield running


@contextmanager
def _gateway(relay_address: str, address: str, core_port: int, line: DelayLine | None) -> Iterator[Site]:
    options = LabOptions(
        parts=frozenset({Part.GATEWAY, Part.RTPENGINE, Part.HAPROXY}),
        phones=(),
        media_ports=_MEDIA_PORTS,
        role_variables={
            "kamailio": {
                **NO_LIMITS,
                "gateway_icscf_uris": [f"sip:{LOOPBACK}:{core_port}"],
                "kamailio_udp_mtu": 0,  # the scripted core speaks UDP only
                "kamailio_debug": 1,
            },
            "rtpengine": {"rtpengine_wic_address": relay_address, "rtpengine_log_level": 4},
            "haproxy": {"haproxy_address": "*" if line else LOOPBACK},
        },
    )
    with Lab(options) as lab:
        origin = lab.info.web.origin
        port = int(origin.rpartition(":")[2])
        yield Site(f"wss://{address}:{port}/sip", address, port, origin, True, line)


@contextmanager
def _classic(address: str, core_port: int, line: DelayLine | None) -> Iterator[Site]:

    options = LabOptions(
        parts=frozenset({Part.RTPENGINE}),
        phones=(),
        media_ports=_MEDIA_PORTS,
        role_variables={"rtpengine": {"rtpengine_wic_address": address, "rtpengine_log_level": 4}},
    )
    with Lab(options) as lab, tempfile.TemporaryDirectory(prefix="classic-") as folder:
        port = free_port(socket.SOCK_STREAM)
        text = _CLASSIC.read_text()
        for name, value in {
            "WS_ADDRESS": address,
            "WS_PORT": port,
            "SIP_PORT": free_port(socket.SOCK_DGRAM),
            "CALLEE_PORT": core_port,
            "NG_PORT": lab.info.rtpengine.ng_port,
        }.items():
            text = text.replace(name, str(value))
        config = Path(folder) / "classic.cfg"
        config.write_text(text)
        with kamailio(config) as process:
            wait_for_port(port, process, address)
            yield Site(f"ws://{address}:{port}/sip", address, port, "https://bench.example", False, line)
