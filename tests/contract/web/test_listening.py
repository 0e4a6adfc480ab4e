"""Who listens is counted and looked at again, and hears of what was lost while Redis was away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
import redis

from kemi.core.limits import address_key
from kemi.state import keys
from kemi.state.web.client import digest
from kemi.state.web.listening import LIFETIME_S
from tests.contract.web.client import NAME, WebPage
from tests.contract.web.server import gunicorn, plain_settings
from tests.contract.web.test_events import SOON_S, Ears, happen
from tests.lab.waiting import wait_until
from webapp_api.event_reader import EventReader
from webapp_api.listeners import Audience, Listener
from webapp_api.services import Services

OPERATORS = "/api/operator/events"
HERE, THERE = "198.51.100.8", "198.51.100.9"


@pytest.fixture(scope="module")
def server_on(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ears]:
    """A server where two may listen from an address."""
    folder: Path = tmp_path_factory.mktemp("web")
    with gunicorn(
        plain_settings(redis_url), folder, quick=True, workers=1, event_listeners_per_address=2
    ) as running:
        yield Ears(running)


@pytest.fixture
def ears(server_on: Ears, store: redis.Redis) -> Iterator[Ears]:
    """Listeners on an empty Redis."""
    yield server_on
    while server_on.sockets:
        server_on.sockets.pop().close()


def test_who_goes_on_listening_goes_on_counting(
    page_of_operator: WebPage, ears: Ears, store: redis.Redis
) -> None:
    """Else its place would be free after LIFETIME_S, and no page of the person would be known."""
    counted = [
        keys.web_listeners("user", digest(f"password:{NAME}")),
        keys.web_listeners("address", digest(address_key(HERE))),
    ]
    for path in ("/api/events", OPERATORS):
        ear = ears.open(page_of_operator.cookie(), path, **{"X-Forwarded-For": HERE})
        assert ear.next()["type"] == "position"
        soon = time.time() + 1
        for name in counted:
            (listener,) = store.zrange(name, 0, -1)
            store.zadd(name, {str(listener): soon})
            store.expire(name, 10)
        for name in counted:
            wait_until(partial(_is_counted_on, store, name), "the listener is counted on", SOON_S)
            assert store.ttl(name) > 10
        ear.socket.close()
        wait_until(lambda: not store.exists(*counted), "nobody counts any more", SOON_S)


def _is_counted_on(store: redis.Redis, name: str) -> bool:
    return store.zcount(name, time.time() + LIFETIME_S - 10, "+inf") == 1


def test_whose_role_is_taken_away_hears_no_more(
    page_of_operator: WebPage, ears: Ears, services: Services
) -> None:
    console, own = (ears.open(page_of_operator.cookie(), path) for path in (OPERATORS, "/api/events"))
    assert console.next()["type"] == own.next()["type"] == "position"
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=False))
    assert console.end() == (4403, "no operator any more")
    assert own.socket.ping().wait(SOON_S), "whoever it is, may hear the own calls"


def test_one_address_has_so_many_listeners(page: WebPage, ears: Ears) -> None:
    page.log_in()
    for _ in range(2):
        ears.open(page.cookie(), **{"X-Forwarded-For": HERE}).next()
    refused = ears.refused(page.cookie(), **{"X-Forwarded-For": HERE})
    assert (refused["status"], "address" in refused["detail"]) == (429, True)
    assert ears.open(page.cookie(), **{"X-Forwarded-For": THERE}).next()["type"] == "position"


@pytest.mark.parametrize("lost", [True, False])
def test_a_redis_that_comes_back_without_the_last_events_leaves_a_gap(
    services: Services, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    happen(store, "call_started", call_id="before")
    nothing: Callable[[], None] = Mock()
    listener = Listener(Audience("sid", operator=True), wake=nothing, abort=nothing)
    reader = EventReader(services)
    reader.start()
    try:
        wait_until(lambda: bool(services.hub.position), "the reader has begun", SOON_S)
        services.hub.join(listener)
        with monkeypatch.context() as away:
            read = Mock(side_effect=redis.ConnectionError)
            away.setattr(services.feed, "read", read)
            wait_until(lambda: read.called, "Redis is missed", SOON_S)
            if lost:
                store.delete(keys.EVENTS)
        if lost:
            wait_until(lambda: bool(listener.waiting), "the gap is told", SOON_S)
        happen(store, "call_started", call_id="after")
        wait_until(lambda: "after" in "".join(listener.waiting), "news are told", SOON_S)
        heard: list[dict[str, Any]] = [json.loads(text) for text in listener.waiting]
    finally:
        reader.stop()
    assert [one.get("gap", one.get("call_id")) for one in heard] == ([True] if lost else []) + ["after"]
