"""A small overload: a slow relay, so that a few calls a second are more than the gateway can take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench.generator import LoadOrder
from tests.bench.overload.crowd import CrowdOrder, order_from_text, order_to_text
from tests.bench.overload.measure import call, is_good, memory_of
from tests.bench.runner import callee
from tests.bench.targets import Target, signalling
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab

RELAY_S = 0.02
"""A call asks the relay several times while the one worker for pages waits: some eight calls a second."""
CALM, MUCH, FOR_HELP = 1.0, 60.0, 1.0
BEFORE_S, OVERLOAD_S, AFTER_S = 1.0, 4.0, 1.0
VARIABLES: dict[str, Any] = {
    "gateway_overload_control": True,
    "gateway_overload_target_wait_s": 0.3,
    "gateway_overload_least_calls": 1,
    "gateway_emergency": "core",
    "kamailio_tcp_workers": 1,
}


@pytest.fixture
def slow() -> Iterator[Target]:
    with callee() as far_end, signalling(far_end.port, relay_delay_s=RELAY_S, **VARIABLES) as target:
        yield target


def limits(target: Target) -> dict[str, str]:
    assert target.rpc is not None
    return target.rpc.htable("overload")


def test_good_calls_go_on_others_hear_503_and_calls_for_help_are_first(slow: Target) -> None:
    before = memory_of(slow)
    rates = [(CALM, BEFORE_S), (MUCH, OVERLOAD_S), (CALM, AFTER_S)]
    outcomes, for_help = call(slow, rates, processes=1, connections=20, for_help=FOR_HELP)
    begin = min(invited for invited, _, _ in outcomes) + BEFORE_S
    end = begin + OVERLOAD_S
    under = [one for one in outcomes if begin + 1 <= one[0] < end]
    good = [one for one in under if is_good(one)]
    refused = [one for one in under if one[2] == "INVITE 503"]
    assert len(refused) > len(good) >= 3
    assert len(under) - len(refused) - len(good) <= 0.25 * len(under)  # without control most of them
    assert {what for _, _, what in for_help} <= {"good", "timeout"}  # never refused
    assert sum(what == "good" for _, _, what in for_help) >= 0.7 * len(for_help)
    wait_until(lambda: limits(slow)["calls"].strip() == "none", "no limit any more", 10.0)
    assert memory_of(slow).shared < before.shared + 50


def test_an_order_reads_back_as_written() -> None:
    order = CrowdOrder(LoadOrder(1, headers={"Origin": "https://a"}), [(1.0, 2.0), (3.0, 4.0)])
    assert order_from_text(order_to_text(order)) == order
