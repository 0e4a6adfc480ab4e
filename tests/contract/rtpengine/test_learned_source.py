"""Whom rtpengine believes where it learns where the far end is: what rtpengine/README.md says of it."""

from __future__ import annotations

import re
import secrets
import socket
import struct
import time
from contextlib import ExitStack, suppress
from typing import Any, Final

import pytest

from rtpengine.ng import bencode
from rtpengine.sources import MediaSource, source_flags
from tests.contract.rtpengine.daemon import Daemon
from tests.lab.relay_program import daemon_version, relay_version

CALLS: Final = 3
LEARNING_S: Final = 4.5
"""3 s after a whole second, and some."""
FAR_END, STRANGER = 1, 2


class Relayed:
    """A call whose far end sends from where its SDP says, and whose page only listens."""

    def __init__(self, daemon: Daemon, stack: ExitStack) -> None:
        self._far, self._page, self._stranger = (stack.enter_context(_port(host)) for host in (9, 8, 7))
        self._number = 0
        call_id = secrets.token_hex(8)
        flags = list(source_flags(MediaSource.LEARNED, daemon_version()))
        offered = {"command": "offer", "call-id": call_id, "from-tag": "far", "flags": flags}
        answered = {"command": "answer", "call-id": call_id, "from-tag": "far", "to-tag": "page"}
        _ask(daemon, offered | {"sdp": _sdp(self._far)})
        sdp = _ask(daemon, answered | {"sdp": _sdp(self._page)})[b"sdp"].decode()
        (host,), (port,) = re.findall(r"c=IN IP4 (\S+)", sdp), re.findall(r"m=audio (\d+)", sdp)
        self._to = host, int(port)

    def send(self, who: int) -> None:
        self._number += 1
        header = struct.pack("!BBHII", 0x80, 8, self._number & 0xFFFF, self._number * 160, who)
        (self._far if who == FAR_END else self._stranger).sendto(header + bytes(160), self._to)

    def heard(self) -> set[int]:
        """Return whom the page has heard since it was asked before."""
        found = set()
        with suppress(BlockingIOError):
            while True:
                found.add(struct.unpack("!I", self._page.recv(2048)[8:12])[0])
        return found


def _port(host: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    found.bind((f"127.0.0.{host}", 0))
    return found


def _sdp(of: socket.socket) -> str:
    host, port = of.getsockname()
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m=audio {port} RTP/AVP 8"]
    return "\r\n".join([*lines, ""])


def _ask(daemon: Daemon, command: dict[str, Any]) -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ng:
        ng.settimeout(5)
        ng.connect((daemon.address.host, daemon.address.port))
        ng.send(secrets.token_hex(4).encode() + b" " + bencode.encode(command))
        return bencode.decode(ng.recv(65536).partition(b" ")[2])


@pytest.mark.usefixtures("media_on_loopback")
def test_a_far_end_that_is_where_its_sdp_says_keeps_its_call_whoever_sends_more(daemon: Daemon) -> None:
    if relay_version() == "10.5.3.5-1" or (11, 0) <= daemon_version() <= (12, 5):
        pytest.skip("a package with CVE-2025-53399: whoever sends first after 3 s has the call")
    with ExitStack() as stack:
        calls = [Relayed(daemon, stack) for _ in range(CALLS)]
        until = time.monotonic() + LEARNING_S
        tick = 0
        while time.monotonic() < until:
            tick += 1
            for call in calls:
                call.send(STRANGER)
                if tick % 10 == 0:
                    call.send(FAR_END)
                if until - time.monotonic() > 0.3:
                    call.heard()
            time.sleep(0.002)
        assert [call.heard() for call in calls] == [{FAR_END}] * CALLS
