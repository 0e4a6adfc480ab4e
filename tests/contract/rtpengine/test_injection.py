"""A stranger's packets reach nobody at no time of a call, and nothing is sent to him.

`python -m tests.bench.injection` does the same with 100,000 packets, in more kinds of calls. RTCP alone is the
worst: rtpengine takes it from everybody until a port has had something else, be it of a stranger.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rtpengine.capabilities import capabilities
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.contract.rtpengine.injected import SHAPES, Siege
from tests.lab.relay_program import daemon_version
from tests.peers.injection import REPORTS
from tests.peers.media import MediaTimeoutError

pytestmark = pytest.mark.usefixtures("media_on_loopback")

SPARE_PORTS = 200
PACKETS_PER_S = (1500, 600)
"""The second where the machine is so busy that the first makes rtpengine deaf, which is no matter of this test."""
DEAF = "UDP receive queue exceeded"
PHASE_S = 0.25


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The node that calls move to."""
    directory: Path = tmp_path_factory.mktemp("spare")
    with media_ports(SPARE_PORTS) as ports, Daemon(directory, ports) as running:
        yield running


@pytest.mark.parametrize("shape", ["page calls", "page calls, split", "core calls"])
async def test_nothing_of_a_stranger_is_relayed_and_nothing_is_sent_to_him(
    daemon: Daemon, spare: Daemon, shape: str
) -> None:
    for packets_per_s in PACKETS_PER_S:
        siege = Siege(
            daemon, spare, packets_per_s=packets_per_s, phase_s=PHASE_S, shape=SHAPES[shape], kinds=REPORTS
        )
        daemon.log.clear()
        spare.log.clear()
        try:
            await siege.run()
        except (MediaTimeoutError, AssertionError):
            if packets_per_s == PACKETS_PER_S[-1] or not any(
                DEAF in line for line in (*daemon.log, *spare.log)
            ):
                raise
        else:
            break
    # From 11.3 on RTCP may pass after each answer, until the first packet of the other side.
    after_answers = capabilities(daemon_version()).asymmetric_learns
    for phase in siege.phases:
        at_page, at_far_end = ({kind for kind, _ in found} for found in (phase.at_page, phase.at_far_end))
        assert phase.stolen == 0, phase
        assert at_page <= ({"rtcp"} if after_answers else set()), phase
        assert at_far_end <= ({"rtcp"} if after_answers else set()), phase
        assert all(count > 100 for count in phase.injected.values()), phase
    assert {leg for phase in siege.phases for leg in phase.injected} == {"core", "web"}
    # A busy machine loses some; more than were sent would be somebody else's.
    assert 0 <= siege.lost_by_far_end <= 2
    assert daemon.alive
    assert spare.alive
