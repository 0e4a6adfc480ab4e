"""Run in a network namespace of its own: live calls, and datagrams that are too short, which would end rtpengine 10.5.

Exit status 0: the relay lives, with the role's library and no filter, and without it behind the role's packet filter;
and the page's media still reaches the far end.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import aioice.ice

from tests.fakes.installed_ksr import installed_ksr

installed_ksr()  # before anything imports what stands on Kamailio

# ruff: noqa: E402
from tests.contract.rtpengine.daemon import ROLE, WIC_ADDRESS, Daemon, render
from tests.contract.rtpengine.injected import FarEnd
from tests.contract.rtpengine.live_call import LiveCall
from tests.lab.relay_program import bare_command

PORTS = range(24_600, 24_700)


def filter_packets() -> None:
    """Load the rules as the role renders them."""
    ports = {"rtpengine_port_min": PORTS.start, "rtpengine_port_max": PORTS.stop - 1}
    rules = render(
        ROLE / "templates" / "rtpengine.nft.j2",
        rtpengine_wic_address=WIC_ADDRESS,
        rtpengine_ims_address="127.0.0.2",
        rtpengine_core_networks=["127.0.0.9", "127.0.0.10"],
        rtpengine_gateways=["127.0.0.1"],
        rtpengine_relays=[],
        **ports,
    )
    for _ in range(2):
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


async def survives(daemon: Daemon) -> bool:
    """Send what is too short to every port of a call whose keys are known; tell whether media goes on."""
    with FarEnd("127.0.0.9", Counter(), itertools.count()) as far:
        async with LiveCall(daemon) as call:
            await call.page_offers("audio", "PCMA/8000", host=far.host, port=far.port)
            port = call.web_ports[0]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.66", 0))
                for length, kind in itertools.product(range(12, 28), (200, 201, 203, 206)):
                    head = struct.pack("!BBHI", 0x80, kind, 1, 1)
                    # The last word is the index; its highest bit says "encrypted" (RFC 3711 §3.4).
                    packet = head + os.urandom(length - 12) + b"\xff\xff\xff\xff"
                    stranger.sendto(packet, (WIC_ADDRESS, port))
            await asyncio.sleep(0.2)
            before = len(far.sequence)
            await asyncio.sleep(0.5)
            return daemon.alive and len(far.sequence) > before + 10


def main() -> int:
    """Do it."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [WIC_ADDRESS]
    with tempfile.TemporaryDirectory() as folder:
        with Daemon(Path(folder), PORTS) as daemon:
            by_library = asyncio.run(survives(daemon))
        filter_packets()
        with Daemon(Path(folder), PORTS, command=bare_command()) as daemon:
            by_filter = asyncio.run(survives(daemon))
    print(f"lives by the library: {by_library}, by the filter: {by_filter}")
    return 0 if by_library and by_filter else 1


if __name__ == "__main__":
    sys.exit(main())
