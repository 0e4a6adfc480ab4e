"""/api/operator/status: what `gwctl status` calls wrong, for the console."""

from __future__ import annotations

import time

import msgspec
import pytest
import redis

from kemi.state import keys
from kemi.state.trunks import GatewayTrunks, HopView, TrunkView
from tests.contract.web.client import WebPage
from tests.contract.web.operator import Operator
from tests.contract.web.test_gwctl_views import CORE, binding, write_gateway
from tests.peers.refusing_redis import full

STATUS = "/api/operator/status"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kemi.state.web.running_calls.ANSWER_S", 0.2)


def test_a_gateway_that_died_is_told_until_it_is_a_day_old(
    page_of_operator: WebPage, store: redis.Redis
) -> None:
    now = time.time()
    write_gateway(store, "gw1", now - 60)
    write_gateway(store, "long-gone", now - 90_000)
    store.hset(keys.registrations("gw1"), "k", binding(CORE, expires_at=now + 60))
    told = page_of_operator.ask("GET", STATUS).get_json()
    ((gateway),) = told["gateways"]
    assert (gateway["gateway"], gateway["registrations"], gateway["calls"]) == ("gw1", 1, None)
    assert gateway["seen_s"] == pytest.approx(60, abs=5)
    assert (told["registrations"], told["calls"], told["counted_at"]) == (1, None, {})
    assert [one.partition(" for ")[0] for one in told["wrong"]] == ["gateway gw1 is silent"]


def test_what_is_half_broken_is_told_in_the_words_of_gwctl(
    page_of_operator: WebPage, store: redis.Redis, operator: Operator
) -> None:
    now = time.time()
    write_gateway(store, "gw1", now, agent=False, state="unknown", calls=None)
    store.sadd(keys.DRAINED, "192.0.2.9:2223")
    hops = [HopView("sip:a", "down", 1_000.0, "no answer"), HopView("sip:b", "up", 1_000.0, "")]
    trunks = [
        TrunkView("acme", "up", 1_000.0, "waiting", 0.0, "403 Forbidden", 0, 0, hops),
        TrunkView("other", "up", 1_000.0, "registered", now + 60, "", 0, 0, hops),
    ]
    store.hset(keys.TRUNKS, "gw1", msgspec.json.encode(GatewayTrunks(now, trunks)).decode())
    told = page_of_operator.ask("GET", STATUS).get_json()
    assert told["wrong"] == [
        "gateway gw1 does not answer which calls it has",
        "gateway gw1 hears no media agent: dead relay nodes are noticed late",
        "no relay node takes new calls",
        "trunk acme (gateway gw1): registration waiting: 403 Forbidden",
        "trunk other (gateway gw1): sip:a is down: no answer",
    ]
    assert operator.document("status", returncode=1)["wrong"] == told["wrong"]


def test_of_a_redis_that_is_full_it_tells_what_is_there(
    page_of_operator: WebPage, store: redis.Redis
) -> None:
    write_gateway(store, "gw1", time.time(), state="down")
    with full(store):
        told = page_of_operator.ask("GET", STATUS).get_json()
    assert (told["calls"], told["gateways"][0]["calls"]) == (None, None)
    assert told["wrong"][0].startswith("Redis refuses what is written to it: ")
    assert "relay node 192.0.2.9:2223 is down (gateway gw1)" in told["wrong"]


def test_it_is_for_operators(page: WebPage) -> None:
    assert page.ask("GET", STATUS).status_code == 401
    page.log_in()
    assert page.ask("GET", STATUS).status_code == 403
