"""Floods of STUN and DTLS at the ports of a running call: nothing is lost, relayed or sent to the stranger.

`python -m tests.bench.media_attacks` does the same for longer, with every kind of packet and the CPU it costs.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.contract.rtpengine.besieged import FAR_HOST, Besieged, besiege
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, Daemon
from tests.contract.rtpengine.injected import FarEnd, Seen, page_watched
from tests.contract.rtpengine.live_call import LiveCall
from tests.peers.injection import CHECKS, HANDSHAKES, HOST

pytestmark = pytest.mark.usefixtures("media_on_loopback")

QUEUED = 120
"""More than rtpengine 10.5 reads in one go, and it may find so many five times."""
PACKETS_PER_S = 2000
LASTS_S = 1.0
MOST_LOST = 2
"""A busy machine drops one or another; of 50 packets a second each way."""


async def test_a_running_call_notices_nothing(daemon: Daemon) -> None:
    (found,) = await besiege(
        daemon,
        {"checks and handshakes": (*CHECKS, *HANDSHAKES)},
        packets_per_s=PACKETS_PER_S,
        lasts_s=LASTS_S,
    )
    assert isinstance(found, Besieged)
    assert found.injected > PACKETS_PER_S * LASTS_S / 4
    assert found.relayed == 0, found
    assert found.lost_at_far_end <= MOST_LOST, found
    assert found.lost_at_page <= MOST_LOST, found
    assert daemon.alive


async def test_a_port_is_read_on_whose_queue_was_full_again_and_again(daemon: Daemon) -> None:
    at_page: Seen = Counter()
    with ExitStack() as stack:
        stack.enter_context(page_watched(at_page))
        far = stack.enter_context(FarEnd(FAR_HOST, Counter(), itertools.count(1)))
        async with LiveCall(daemon) as call:
            await call.page_offers("audio", "PCMA/8000", host=far.host, port=far.port)
            await call.page.until_connected()
            core = (IMS_ADDRESS, call.media["audio"].ims_port)
            await far.talk(core, 0.3)
            ports = [core, *((WIC_ADDRESS, port) for port in call.web_ports)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind((HOST, 0))
                for _ in range(8):
                    daemon.pause()
                    for target in ports * QUEUED:
                        stranger.sendto(b"\xff", target)
                    daemon.resume()
                    await asyncio.sleep(0.05)
            heard, seen = len(far.sequence), at_page.total()
            sent = await far.talk(core, 0.5)
    assert len(far.sequence) - heard > sent / 2
    assert at_page.total() - seen > sent / 2
