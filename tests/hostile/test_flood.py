"""A thousand connections from one address, a small form of `python -m tests.hostile.flood`."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.hostile.flood import Outcome, flood_options, run
from tests.hostile.flooder import FloodOrder, frame, order_from_text, order_to_text
from tests.lab.lab import Lab

CONNECTIONS = 1000
BAN_S, MARK_S = 3, 1


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A site of its own; on a busy machine every message waits, which is not what is tested here."""
    with Lab(flood_options(ban_s=BAN_S, mark_s=MARK_S, overload_control=False)) as started:
        yield started


def check(outcome: Outcome) -> None:
    assert outcome.faults == []
    assert sum(outcome.flood.outcomes.values()) == CONNECTIONS
    assert sum(count for what, count in outcome.flood.outcomes.items() if what.endswith("refused")) > 0


@pytest.mark.lab
def test_silent_connections_of_one_address(lab: Lab) -> None:
    outcome = run(lab, CONNECTIONS, speaks=False, calm_s=2)
    check(outcome)
    assert not outcome.banned


@pytest.mark.lab
@pytest.mark.conformance("X-10")
def test_who_asks_for_user_after_user_is_banned_and_let_in_again(lab: Lab) -> None:
    outcome = run(lab, CONNECTIONS, speaks=True, calm_s=2)
    check(outcome)
    assert outcome.banned
    assert outcome.shut_out_s >= BAN_S - outcome.flood.seconds


def test_an_order_reads_back_as_written() -> None:
    order = FloodOrder("127.0.0.9", "127.0.0.1", 443, "https://a", 7, kinds=("TCP",))
    assert order_from_text(order_to_text(order)) == order


def test_a_frame_is_masked_and_says_its_length() -> None:
    payload = b"x" * 300
    data = frame(payload)
    assert struct.unpack("!BBH", data[:4]) == (0x81, 0x80 | 126, 300)
    assert data[8:] == payload
