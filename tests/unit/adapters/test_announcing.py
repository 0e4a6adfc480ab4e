"""Every registration is told of once, with its beginning and its end, however short it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kemi.adapters.monitoring import metrics as shown
from kemi.adapters.monitoring.measuring import Measuring
from kemi.adapters.notices import Notices
from kemi.adapters.pages.announcing import Announcing
from kemi.core.registration import Grant, Registration
from kemi.core.registration.states import Cause
from tests.fakes.ksr import FakeKamailio
from tests.fakes.table import MemoryTable
from tests.unit.core.registration.bindings import binding

NOW = 1_000.0


@pytest.fixture
def announcing(kamailio: FakeKamailio, monkeypatch: pytest.MonkeyPatch) -> Announcing:
    """Nobody was told of anything yet."""
    assert kamailio.calls == []
    monkeypatch.setattr(shown, "_of_kamailio", lambda: iter(()))
    return Announcing(Notices(MemoryTable(), "gw1"), Measuring("gw1", lambda _: [], list, lambda: 0))


def of_session(session: str) -> Registration:
    return replace(binding(), grant=Grant("bearer", session=session))


def told(events: list[str]) -> list[tuple[str, str]]:
    return [(event["type"], event["sid"]) for event in map(json.loads, events)]


def test_beginning_and_end_are_told_once(announcing: Announcing) -> None:
    page = of_session("one")
    assert told(announcing.changed(page.key, page, NOW)) == [("registered", "one")]
    assert announcing.changed(page.key, page, NOW) == []
    assert announcing.ended(page, Cause.LOGGED_OUT, NOW) == []
    assert told(announcing.changed(page.key, None, NOW)) == [("deregistered", "one")]
    assert len(announcing) == 0


def test_one_that_ended_before_anybody_looked_is_told_of(announcing: Announcing) -> None:
    page = of_session("short")
    events = announcing.ended(page, Cause.LOGGED_OUT, NOW)
    assert told(events) == [("registered", "short"), ("deregistered", "short")]
    assert announcing.changed(page.key, None, NOW) == []


def test_so_is_one_in_the_place_of_another(announcing: Announcing) -> None:
    first, second = of_session("first"), of_session("second")
    announcing.changed(first.key, first, NOW)
    assert announcing.ended(first, Cause.LOGGED_OUT, NOW) == []
    assert told(announcing.ended(second, Cause.LOGGED_OUT, NOW)) == [
        ("registered", "second"),
        ("deregistered", "second"),
    ]
    assert told(announcing.changed(first.key, None, NOW)) == [("deregistered", "first")]


def test_of_a_page_that_has_moved_the_other_gateway_tells(announcing: Announcing) -> None:
    page = of_session("one")
    announcing.changed(page.key, page, NOW)
    announcing.moved(page.key)
    assert announcing.ended(page, Cause.MOVED, NOW) == []
    assert announcing.changed(page.key, None, NOW) == []
