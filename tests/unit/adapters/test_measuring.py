"""What Prometheus is shown of a node, before anything has happened and after it."""

from __future__ import annotations

from typing import Any

import pytest

from kemi.adapters.monitoring import metrics as shown
from kemi.adapters.monitoring.measuring import METRICS, Measuring
from kemi.core.metrics import catalogue as series
from kemi.state.counters import Counters
from kemi.state.trunks import TrunkView
from tests.fakes.ksr import FakeKamailio
from tests.fakes.table import MemoryTable

NOW = 1_000.0


@pytest.fixture
def counters() -> Counters:
    """What permissions and emergencies count."""
    return Counters(MemoryTable())


@pytest.fixture
def measuring(kamailio: FakeKamailio, monkeypatch: pytest.MonkeyPatch) -> Measuring:
    """The housekeeping process's side, on a node without relays and trunks."""
    assert kamailio.calls == []
    monkeypatch.setattr(shown, "_of_kamailio", lambda: iter(()))
    return Measuring("gw1", lambda _: [], list, lambda: 0)


def lines(measuring: Measuring, counters: Counters) -> set[str]:
    measuring.tick(NOW, 0, redis=True, memory=0.0, waiting={})
    return set(shown.metrics_text(METRICS, counters).splitlines())


def test_what_alerts_wait_for_is_there_before_it_happens(measuring: Measuring, counters: Counters) -> None:
    # increase() of a series that begins with its first event is 0: nobody would hear of that one.
    assert lines(measuring, counters) >= {
        "gateway_fraud_alarms_total 0.0",
        *(f'gateway_emergency_calls_total{{action="{one}"}} 0.0' for one in ("refuse", "core", "route")),
        *(f'gateway_errors_total{{where="{one}"}} 0.0' for one in ("callback", "housekeeping")),
        'gateway_bans_total{why="login"} 0.0',
        'gateway_bans_total{why="scan"} 0.0',
    }


def test_what_was_counted_before_the_first_round_stays(measuring: Measuring, counters: Counters) -> None:
    counters.add("alarms")
    METRICS.count(series.BANS, "scan")
    assert lines(measuring, counters) >= {
        "gateway_fraud_alarms_total 1.0",
        'gateway_bans_total{why="scan"} 1.0',
        'gateway_bans_total{why="flood"} 0.0',
    }


@pytest.mark.parametrize(
    ("registration", "until", "value"),
    [
        ("idle", 0.0, 1),
        ("asking", 0.0, 1),
        ("asking", NOW + 30, 0),  # renewed, and the trunk still knows us
        ("registered", NOW + 3600, 0),
        ("waiting", 0.0, 1),
        ("waiting", NOW + 30, 0),
        ("leaving", NOW + 30, 0),
        ("gone", 0.0, 0),  # as an operator wants it
        ("", 0.0, None),
    ],
)
def test_a_lost_registration_at_a_trunk_is_seen(
    kamailio: FakeKamailio, registration: str, until: float, value: int | None
) -> None:
    assert kamailio.calls == []
    view = TrunkView("acme", "up", 0.0, registration, until, "", 0, 0, [])
    Measuring("gw1", lambda _: [], lambda: [view], lambda: 0).tick(NOW, 0, redis=True, memory=0.0, waiting={})
    found = {one.metric.name: one.value for one in METRICS.all() if one.labels == ("acme",)}
    assert found["gateway_trunk_up"] == 1
    assert found.get("gateway_trunk_unregistered") == value


def relay(name: str = "r1", **facts: Any) -> dict[str, Any]:
    """Return a relay node as `node_views` tells of it, one against which nothing is known."""
    return {"node": name, "state": "up", "calls": 3, "weight": 1, "drained": False, "broken": False} | facts


def figures_of(*nodes: dict[str, Any]) -> dict[tuple[str, tuple[str, ...]], float]:
    Measuring("gw1", lambda _: list(nodes), list, lambda: 0).tick(NOW, 0, redis=True, memory=0.0, waiting={})
    return {(one.metric.name, one.labels): one.value for one in METRICS.all()}


@pytest.mark.parametrize(
    ("facts", "up", "takes"),
    [
        pytest.param({}, 1, 1, id="fine"),
        pytest.param({"state": "unknown", "calls": None}, 1, 1, id="no agent"),
        pytest.param({"state": "suspect"}, 1, 1, id="suspect"),
        pytest.param({"weight": 0}, 1, 0, id="weight 0"),
        pytest.param({"state": "returning"}, 1, 0, id="coming back"),
        pytest.param({"drained": True}, 1, 0, id="drained"),
        pytest.param({"broken": True}, 0, 0, id="breaker"),
        pytest.param({"state": "down", "calls": None}, 0, 0, id="down"),
    ],
)
def test_whether_a_relay_answers_and_whether_it_takes_calls(
    kamailio: FakeKamailio, facts: dict[str, Any], up: int, takes: int
) -> None:
    assert kamailio.calls == []
    found = figures_of(relay(**facts))
    assert found["gateway_relay_up", ("r1",)] == up
    assert found["gateway_relay_takes_calls", ("r1",)] == takes


def test_a_dead_relay_has_no_number_of_calls(kamailio: FakeKamailio) -> None:
    assert kamailio.calls == []
    assert figures_of(relay("r1"), relay("r2"))["gateway_relay_calls", ("r1",)] == 3
    found = figures_of(relay("r1", state="down", calls=None), relay("r2"))
    assert ("gateway_relay_calls", ("r1",)) not in found
    assert found["gateway_relay_calls", ("r2",)] == 3
