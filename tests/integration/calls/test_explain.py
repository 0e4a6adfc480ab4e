"""Each verdict of explain-call on a real call with its fault planted: real Kamailio, rtpengine, Redis and peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kemi.core.explain.judge import explain
from kemi.core.explain.render import ladder_of, verdicts_as_text
from kemi.core.trace.entries import CallTrace
from tests.integration.calls.planted import planted_lab, play
from tests.integration.calls.plants import PLANTS

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CallTrace]]:
    """The trace of each planted call, as Redis has it."""
    with planted_lab(tmp_path_factory.mktemp("planted")) as (lab, nodes):
        yield play(lab, nodes, PLANTS, 3)


@pytest.fixture(autouse=True)
def stage() -> None:
    """The one of all plants takes its place."""


@pytest.mark.parametrize("code", [*PLANTS])
def test_the_fault_of_a_real_call_is_named(traces: dict[str, CallTrace], code: str) -> None:
    trace = traces[code]
    verdicts = explain(trace)
    shown = f"{ladder_of(trace)}\n{verdicts_as_text(verdicts)}"
    assert code in [verdict.code for verdict in verdicts], shown
    print(shown)
