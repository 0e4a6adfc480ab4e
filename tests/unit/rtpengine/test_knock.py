"""Knocks arrive, from one socket for all of them; of a family that this machine lacks nothing is tested."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rtpengine.pool import NodeAddress
from rtpengine.transport.knock import knock


@pytest.mark.parametrize(
    ("family", "host"),
    [pytest.param(socket.AF_INET, "127.0.0.1", id="IPv4"), pytest.param(socket.AF_INET6, "::1", id="IPv6")],
)
def test_every_port_hears_one_byte_from_the_same_socket(family: socket.AddressFamily, host: str) -> None:
    with (
        socket.socket(family, socket.SOCK_DGRAM) as first,
        socket.socket(family, socket.SOCK_DGRAM) as second,
    ):
        heard = []
        open_before = None
        for port in (first, second):
            port.settimeout(2)
            try:
                port.bind((host, 0))
            except OSError:
                pytest.skip(f"no {host} here")
            knock(NodeAddress(host, port.getsockname()[1]))
            heard.append(port.recvfrom(10))
            open_now = len(list(Path("/proc/self/fd").iterdir()))
            assert open_before in (None, open_now)
            open_before = open_now
    assert [packet for packet, _ in heard] == [b"\0", b"\0"]
    assert len({sender[1] for _, sender in heard}) == 1


def test_a_port_where_nobody_listens_does_not_spoil_the_next_knock() -> None:
    """The network refuses the first one, which a socket of its own would have told nobody either."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.settimeout(2)
        listener.bind(("127.0.0.1", 0))
        for port in (nobody, nobody, listener.getsockname()[1]):
            knock(NodeAddress("127.0.0.1", port))
        assert listener.recv(10) == b"\0"


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match="relay"):
        knock(NodeAddress("relay.example", 30000))
