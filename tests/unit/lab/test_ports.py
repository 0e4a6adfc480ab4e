"""Ports of two labs never meet."""

import socket

import pytest

from tests.lab import ports
from tests.lab.options import LabOptions, Part
from tests.lab.plan import claim_ports, plan_ports
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode, PortsExhausted

FIRST_PORT = 8000


@pytest.fixture(autouse=True)
def own_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from labs that run now."""
    monkeypatch.setattr(ports, "FIRST_PORT", FIRST_PORT)
    monkeypatch.setattr(ports, "LAST_PORT", FIRST_PORT + 1000)


def test_two_labs_get_different_blocks() -> None:
    with PortBlocks(PortMode.FREE, 200) as one, PortBlocks(PortMode.FREE, 200) as other:
        ranges = sorted([one.rtp_range(200), other.rtp_range(200)])
        assert ranges[0][1] < ranges[1][0]
        assert one.port() != other.port()


def test_a_port_in_use_is_not_handed_out() -> None:
    with PortBlocks(PortMode.FREE, 0) as blocks:
        first = blocks.port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((LOOPBACK, first + 1))
            assert blocks.port() == first + 2


def test_a_phone_gets_two_ports_in_a_row_of_its_own() -> None:
    with PortBlocks(PortMode.FREE, 0) as blocks:
        first, second = blocks.pair(), blocks.pair()
        assert second >= first + 2


def test_no_more_rtp_ports_are_handed_out_than_claimed() -> None:
    with PortBlocks(PortMode.FREE, 100) as blocks:
        blocks.rtp_range(80)
        with pytest.raises(PortsExhausted):
            blocks.rtp_range(40)


def test_a_lab_takes_no_more_blocks_than_what_it_starts_needs() -> None:
    redis = LabOptions(parts=frozenset({Part.REDIS}))
    with claim_ports(redis) as small:
        plan = plan_ports(redis, small)
        assert plan.media_rtp[1] < plan.media_rtp[0]
        with claim_ports(redis) as other:  # the next block
            assert other.port() < FIRST_PORT + 200
    with claim_ports(LabOptions(media_ports=100)) as whole:
        plan = plan_ports(LabOptions(media_ports=100), whole)
        assert plan.media_rtp[1] == plan.media_rtp[0] + 99
        assert plan.phones["phone"].rtp[0] > plan.conference_rtp[1]


def test_released_blocks_can_be_claimed_again() -> None:
    with PortBlocks(PortMode.FREE, 0) as blocks:
        first = blocks.port()
    with PortBlocks(PortMode.FREE, 0) as again:
        assert again.port() == first
