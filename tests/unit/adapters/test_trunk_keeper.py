"""Housekeeping's requests to trunks: when they go out."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from kemi.adapters import gateway as gateway_module
from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.notices import Notices
from kemi.core.trunk.registration import Answer
from kemi.settings import settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.unit.adapters.conftest import AbsentRedis
from tests.unit.adapters.relay import ScriptedRelay
from tests.unit.site import SETTINGS_TEXT

TRUNK = """
[[trunks]]
name = "carrier"
uris = ["sip:203.0.113.5"]
options_s = 30
user = "u"
password = "p"
register = true
expires_s = 600
"""
BEGAN = 1_000_000.0
Tick = Callable[[float, int], list[str]]


@pytest.fixture
def tick(kamailio: FakeKamailio, relay: ScriptedRelay, monkeypatch: pytest.MonkeyPatch) -> Tick:
    """Let it work at a time, and the carrier answer what is sent with a status, 0: not at all."""
    monkeypatch.setattr(gateway_module, "MediaRelay", lambda *_: relay)
    monkeypatch.setattr(gateway_module, "RedisLink", lambda *_, **__: AbsentRedis())
    gateway = Gateway(settings_from_text(SETTINGS_TEXT + TRUNK))
    tokens = itertools.count()
    keeper = gateway._trunks.keeper(Notices(HtableTable("notice"), "node"), lambda: f"token{next(tokens)}")

    def run(now: float, status: int) -> list[str]:
        before = len(kamailio.requests)
        keeper.tick(now)
        sent = kamailio.requests[before:]
        for request in sent:
            fields = dict(line.split(": ", 1) for line in request.headers)
            answer = Answer(status if request.method == "OPTIONS" else 200, expires="600")
            if answer.status:
                gateway._trunks.store.answered(fields["Call-ID"], int(fields["CSeq"].split()[0]), answer)
        return [request.method for request in sent]

    return run


def test_each_in_its_time(tick: Tick) -> None:
    assert sorted(tick(BEGAN, 200)) == ["OPTIONS", "REGISTER"]
    assert tick(BEGAN + 1, 200) == []
    assert tick(BEGAN + 40, 200) == ["OPTIONS"]
    assert "REGISTER" in tick(BEGAN + 560, 200)


@pytest.mark.parametrize("status", [200, 503])
def test_a_clock_that_is_set_back_stops_neither(tick: Tick, status: int) -> None:
    tick(BEGAN, status)
    tick(BEGAN + 1, status)
    back = BEGAN - 3600
    sent = [method for passed in range(3) for method in tick(back + passed, 200)]
    assert sorted(set(sent)) == ["OPTIONS", "REGISTER"]
    assert [tick(back + passed, 200) for passed in (4, 5, 6)] == [[], [], []]


def test_nor_is_an_answer_waited_for_that_was_asked_for_by_the_clock_before(tick: Tick) -> None:
    tick(BEGAN, 0)
    sent = [method for passed in range(0, 50, 10) for method in tick(BEGAN - 3600 + passed, 200)]
    assert "OPTIONS" in sent
