"""Only the live connection that a Path token names is delivered to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from kemi.adapters.pages.flows import LiveFlows
from kemi.core.errors import SipReject
from kemi.core.flow_token import token_from_flow
from kemi.core.registration import Flow
from kemi.core.registration.states import Cause
from kemi.state.flows import FlowStore
from tests.fakes.table import MemoryTable
from tests.unit.core.registration.bindings import binding

SECRET = "0123456789abcdef0123456789abcdef"
FLOW = Flow("7", "n0nce", "198.51.100.9", "127.0.0.1:40000")
TOKEN = token_from_flow(SECRET, "7", "n0nce")


@pytest.fixture
def flows() -> FlowStore:
    tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
    store = FlowStore(tables.__getitem__)
    store.open(FLOW)
    store.register("7", binding(expires_at=time.time() + 60), away_until=time.time() + 30)
    return store


def refused(flows: FlowStore, token: str, stands: Callable[[str], bool] = lambda _: True) -> int:
    with pytest.raises(SipReject) as caught:
        LiveFlows(SECRET, flows, stands).deliverable(token)
    return caught.value.status


def test_a_registered_page_on_its_connection(flows: FlowStore) -> None:
    live = LiveFlows(SECRET, flows, lambda connection_id: connection_id == "7")
    assert live.deliverable(TOKEN).connection_id == "7"


@pytest.mark.conformance("R-66")
def test_a_connection_that_kamailio_has_no_more_although_nobody_told_us_yet(flows: FlowStore) -> None:
    assert refused(flows, TOKEN, stands=lambda _: False) == 430


@pytest.mark.conformance("R-66")
@pytest.mark.parametrize(
    "token", ["", "x", TOKEN[:-2], "A" + TOKEN[1:], token_from_flow("another secret" * 3, "7", "n0nce")]
)
def test_what_is_not_our_token(flows: FlowStore, token: str) -> None:
    assert refused(flows, token) == 403


@pytest.mark.conformance("R-66")
def test_a_number_that_is_another_connection_by_now(flows: FlowStore) -> None:
    assert refused(flows, token_from_flow(SECRET, "7", "before the restart")) == 430
    assert refused(flows, token_from_flow(SECRET, "8", "n0nce")) == 430


@pytest.mark.conformance("R-66", "R-68")
def test_a_connection_that_ended_or_gave_its_port_away(flows: FlowStore) -> None:
    flows.open(Flow("9", "new", "203.0.113.5", FLOW.source))
    assert refused(flows, TOKEN) == 430
    flows.lose("7", away_until=0.0)
    assert refused(flows, TOKEN) == 430


@pytest.mark.conformance("R-66")
def test_a_connection_whose_page_is_registered_no_more(flows: FlowStore) -> None:
    flows.end(binding().key, Cause.DEREGISTERED, now=1.0)
    assert refused(flows, TOKEN) == 430
