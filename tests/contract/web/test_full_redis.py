"""A Redis that is full, cannot save or is a replica: what only reads works, who is logged in still gets tokens, and
what ends something still ends it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import redis
from flask import Flask

from kemi.state import keys
from kemi.state.web.attempts import AttemptStore
from tests.contract.web.client import WebPage
from tests.contract.web.test_operator_pools import POOLS
from tests.contract.web.test_operator_registrations import REGISTRATIONS, register
from tests.contract.web.test_session import commands
from tests.peers.refusing_redis import WAYS, full
from webapp_api.settings import Settings

Refusing = Callable[[redis.Redis], AbstractContextManager[None]]


@pytest.fixture(params=WAYS)
def refusing(request: pytest.FixtureRequest) -> Refusing:
    return WAYS[request.param]


def test_tokens_are_given(page: WebPage, store: redis.Redis, refusing: Refusing) -> None:
    guest = WebPage(page.app)
    assert (page.log_in().status_code, guest.lease().status_code) == (201, 201)
    assert page.token().status_code == 200  # and there is a key to sign with
    with refusing(store):
        assert (page.token().status_code, guest.token().status_code) == (200, 200)
        assert page.ask("GET", "/api/session").status_code == 200
        assert page.ask("GET", "/api/calls").status_code == 200
        assert WebPage(page.app).log_in().status_code == 503, "a session is something new"
        assert [page.token().status_code for _ in range(60)].count(429) == 1, "and they are counted"


@pytest.mark.parametrize(
    "path", ["traces", "trace?key=x", "nodes", "trunks", "counters", "registrations", "audit", "users"]
)
def test_operators_read(page_of_operator: WebPage, store: redis.Redis, refusing: Refusing, path: str) -> None:
    as_usual = page_of_operator.ask("GET", f"/api/operator/{path}")
    with refusing(store):
        found = page_of_operator.ask("GET", f"/api/operator/{path}")
    assert (found.status_code, found.json) == (as_usual.status_code, as_usual.json)


def test_a_user_ends_a_call(page: WebPage, store: redis.Redis) -> None:
    page.log_in()
    with full(store):
        assert page.ask("DELETE", "/api/calls?call_id=x").status_code == 204
    assert {one["type"] for one in commands(store)} == {"end_call"}


def test_an_operator_ends_something(page_of_operator: WebPage, store: redis.Redis) -> None:
    with full(store):
        ended = page_of_operator.ask("POST", "/api/operator/calls/end", json={"call_id": "x"})
        assert ended.status_code == 202
        for path, status in (("registrations/abc", 404), ("bans/192.0.2.7", 204), ("users/nobody", 204)):
            assert page_of_operator.ask("DELETE", f"/api/operator/{path}").status_code == status
    assert [one["type"] for one in commands(store)] == ["end_call"]


@pytest.mark.parametrize("who", ["the guest", "registration", "lease"])
def test_a_guests_session_ends(
    app: Flask, page_of_operator: WebPage, settings: Settings, store: redis.Redis, who: str
) -> None:
    guest = WebPage(app)
    impi = guest.lease().get_json()["impi"]
    sid = str(store.get(keys.web_lease(impi)))
    register(store, "gw1", impi.partition("@")[0], scheme="bearer", session=sid)
    (shown,) = page_of_operator.ask("GET", REGISTRATIONS).get_json()["registrations"]
    asks, path, status = {
        "the guest": (guest, "/api/session", 204),
        "registration": (page_of_operator, f"{REGISTRATIONS}/{shown['id']}", 202),
        "lease": (page_of_operator, f"{POOLS}/guests/leases/{impi}", 202),
    }[who]
    with full(store):
        assert asks.ask("DELETE", path).status_code == status
        assert guest.session() == {"authenticated": False}
    assert [(one["type"], one["sid"]) for one in commands(store)] == [("logout", sid)]
    assert 0 < store.pttl(keys.web_lease(impi)) <= settings.lease_settling_s * 1000


@pytest.mark.parametrize("way", ["a replica", "cannot save"])
def test_calls_end_where_nothing_can_be_written(
    page_of_operator: WebPage, store: redis.Redis, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with WAYS[way](store), caplog.at_level(logging.ERROR, "webapp_api.errors"):
        refused = page_of_operator.ask("POST", "/api/operator/calls/end", json={"call_id": "x"})
        assert refused.status_code == 503, "nobody hears it"
        assert "keep nothing new" in refused.text
        assert ("read only replica" if way == "a replica" else "MISCONF") in caplog.text
        gateway = store.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        gateway.subscribe(keys.ORDERS)
        gateway.get_message(timeout=1)
        ended = page_of_operator.ask("POST", "/api/operator/calls/end", json={"call_id": "x"})
        assert ended.status_code == 202
        assert page_of_operator.ask("DELETE", "/api/calls?call_id=y").status_code == 204
        heard = [gateway.get_message(timeout=1)["data"] for _ in range(2)]
        gateway.close()
    assert ['"call_id":"x"' in heard[0], '"call_id":"y"' in heard[1]] == [True, True]
    assert commands(store) == []


def test_who_guesses_is_not_let_go_on(store: redis.Redis) -> None:
    logins = AttemptStore(store, "login", limit=1, window_s=60)
    with full(store), pytest.raises(redis.OutOfMemoryError):
        logins.add("alice")
