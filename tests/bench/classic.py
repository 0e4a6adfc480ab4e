"""The classic recipe as a target: native Kamailio and its rtpengine module, media at the answer.

Knows how it is started with as many workers as the other targets. Must not know how load is made.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.targets import LOOPBACK, RELAY, WORKERS, Target, free_port, kamailio, wait_for_port
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part

_RECIPE: Final = Path(__file__).parent / "first_audio" / "classic.cfg"
_MEDIA_PORTS: Final = 4000


@contextmanager
def classic(callee_port: int) -> Iterator[Target]:
    """Run the recipe in front of a callee."""
    options = LabOptions(
        parts=frozenset({Part.RTPENGINE}),
        phones=(),
        media_ports=_MEDIA_PORTS,
        role_variables={"rtpengine": RELAY},
    )
    with Lab(options) as lab, tempfile.TemporaryDirectory(prefix="classic-") as folder:
        port = free_port(socket.SOCK_STREAM)
        values = {
            "children=2\nsocket_workers=2\ntcp_children=2": f"children={WORKERS}\ntcp_children={WORKERS}",
            "WS_ADDRESS": LOOPBACK,
            "WS_PORT": str(port),
            "SIP_PORT": str(free_port(socket.SOCK_DGRAM)),
            "CALLEE_PORT": str(callee_port),
            "NG_PORT": str(lab.info.rtpengine.ng_port),
        }
        text = _RECIPE.read_text()
        for name, value in values.items():
            assert name in text
            text = text.replace(name, value)
        config = Path(folder) / "classic.cfg"
        config.write_text(text)
        with kamailio(config) as process:
            wait_for_port(port, process)
            yield Target("classic", port, (process.pid,), (lab.info.processes["rtpengine"],))
