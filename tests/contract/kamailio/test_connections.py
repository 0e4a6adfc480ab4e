"""What ends a TCP connection: Debian 13's Kamailio has limits of its own, which are not ours."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.kamailio.running import PROBE, Kamailio, running
from tests.lab.ports import LOOPBACK

pytestmark = pytest.mark.contract

GUARD_S = 20
"""Kamailio 6 gives a connection so long for its first message; it looks every ten seconds."""
LARGE = 49152
OPTIONS = """\
OPTIONS sip:probe@127.0.0.1 SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKlarge;rport
Max-Forwards: 5
From: <sip:large@127.0.0.1>;tag=large
To: <sip:probe@127.0.0.1>
Call-ID: large@127.0.0.1
CSeq: 1 OPTIONS
X-Filler: {}
Content-Length: 0

"""


@pytest.fixture
def roomy_kamailio(run_dir: Path) -> Iterator[Kamailio]:
    """One whose operator allows larger messages."""
    with running(run_dir, PROBE, kamailio_tcp_rd_buf_size=LARGE) as found:
        yield found


def test_who_sends_keep_alives_alone_stays_connected(probed_kamailio: Kamailio) -> None:
    if probed_kamailio.rpc("core.version").startswith("kamailio 5."):
        pytest.skip("Debian 12's Kamailio waits for no first message")
    with socket.create_connection((LOOPBACK, probed_kamailio.sip_port), timeout=5) as line:
        until = time.monotonic() + GUARD_S + 12
        while time.monotonic() < until:
            line.sendall(b"\r\n\r\n")
            assert line.recv(16) == b"\r\n"
            time.sleep(1)


def test_a_message_may_be_as_large_as_the_operator_says(roomy_kamailio: Kamailio) -> None:
    message = OPTIONS.replace("\n", "\r\n").format("x" * (LARGE - 1000)).encode()
    with socket.create_connection((LOOPBACK, roomy_kamailio.sip_port), timeout=5) as line:
        line.sendall(message)
        assert line.recv(64).startswith(b"SIP/2.0 200 ")


def test_debian_13_is_told_of_each_of_its_own_limits() -> None:
    """Holds where the tests above run with Debian 12's, which knows none of these parameters."""
    config = Path("kamailio/kamailio.cfg").read_text(encoding="utf-8")
    of_6 = config.partition("#!ifdef KAMAILIO_6\n")[2].partition("#!endif")[0]
    assert [line.split("=")[0] for line in of_6.splitlines()] == [
        "tcp_accept_iplimit",
        "tcp_msg_data_timeout",
        "msg_recv_max_size",
    ]
