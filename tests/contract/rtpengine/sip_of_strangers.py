"""Run in a network namespace of its own: the packet filter of a signalling machine, and SIP of who is no core.

Exit status 0: the core's SIP comes in, and so does the answer of somebody who was asked; a stranger gets STUN
through and no SIP, neither before it nor, on the same connection, afterwards.
"""

from __future__ import annotations

import ctypes
import json
import socket
import subprocess
import sys
from typing import Final

from tests.lab.roles import render_role

CLONE_NEWNET: Final = 0x40000000
PORT: Final = 5060
GATEWAY: Final = "203.0.113.1"
STRANGER: Final = "203.0.113.66"
CORE: Final = "203.0.113.200"
STUN: Final = bytes.fromhex("000100002112a442") + b"twelve bytes"
SIP: Final = b"INVITE sip:49301234@ims.example SIP/2.0\r\n\r\n"


def rules() -> str:
    """Return the rules of a machine that is a signalling node alone."""
    return render_role(
        "firewall",
        "gateway.nft.j2",
        {
            "firewall_signalling": True,
            "firewall_media": False,
            "firewall_redis": False,
            "firewall_web": False,
            "firewall_sip_networks": [f"{CORE}/32", "2001:db8::/32"],
        },
        haproxy_https_port=443,
        haproxy_http_port=80,
        haproxy_metrics_port=0,
        kamailio_sip_port=PORT,
        kamailio_tls_port=0,
        kamailio_ws_port=8080,
        kamailio_control_port=8081,
        media_agent_dtmf_port=0,
    )


def arrives(sender: socket.socket, gateway: socket.socket, data: bytes) -> bool:
    """Send a datagram to the gateway, which sends it back; tell whether it came."""
    sender.sendto(data, (GATEWAY, PORT))
    try:
        while True:
            came, source = gateway.recvfrom(2048)
            gateway.sendto(came, source)
            if came == data:
                return True
    except TimeoutError:
        return False


def main() -> int:
    """Do it."""
    # A socket stays in the network that it was made in.
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    with subprocess.Popen(["sleep", "60"]) as outside:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "no network namespace")
            there = f"nsenter --net=/proc/{outside.pid}/ns/net "
            for command in (
                f"ip link add inside type veth peer name outside netns {outside.pid}",
                f"ip addr add {GATEWAY}/24 dev inside",
                "ip link set inside up",
                f"{there}ip addr add {STRANGER}/24 dev outside",
                f"{there}ip addr add {CORE}/24 dev outside",
                f"{there}ip link set outside up",
            ):
                subprocess.run(command.split(), check=True)
            return judge(*senders)
        finally:
            outside.terminate()


def judge(stranger: socket.socket, asked: socket.socket, core: socket.socket) -> int:
    """Knock as each of them."""
    for sender, address in ((stranger, STRANGER), (asked, STRANGER), (core, CORE)):
        sender.bind((address, 0))
        sender.settimeout(0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway:
        gateway.bind((GATEWAY, PORT))
        gateway.settimeout(0.5)
        subprocess.run(["nft", "-f", "-"], input=rules(), text=True, check=True)
        gateway.sendto(b"OPTIONS", asked.getsockname())
        found = {
            "the core's SIP": arrives(core, gateway, SIP),
            "SIP of a stranger": not arrives(stranger, gateway, SIP),
            "STUN of a stranger": arrives(stranger, gateway, STUN),
            "SIP of a stranger after STUN": not arrives(stranger, gateway, SIP),
            "STUN once more": arrives(stranger, gateway, STUN),
            "an answer": arrives(asked, gateway, b"SIP/2.0 200 OK\r\n\r\n"),
        }
    print(json.dumps(found))
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
