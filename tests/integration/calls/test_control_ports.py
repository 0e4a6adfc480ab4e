"""Where gateway and relay listen: what controls them is on loopback or a Unix socket, and nothing else is open."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.bench.cpu import process_tree
from tests.integration.calls.stage import Stage
from tests.lab.ports import LOOPBACK
from tests.lab.roles import role_variables

pytestmark = pytest.mark.lab

_OPEN: Final = {"tcp": "0A", "udp": "07"}
"""State of a listening TCP socket and of a UDP socket that takes datagrams from anybody (/proc/net)."""


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of all sockets of a process and its children."""
    found = set()
    for process in process_tree([pid]):
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    found.add(target[len("socket:[") : -1])
    return found


def open_ports(pid: int) -> Iterator[tuple[str, str, int]]:
    """Return protocol, address and port of everything a process and its children listen on."""
    own = sockets_of(pid)
    for protocol, state in _OPEN.items():
        for family in ("", "6"):
            for line in Path(f"/proc/net/{protocol}{family}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in own and fields[3] == state:
                    address, _, port = fields[1].partition(":")
                    yield protocol, address_from_hex(address), int(port, 16)


def address_from_hex(text: str) -> str:
    """Return an address as /proc/net prints it: words in the machine's byte order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words)))


def test_addresses_are_read() -> None:
    assert address_from_hex("0100007F") == "127.0.0.1"
    assert address_from_hex("00000000000000000000000001000000") == "::1"


@pytest.mark.conformance("X-17")
async def test_the_gateway_has_no_port_but_those_for_sip(stage: Stage) -> None:
    info = stage.lab.info
    gateway = info.gateway
    call = await stage.answered(await stage.page())  # or no worker had spoken to the relay
    await call.hang_up()
    assert set(open_ports(stage.lab.process_ids["gateway"])) == {
        ("udp", gateway.address, gateway.sip_port),
        ("tcp", gateway.address, gateway.sip_port),
        ("tcp", gateway.address, gateway.ws_port),
        ("tcp", LOOPBACK, gateway.control_port),
    }
    assert Path(gateway.rpc_socket).is_socket()


@pytest.mark.conformance("X-17")
async def test_the_relays_control_ports_are_on_loopback(stage: Stage) -> None:
    relay = stage.lab.info.rtpengine
    ports = {port: address for _, address, port in open_ports(stage.lab.process_ids["rtpengine"])}
    control = {
        port: address for port, address in ports.items() if not relay.port_min <= port <= relay.port_max
    }
    assert control == {relay.ng_port: "127.0.0.1", relay.cli_port: "127.0.0.1"}
    assert ipaddress.ip_address(role_variables("rtpengine", {})["rtpengine_ng_address"]).is_loopback
    for address in ("kamailio_ws_address", "kamailio_control_address"):
        assert ipaddress.ip_address(role_variables("kamailio", {})[address]).is_loopback
