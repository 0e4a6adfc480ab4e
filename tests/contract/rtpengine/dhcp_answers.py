"""Run in a network namespace of its own: the packet filter of a machine that has its IPv6 address by DHCPv6.

Exit status 0: a server of the link reaches the machine's client; nobody from another port, or from elsewhere, does.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from typing import Final

from tests.contract.rtpengine.media_floods import rules
from tests.lab.waiting import wait_until

CLIENT: Final = 546
SERVER: Final = 547
MACHINE: Final = "fe80::1"
UDP: Final = 17
ETHERTYPE: Final = 0x86DD
INSIDE: Final = bytes.fromhex("020000000001")
OUTSIDE: Final = bytes.fromhex("020000000002")


def frame(source: str, port: int) -> bytes:
    """Return a datagram to the machine's client as it is on the wire (RFC 8200 §3, §8.1)."""
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, MACHINE)
    data = b"answer"
    length = 8 + len(data)
    datagram = struct.pack("!4H", port, CLIENT, length, 0) + data
    total = sum(
        struct.unpack(f"!{(40 + length) // 2}H", addresses + struct.pack("!2I", length, UDP) + datagram)
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    datagram = datagram[:6] + struct.pack("!H", ~total & 0xFFFF) + data
    header = struct.pack("!IHBB", 6 << 28, length, UDP, 255)
    return INSIDE + OUTSIDE + struct.pack("!H", ETHERTYPE) + header + addresses + datagram


def arrives(source: str, port: int) -> bool:
    """Send one over the link; tell whether the client had it."""
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as neighbour,
    ):
        client.bind((MACHINE, CLIENT, 0, socket.if_nametoindex("inside")))
        client.settimeout(0.3)
        neighbour.bind(("outside", 0))
        neighbour.send(frame(source, port))
        try:
            return client.recv(100) == b"answer"
        except TimeoutError:
            return False


def main() -> int:
    """Do it."""
    for command in (
        f"ip link add inside address {INSIDE.hex(':')} type veth peer name outside address {OUTSIDE.hex(':')}",
        "ip link set inside up",
        "ip link set outside up",
        f"ip -6 addr add {MACHINE}/64 dev inside nodad",
    ):
        subprocess.run(command.split(), check=True)
    wait_until(lambda: arrives("fe80::2", SERVER - 1), "the link is up", 5)
    subprocess.run(["nft", "-f", "-"], input=rules(), text=True, check=True)
    found = {
        "a server": arrives("fe80::2", SERVER),
        "no server's port": not arrives("fe80::2", SERVER - 1),
        "not of the link": not arrives("2001:db8::2", SERVER),
    }
    print(json.dumps(found))
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
