"""Run in a network namespace of its own: the packet filter of a media machine, and who floods its media ports.

Exit status 0: of a flood of STUN or DTLS no more gets through than the role allows to one client, in IPv4 and IPv6;
media, and other clients, are not held up; what is trusted is not limited.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any, Final

from tests.lab.roles import render_role
from tests.peers.injection import CHECKS, HANDSHAKES, Kind

PORT: Final = 24_600
SETUP_PER_S: Final = 50
PACKETS: Final = 600
"""Sent at once, in some milliseconds."""
TRUSTED: Final = "127.0.0.99"


def rules() -> str:
    """Return the rules of a machine that is a media node alone."""
    return render_role(
        "firewall",
        "gateway.nft.j2",
        {
            "firewall_signalling": False,
            "firewall_media": True,
            "firewall_redis": False,
            "firewall_web": False,
            "firewall_sip_networks": [],
            "firewall_media_setup_per_s": SETUP_PER_S,
            "firewall_media_packets_per_s": 20 * PACKETS,
            "firewall_trusted_networks": [f"{TRUSTED}/32"],
        },
        rtpengine_port_min=PORT,
        rtpengine_port_max=PORT + 100,
        rtpengine_ng_port=2223,
        rtpengine_gateways=[],
    )


def media(_number: int, _ssrc: int) -> bytes:
    """A packet of audio."""
    return b"\x80\x08" + bytes(170)


def arrived(source: str, *kinds: Kind) -> int:
    """Send packets from an address; return how many came."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    host = "::1" if ":" in source else "127.0.0.1"
    with (
        socket.socket(family, socket.SOCK_DGRAM) as relay,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        relay.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        relay.bind((host, PORT))
        relay.settimeout(0.2)
        client.bind((source, 0))
        for number in range(PACKETS):
            client.sendto(kinds[number % len(kinds)](number, 1), (host, PORT))
        count = 0
        try:
            while relay.recv(2048):
                count += 1
        except TimeoutError:
            return count
        return count


def main() -> int:
    """Do it."""
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "-6", "addr", "add", "2001:db8:0:1::1/128", "dev", "lo"],
        ["ip", "-6", "addr", "add", "2001:db8:0:1::2/128", "dev", "lo"],
    ):
        subprocess.run(command, check=True)
    for _ in range(2):
        subprocess.run(["nft", "-f", "-"], input=rules(), text=True, check=True)
    most = range(SETUP_PER_S // 5, 2 * SETUP_PER_S)
    found: dict[str, Any] = {
        "STUN": arrived("127.0.0.66", *CHECKS) in most,
        "DTLS": arrived("127.0.0.67", *HANDSHAKES) in most,
        "media": arrived("127.0.0.66", media) == PACKETS,
        "a /64": sum(arrived(f"2001:db8:0:1::{n}", *CHECKS) for n in (1, 2)) in most,
        "trusted": arrived(TRUSTED, *CHECKS) == PACKETS,
    }
    print(json.dumps(found))
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
