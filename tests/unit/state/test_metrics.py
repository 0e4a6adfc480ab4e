"""What is measured is found again, in Prometheus' own words."""

from __future__ import annotations

from math import inf

import pytest

from kemi.core.call.events import Due
from kemi.core.call.from_page.answer import NO_CORE, NOBODY_ANSWERED
from kemi.core.call.from_page.trunk_call import NO_TRUNK, NOT_KNOWN, REDIRECTED
from kemi.core.call.lifetime.ending import PAGE_KNOWS_NONE, SESSION_LOST
from kemi.core.metrics import catalogue as series
from kemi.core.metrics.of_calls import cause, codec, result
from kemi.core.registration.states import Cause
from kemi.state.metrics import Metrics
from tests.fakes.table import MemoryTable


def test_counters_gauges_and_histograms() -> None:
    metrics = Metrics(MemoryTable())
    metrics.count(series.CALLS_STARTED, "from_page")
    metrics.count(series.CALLS_STARTED, "from_page", by=2)
    metrics.count(series.CALLS_STARTED, "to_page")
    metrics.set(series.BINDINGS, 7)
    metrics.set(series.BINDINGS, 5)
    metrics.observe(series.RELAY, 0.001, "node", "gate")
    metrics.observe_all(series.RELAY, (0.0011, 0.3, 99.0), "node", "gate")
    found = {(one.metric.name, one.labels): one for one in metrics.all()}
    assert found[series.CALLS_STARTED.name, ("from_page",)].value == 3
    assert found[series.CALLS_STARTED.name, ("to_page",)].value == 1
    assert found[series.BINDINGS.name, ()].value == 5
    relay = found[series.RELAY.name, ("node", "gate")]
    assert relay.value == pytest.approx(99.3021)
    # A bound belongs to its bucket (le), and what is above all of them is counted, too.
    buckets: dict[float, int] = dict.fromkeys((*series.RELAY_S, inf), 0)
    assert dict(zip(buckets, relay.counts, strict=True)) == {**buckets, 0.001: 1, 0.0025: 1, 0.5: 1, inf: 1}


def test_a_series_without_its_labels_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="node, step"):
        Metrics(MemoryTable()).observe(series.RELAY, 1.0, "node")


def test_the_catalogue_is_as_prometheus_wants_it() -> None:
    assert len(series.CATALOGUE) >= 40
    for metric in series.CATALOGUE.values():
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") is (metric.kind is series.Kind.COUNTER)
        assert bool(metric.buckets) is (metric.kind is series.Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(metric.buckets)


@pytest.mark.parametrize(
    ("answered", "by", "status", "why", "wanted"),
    [
        (True, "page", 0, "BYE", "answered"),
        (False, "page", 487, "CANCEL", "cancelled"),
        (False, "core", 487, "answered elsewhere", "cancelled"),
        (False, "core", 486, "refused", "refused"),
        (
            False,
            "page",
            480,
            "refused",
            "refused",
        ),  # the button of stock clients; our SDK for one device of several
        (False, "page", 430, "refused", "refused"),  # its tab was closed while it rang
        (False, "core", 480, "refused", "refused"),  # not registered
        (False, "core", 408, "refused", "refused"),
        (False, "gateway", 480, NOBODY_ANSWERED.detail, "refused"),
        (False, "gateway", 408, "no answer", "refused"),
        (False, "gateway", 0, "ended by the operator", "refused"),
        (False, "gateway", 0, f"registration {Cause.LOGGED_OUT.value}", "refused"),
        *((False, "core", status, "refused", "failed") for status in (500, 502, 503, 504, 580)),
        (False, "core", 603, "refused", "refused"),
        (False, "gateway", 504, NO_CORE.detail, "failed"),
        (False, "gateway", 504, NO_TRUNK.detail, "failed"),
        (False, "gateway", 500, NOT_KNOWN.detail, "failed"),
        (False, "gateway", 480, REDIRECTED.detail, "refused"),
        (False, "gateway", 488, "no common codec", "failed"),
    ],
)
def test_what_became_of_a_call(answered: bool, by: str, status: int, why: str, wanted: str) -> None:
    assert result(answered=answered, by=by, status=status, why=why) == wanted


@pytest.mark.parametrize(
    ("why", "label"),
    [
        (Due.FLOW_RECOVERY.value, "connection lost"),
        ("the WebSocket closed", "connection lost"),
        (Due.ANSWER_TIMEOUT.value, "no answer"),
        (NOBODY_ANSWERED.detail, "no answer"),
        (NO_CORE.detail, "no response"),
        (NO_TRUNK.detail, "no response"),
        (NOT_KNOWN.detail, "credentials"),
        (REDIRECTED.detail, "redirected"),
        ("the far end did not refresh the session", "session timer"),
        ("the page did not refresh the session", "session timer"),
        (SESSION_LOST, "session lost"),
        (PAGE_KNOWS_NONE, "session lost"),
        ("the far end did not follow to another node", "media relay"),
        (Due.PRECONDITIONS.value, "preconditions"),
        ("the caller's resources did not come", "preconditions"),
        ("no PRACK came for the answer", "no PRACK"),
        (Cause.LOGGED_OUT.value, "registration ended"),
        (f"registration {Cause.EXPIRED.value}", "registration ended"),
        (Cause.REMOVED.value, "ended by command"),
    ],
)
def test_what_ends_a_call_has_a_label(why: str, label: str) -> None:
    assert cause(why) == label


def test_labels_are_words_of_ours() -> None:
    assert cause("no media for 60 s") == "media lost"
    assert cause("media relay 10.0.0.1:2223: refused") == "media relay"
    assert cause("<script>") == "other"
    assert codec({"codec": "opus/48000/2"}) == "opus"
    assert codec({"codec": "x-1/8000"}) == "other"
    assert codec(None) == "none"
