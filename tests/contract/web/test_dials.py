"""Click-to-dial: a person's pages hear of a call that was asked for, and exactly one of them gets it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
import redis
from flask import Flask

from kemi.state import keys
from kemi.state.web.dials import KEPT_S, DialStore
from tests.contract.web.client import OWN_FIELDS, PASSWORD, WebPage
from tests.contract.web.server import Server, gunicorn, plain_settings
from tests.contract.web.test_events import Ear, Ears
from tests.lab.waiting import wait_until
from webapp_api.services import Services

CALLS, DIALS = "/api/calls", "/api/dials/"
TO = "+4930123456"
PAGE, OTHER = "page-one-1", "page-two-2"


@pytest.fixture(scope="module")
def server_on(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that pages listen at, of two processes."""
    with gunicorn(plain_settings(redis_url), tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture
def ears(server_on: Server, store: redis.Redis) -> Iterator[Ears]:
    """Pages that listen."""
    opened = Ears(server_on)
    yield opened
    for socket in opened.sockets:
        socket.close()


@pytest.fixture
def listening(page: WebPage, ears: Ears, store: redis.Redis) -> Ear:
    """One page of alice's that listens."""
    page.log_in()
    return heard_by(ears, page, store)


def heard_by(ears: Ears, page: WebPage, store: redis.Redis) -> Ear:
    ear = ears.open(page.cookie())
    assert ear.next()["type"] == "position"
    wait_until(lambda: bool(store.pubsub_numsub(keys.UNKEPT_EVENTS)[0][1]), "the server to listen", 5)
    return ear


def ask(page: WebPage, to: str = TO, key: str = "", **options: Any) -> Any:
    fields = OWN_FIELDS | ({"Idempotency-Key": key} if key else {})
    return page.ask("POST", CALLS, json={"to": to, **options}, headers=fields)


def report(page: WebPage, dial: str, name: str = PAGE, **more: str) -> Any:
    return page.ask("PUT", DIALS + dial, json={"page": name, **more})


def test_every_page_of_the_person_hears_and_one_gets_it(
    app: Flask, page: WebPage, listening: Ear, ears: Ears, store: redis.Redis
) -> None:
    elsewhere = WebPage(app, "198.51.100.8")
    elsewhere.log_in()
    other = heard_by(ears, elsewhere, store)
    answered = ask(page, "+49 (30) 12 34-56", video=True)
    assert answered.status_code == 202
    dial = answered.get_json()["dial"]
    assert answered.headers["Location"] == DIALS + dial
    for ear in (listening, other):
        event = ear.next()
        assert (event["type"], event["dial"], set(event)) == (
            "dial_requested",
            dial,
            {"type", "dial", "at"},
        )
    pages, start = [page, elsewhere] * 4, Barrier(8)

    def take(number: int) -> int:
        start.wait()
        name = f"page-{number:04}"
        return int(report(tab_of(app, pages[number]), dial, name).status_code)

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(take, range(8)))
    assert statuses == [200] + [409] * 7
    told = page.ask("GET", DIALS + dial).get_json()
    assert (told["to"], told["video"], told["state"]) == (TO, True, "taken")
    assert other.next()["type"] == "dial_taken"


def tab_of(app: Flask, page: WebPage) -> WebPage:
    """Another tab of a browser: Flask's test client is for one thread."""
    tab = WebPage(app, page.address)
    tab.set_cookie(str(page.cookie()))
    return tab


def test_the_page_says_what_came_of_it_and_may_say_it_twice(page: WebPage, listening: Ear) -> None:
    dial = ask(page).get_json()["dial"]
    for more, state in (({}, "taken"), ({}, "taken"), ({"call_id": "abc"}, "placed"), ({}, "placed")):
        told = report(page, dial, **more)
        assert (told.status_code, told.get_json()["state"]) == (200, state)
    assert report(page, dial, OTHER, call_id="else").status_code == 409
    assert page.ask("GET", DIALS + dial).get_json()["call_id"] == "abc"
    assert [listening.next().get("call_id") for _ in range(5)] == [None, None, None, "abc", "abc"]
    failed = ask(page).get_json()["dial"]
    told = report(page, failed, failed="no microphone").get_json()
    assert (told["state"], told["why"]) == ("failed", "no microphone")


def test_the_same_key_is_the_same_call(page: WebPage, listening: Ear, store: redis.Redis) -> None:
    first, second = ask(page, key="k-1"), ask(page, key="k-1")
    assert first.get_json() == second.get_json()
    assert ask(page, "+4930999", key="k-1").status_code == 422
    assert ask(page, key="k-2").get_json()["dial"] != first.get_json()["dial"]
    assert ask(page, key="a b").status_code == 400
    assert [listening.next()["dial"] for _ in range(2)] == [
        first.get_json()["dial"],
        ask(page, key="k-2").get_json()["dial"],
    ]


def test_a_redis_that_goes_away_in_between_loses_no_call(
    page: WebPage, listening: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(DialStore, "tell", Mock(side_effect=redis.ConnectionError))
        dial = ask(page, key="k-1").get_json()["dial"]
        assert report(page, dial).status_code == 200, "it is kept who has it"
    assert ask(page, key="k-1").get_json()["state"] == "taken"
    assert report(page, dial, call_id="abc").status_code == 200
    assert [event["type"] for event in listening.many(2)] == ["dial_requested", "dial_taken"]


def test_a_wish_is_not_kept_for_ever(page: WebPage, listening: Ear, store: redis.Redis) -> None:
    dial = ask(page).get_json()["dial"]
    assert 0 < store.ttl(keys.web_dial(dial)) <= KEPT_S
    report(page, dial)
    assert 0 < store.ttl(keys.web_dial(dial)) <= KEPT_S


def test_it_is_nobody_elses(
    app: Flask, page: WebPage, listening: Ear, ears: Ears, store: redis.Redis, services: Services
) -> None:
    """Bob even shares alice's identities."""
    alice = services.accounts.get("alice")
    assert alice is not None
    services.accounts.put(msgspec.structs.replace(alice, name="bob"))
    bob = WebPage(app, "198.51.100.9")
    bob.log_in("bob", PASSWORD)
    ear = heard_by(ears, bob, store)
    dial = ask(page).get_json()["dial"]
    assert listening.next()["dial"] == dial
    assert bob.ask("GET", DIALS + dial).status_code == 404
    assert report(bob, dial).status_code == 404
    with pytest.raises(TimeoutError):
        ear.next(0.5)
    assert report(page, dial).status_code == 200


def test_too_late(page: WebPage, listening: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp_api.blueprints.dials.WAIT_S", 0.0)
    dial = ask(page).get_json()["dial"]
    time.sleep(0.01)
    assert page.ask("GET", DIALS + dial).get_json()["state"] == "expired"
    assert report(page, dial).status_code == 409


def test_without_an_open_page_it_is_refused_at_once(page: WebPage) -> None:
    assert ask(page).status_code == 401
    page.log_in()
    assert ask(page).status_code == 409


def test_a_console_is_no_page_that_could_call(
    page_of_operator: WebPage, ears: Ears, store: redis.Redis
) -> None:
    console = ears.open(page_of_operator.cookie(), "/api/operator/events")
    assert console.next()["type"] == "position"
    assert ask(page_of_operator).status_code == 409
    heard_by(ears, page_of_operator, store)
    assert ask(page_of_operator).status_code == 202


def test_not_without_end(page: WebPage, listening: Ear) -> None:
    statuses = [ask(page).status_code for _ in range(21)]
    assert statuses == [202] * 20 + [429]
    assert len({event["dial"] for event in listening.many(20)}) == 20


@pytest.mark.parametrize("to", ["", " ", "a b", "sip:a@b>", 'x"y', "a\nb", "ü", "1" * 256, 7])
def test_what_is_nobody(page: WebPage, listening: Ear, to: Any) -> None:
    assert ask(page, to).status_code == 400


@pytest.mark.parametrize("name", ["short", "page name", "page-name\n"])
def test_what_is_no_name_of_a_page(page: WebPage, listening: Ear, name: str) -> None:
    dial = ask(page, TO).get_json()["dial"]
    assert page.ask("PUT", DIALS + dial, json={"page": name}).status_code == 400


@pytest.mark.parametrize("to", ["*100#", "sip:bob@ims.example.com", "tel:+49301", "bob"])
def test_who_can_be_called(page: WebPage, listening: Ear, to: str) -> None:
    assert ask(page, to).get_json()["to"] == to


@pytest.mark.parametrize(
    ("written", "to"),
    [
        ("(555) 010-0100", "5550100100"),
        ("(555)010-0100", "5550100100"),
        ("(+49) 30/1234", "+49301234"),
        ("+49 (0)30 1234", "+49301234"),
        ("(+49)(0)30/1234", "+49301234"),
        ("+39 (0)6 1234", "+39061234"),
        ("+49 30 (0)1234", "+493001234"),
        ("(0)30 1234", "0301234"),
        ("+1\u00a0555\u2011010\u20130100", "+15550100100"),
        ("*31# 030 1234", "*31#0301234"),
    ],
)
def test_a_number_as_people_write_it(page: WebPage, listening: Ear, written: str, to: str) -> None:
    assert ask(page, written).get_json()["to"] == to
