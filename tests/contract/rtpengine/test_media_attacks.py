"""Floods of STUN and DTLS at the ports of a running call: nothing is lost, relayed or sent to the stranger.

`python -m tests.bench.media_attacks` does the same for longer, with every kind of packet and the CPU it costs.
"""

from __future__ import annotations

import aioice.ice
import pytest

from tests.contract.rtpengine.besieged import Besieged, besiege
from tests.contract.rtpengine.daemon import Daemon
from tests.peers.injection import CHECKS, HANDSHAKES

PACKETS_PER_S = 2000
LASTS_S = 1.0
MOST_LOST = 2
"""A busy machine drops one or another; of 50 packets a second each way."""


@pytest.fixture(autouse=True)
def media_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page listen on 127.0.0.1, which it leaves out by default, and nowhere else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


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
