"""Names of next hops are looked up in the worker that sends: how long it stands still while nobody answers."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys

import pytest

from tests.contract.kamailio.running import Kamailio
from tests.contract.kamailio.silent_name_server import QUESTION
from tests.lab.ports import LOOPBACK

pytestmark = pytest.mark.contract

LONGEST_S = 6.0
"""Two questions, SRV and A, each with and without the search domain; all else that the worker has waits meanwhile."""

A, SRV = 1, 33


def test_a_name_server_that_is_silent_costs_seconds_and_not_half_a_minute() -> None:
    if os.geteuid() != 0:
        pytest.skip("a name server of its own needs root (network and mount namespaces)")
    program = [sys.executable, "-m", "tests.contract.kamailio.silent_name_server"]
    done = subprocess.run(
        ["unshare", "--net", "--mount", *program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    took_s, is_sent, asked = json.loads(done.stdout)
    assert not is_sent
    assert asked == [A, SRV]
    assert 0.5 < took_s < LONGEST_S


def test_a_name_of_two_machines_is_one_next_hop(probed_kamailio: Kamailio) -> None:
    """As the documents say; the second machine is not tried though the first one is silent."""
    kamailio = probed_kamailio
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as page,
    ):
        for priority, (name, line) in enumerate((("a.example", dead), ("b.example", second))):
            line.bind((LOOPBACK, 0))
            kamailio.rpc("dns.add_a", name, 300, LOOPBACK, 0)
            kamailio.rpc(
                "dns.add_srv",
                "_sip._udp.sip.carrier.example",
                300,
                priority,
                1,
                line.getsockname()[1],
                name,
                0,
            )
        for branch in ("one", "two"):
            asked = QUESTION.replace("\n", "\r\n").replace("z9hG4bKnamed", f"z9hG4bK{branch}")
            page.sendto(asked.encode(), (LOOPBACK, kamailio.sip_port))
        received = [dead.recv(4096) for _ in range(6)]  # each three times: 0, 0.5 and 1.5 s
        assert all(one.startswith(b"OPTIONS ") for one in received)
        assert select.select([second], [], [], 0)[0] == []
