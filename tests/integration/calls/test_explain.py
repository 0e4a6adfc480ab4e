"""Each verdict of explain-call on a real call with its fault planted: real Kamailio, rtpengine, Redis and peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kemi.core.explain.judge import RULES, explain
from kemi.core.explain.render import ladder_of, verdicts_as_text
from kemi.core.explain.verdict import Gravity
from kemi.core.trace.entries import CallTrace
from tests.integration.calls import plants, plants_healthy, plants_media, plants_relay
from tests.integration.calls.planted import Bed, planted_lab, play

pytestmark = pytest.mark.lab


HEALTHY = plants_healthy.PLANTS
LONG = plants_media.LONG | plants_relay.LOST | plants.PLANTS
FAULTS = LONG | plants_media.PLANTS | plants_relay.PLANTS
BEDS = [
    Bed(HEALTHY, 2.5),
    Bed(plants_media.PLANTS, 2.5),
    # Long enough for two reports of each side, and for the time-outs of the lab.
    Bed(LONG),
    Bed(plants_relay.PLANTS),
]
GRAVITY = {rule.code: rule.gravity for rule in RULES}
NOTES = {code for code, gravity in GRAVITY.items() if gravity is Gravity.NOTE}
NOT_PLANTED = {
    "gate-closed",  # a fault of the gateway itself
    "long-delay",  # loopback is too fast, and reports that lie about it are not counted
    "trace-not-whole",  # takes some hundred messages
}
BUSY = {"high-loss", "high-jitter", "long-delay", "second-relay-node"}
"""What a machine does that has too much to do."""
DRAWN_OUT = {"relay-lost-the-call": {"ice-never-done"}, "ice-restart-refused": {"ice-never-done"}}
"""What such a machine makes of short calls of a page that has no media: they last until that is missed."""
WITH = {
    "request-too-large": {"core-does-not-answer"},
    "core-does-not-answer": {"request-too-large"},
    "packets-refused": {"far-end-sends-no-media"},
}
"""What goes with a verdict."""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CallTrace]]:
    """The trace of each planted call, as Redis has it."""
    with planted_lab(tmp_path_factory.mktemp("planted")) as (lab, nodes):
        yield play(lab, nodes, BEDS)


@pytest.fixture(autouse=True)
def stage() -> None:
    """The one of all plants takes its place."""


def test_each_verdict_is_planted() -> None:
    assert sorted(FAULTS) == sorted(GRAVITY.keys() - NOT_PLANTED)


@pytest.mark.parametrize("code", FAULTS)
def test_the_fault_of_a_real_call_is_named_and_no_other(traces: dict[str, CallTrace], code: str) -> None:
    trace = traces[code]
    verdicts = explain(trace)
    shown = f"{ladder_of(trace)}\n{verdicts_as_text(verdicts)}"
    assert code in [verdict.code for verdict in verdicts], shown
    grave = {verdict.code for verdict in verdicts if verdict.gravity is not Gravity.NOTE}
    expected = ({code} - NOTES) | WITH.get(code, set())
    assert expected <= grave <= expected | BUSY | DRAWN_OUT.get(code, set()), shown


def test_video_that_was_declined_is_not_missed(traces: dict[str, CallTrace]) -> None:
    trace = traces["video-declined"]
    assert set(trace.media) == {"audio"}
    assert "no-figures" not in [verdict.code for verdict in explain(trace)]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_call_has_nothing_grave(traces: dict[str, CallTrace], name: str) -> None:
    verdicts = explain(traces[name])
    shown = f"{ladder_of(traces[name])}\n{verdicts_as_text(verdicts)}"
    grave = {verdict.code for verdict in verdicts if verdict.gravity is not Gravity.NOTE}
    assert grave <= BUSY, shown
