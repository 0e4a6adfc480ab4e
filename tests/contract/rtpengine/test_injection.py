"""A stranger's packets reach nobody at no time of a call, and nothing is sent to him.

`python -m tests.bench.injection` does the same with 100,000 packets.
"""

from __future__ import annotations

import aioice.ice
import pytest

from rtpengine.capabilities import capabilities
from tests.contract.rtpengine.daemon import Daemon
from tests.contract.rtpengine.injected import Siege
from tests.lab.relay_program import daemon_version


@pytest.fixture(autouse=True)
def media_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page listen on 127.0.0.1, which it leaves out by default, and nowhere else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


async def test_nothing_of_a_stranger_is_relayed_and_nothing_is_sent_to_him(daemon: Daemon) -> None:
    siege = Siege(daemon, packets_per_s=1500, phase_s=0.6)
    await siege.run()
    # From 11.3 on RTCP may pass after each answer, until the first packet of the other side.
    after_answers = capabilities(daemon_version()).asymmetric_learns
    for phase in siege.phases:
        assert phase.stolen == 0, phase
        # After an offer of the core nothing binds the page's source (rtpengine/README.md): RTCP passes then, never RTP.
        foreign = [kind for kind, _ in (*phase.at_page, *phase.at_far_end)]
        unbound = after_answers or phase.name == "the far end moves"
        assert not foreign or (unbound and set(foreign) == {"rtcp"}), phase
        assert all(count > 500 for count in phase.injected.values()), phase
    assert siege.lost_by_page <= 2
    assert siege.lost_by_far_end == 0
    assert daemon.alive
