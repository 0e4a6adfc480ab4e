"""/api/calls: a user's calls, and nobody else's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
import redis
from flask import Flask

from kemi.core.call.record import CallRecord
from kemi.core.identity import ANONYMOUS
from kemi.state import keys
from kemi.state.call_history import FinishedCall
from kemi.state.call_questions import CallQuestion, answer_text
from kemi.state.calls import record_to_text
from kemi.state.redis_link import RedisLink
from kemi.state.web.client import digest
from tests.contract.web.client import WebPage
from tests.contract.web.test_operator_calls import commands, record
from tests.unit.adapters.test_shared_state import finished_call
from tests.unit.core.call.incoming_ladder import Incoming, invite

CALLS, CURRENT = "/api/calls", "/api/calls/current"
ALICE, TEL, BOB = "sip:alice@ims.example.com", "tel:+15550100", "sip:bob@ims.example.com"
AT = 1_790_000_000


def call(number: int, impu: str = ALICE, **changes: Any) -> FinishedCall:
    """Make a call that ended at this second of a day."""
    ended = float(AT + number)
    values = {"impu": impu, "began_at": ended - 0.5, "answered_at": ended - 0.2, "ended_at": ended, **changes}
    return msgspec.structs.replace(finished_call(f"{int(ended * 1000):014d}-{number:016x}"), **values)


@pytest.fixture
def gateway(redis_url: str, store: redis.Redis) -> RedisLink:
    """What writes calls."""
    return RedisLink(redis_url, "gw1", calls_kept_s=1_000_000)


@pytest.fixture
def alice(page: WebPage) -> WebPage:
    """Alice's page, logged in."""
    assert page.log_in().status_code == 201
    return page


def listed(page: WebPage, query: str = "") -> tuple[list[str], str]:
    """Return Call-IDs, and where it goes on."""
    response = page.ask("GET", f"{CALLS}?{query}")
    assert response.status_code == 200, response.text
    told = response.get_json()
    return [one["call_id"] for one in told["calls"]], told["next"]


def test_calls_of_all_own_identities_come_page_by_page(alice: WebPage, gateway: RedisLink) -> None:
    owners = (ALICE, BOB, "tel:+1-555-0100", "sip:alice@IMS.EXAMPLE.com")
    gateway.ship({}, {}, [], [call(number, owners[number % 4], call_id=str(number)) for number in range(40)])
    wanted = [str(number) for number in reversed(range(40)) if owners[number % 4] != BOB]
    found, cursor = [], ""
    while True:
        page, cursor = listed(alice, f"limit=7&cursor={cursor}")
        assert len(page) <= 7
        found += page
        if not cursor:
            break
    assert found == wanted
    assert listed(alice)[0] == wanted[:20]


def test_calls_that_ended_at_the_same_moment_are_all_there(alice: WebPage, gateway: RedisLink) -> None:
    same = [
        msgspec.structs.replace(call(1, call_id=str(number)), id=f"{AT + 1:011d}000-{number:016x}")
        for number in range(9)
    ]
    gateway.ship({}, {}, [], same)
    first, cursor = listed(alice, "limit=5")
    assert first + listed(alice, f"limit=5&cursor={cursor}")[0] == [
        str(number) for number in reversed(range(9))
    ]


def test_filters(alice: WebPage, gateway: RedisLink) -> None:
    gateway.ship({}, {}, [], [
        call(1, call_id="made"),
        call(2, call_id="got", direction="to_page"),
        call(3, call_id="missed", direction="to_page", answered_at=0.0),
        call(4, call_id="elsewhere", direction="to_page", answered_at=0.0, why="answered elsewhere", status=487),
    ])  # fmt: skip
    assert listed(alice, "direction=in")[0] == ["elsewhere", "missed", "got"]
    assert listed(alice, "direction=in&answered=false")[0] == ["elsewhere", "missed"]
    assert listed(alice, f"since={AT + 1}&until={AT + 3}")[0] == ["missed", "got"]
    newest = alice.ask("GET", CALLS).get_json()["calls"][0]
    assert (newest["elsewhere"], newest["direction"], newest["status"]) == (True, "in", 487)
    assert "relay" not in newest


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=../x", "direction=up", "answered=1", "since=nan"]
)
def test_what_is_not_described_is_refused(alice: WebPage, query: str) -> None:
    assert alice.ask("GET", f"{CALLS}?{query}").status_code == 400


@pytest.mark.parametrize("release", ["of now", "of before"])
def test_a_guest_sees_nothing_of_the_former_holder(
    page: WebPage, gateway: RedisLink, store: redis.Redis, make_app: Callable[..., Flask], release: str
) -> None:
    now = time.time()
    impu = page.lease().get_json()["impus"][0]
    for number, (began, name) in enumerate(((now - 60, "former"), (now + 1, "own"))):
        one = call(1, impu, call_id=name, began_at=began, ended_at=now + 2)
        gateway.ship({}, {}, [], [msgspec.structs.replace(one, id=f"{int(now * 1000):014d}-{number:016x}")])
    if release == "of before":
        (kept,) = store.keys("gw:web:session:*")
        session = json.loads(str(store.get(kept)))
        del session["began_at"]
        store.set(kept, json.dumps(session), keepttl=True)
    else:  # the time is of the session, whatever a session's lifetime is meanwhile
        cookie = str(page.cookie())
        page = WebPage(make_app(session_lifetime_s=86_400))
        page.set_cookie(cookie)
    assert listed(page)[0] == ["own"]


@pytest.fixture
def running() -> list[CallRecord]:
    """The calls of the gateway that answers."""
    return [record("one", ALICE)]


@pytest.fixture
def answering(store: redis.Redis, running: list[CallRecord]) -> Iterator[list[dict[str, Any]]]:
    """A gateway that answers; the questions it got."""
    store.hset(
        keys.RELAY_NODES, "gw1", json.dumps({"at": time.time(), "agent": False, "nodes": [], "counters": {}})
    )
    over, asked = threading.Event(), list[dict[str, Any]]()

    def answer() -> None:
        while not over.wait(0.02):
            for command in commands(store, "list_calls")[len(asked) :]:
                asked.append(command)
                text = answer_text(
                    command["asked"],
                    CallQuestion(),
                    [record_to_text(one) for one in running],
                    lambda _: {},
                    1.0,
                )
                store.hset(keys.running_calls(command["asked"]), "gw1", text)

    thread = threading.Thread(target=answer)
    thread.start()
    yield asked
    over.set()
    thread.join()


def test_running_calls_are_asked_for_by_identity(alice: WebPage, answering: list[dict[str, Any]]) -> None:
    told = alice.ask("GET", CURRENT).get_json()
    assert told["complete"]
    assert [(one["call_id"], one["impu"], one["answered"]) for one in told["calls"]] == [
        ("one", ALICE, False)
    ]
    assert [one["impus"] for one in answering] == [[ALICE, TEL]]


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("privacy", ["id", "user", "header"])
def test_who_calls_and_does_not_want_to_be_known_is_not_told_of(
    alice: WebPage, running: list[CallRecord], privacy: str
) -> None:
    named = {"P-Asserted-Identity": [f"<{BOB}>"]}
    private = Incoming.ringing(invite(headers={**named, "Privacy": [privacy]})).record
    shown = Incoming.ringing(invite(headers=named)).record
    private.owner = shown.owner = ALICE
    private.call_id, running[:] = privacy, [private, shown]
    told = alice.ask("GET", CURRENT).get_json()
    peers = {one["call_id"]: one["peer"] for one in told["calls"]}
    assert peers == {privacy: ANONYMOUS, shown.call_id: BOB}


def test_a_guest_sees_no_running_call_of_the_former_holder(
    page: WebPage, running: list[CallRecord], answering: list[dict[str, Any]]
) -> None:
    impu = page.lease().get_json()["impus"][0]
    now = time.time()
    running[:] = [record("former", impu, now - 60), record("own", impu, now)]
    told = page.ask("GET", CURRENT).get_json()
    assert [one["call_id"] for one in told["calls"]] == ["own"]
    assert [one["impus"] for one in answering] == [[impu]]


def test_an_own_call_is_ended_however_often_it_is_asked_for(alice: WebPage, store: redis.Redis) -> None:
    name = "a84b4c76e66710@pc33/x"
    for path in (f"{CALLS}?call_id={name}", f"{CALLS}/{name}"):
        assert alice.ask("DELETE", path).status_code == 204
    ordered = [(one["call_id"], one["impu"]) for one in commands(store, "end_call")]
    assert ordered == [("a84b4c76e66710@pc33/x", ALICE), ("a84b4c76e66710@pc33/x", TEL)] * 2


@pytest.mark.parametrize("call_id", ["/x@y", "//x@y", ".", "..", "x" * 7_900], ids=lambda name: name[:4])
def test_a_call_with_an_odd_name_is_not_taken_for_another(
    alice: WebPage, store: redis.Redis, call_id: str
) -> None:
    assert alice.ask("DELETE", f"{CALLS}?{urlencode({'call_id': call_id})}").status_code == 204
    alice.ask("DELETE", f"{CALLS}/{quote(call_id, safe='')}")
    assert {one["call_id"] for one in commands(store, "end_call")} == {call_id}


@pytest.mark.parametrize(
    ("what", "most", "method", "path"),
    [
        ("history", 300, "GET", CALLS),
        ("running-calls", 60, "GET", CURRENT),
        ("end-call", 60, "DELETE", f"{CALLS}?call_id=a"),
    ],
)
def test_who_asks_without_end_has_to_wait_whatever_the_login(
    alice: WebPage, store: redis.Redis, what: str, most: int, method: str, path: str
) -> None:
    store.set(keys.web_attempts(what, digest("password:alice")), most, ex=60)
    alice.log_out()
    alice.log_in()
    assert alice.ask(method, path).status_code == 429


def test_another_site_ends_no_call_and_nobody_sees_any(page: WebPage, store: redis.Redis) -> None:
    assert page.ask("GET", CALLS).status_code == 401
    assert page.ask("GET", CURRENT).status_code == 401
    assert page.ask("DELETE", f"{CALLS}?call_id=a").status_code == 401
    assert page.ask("DELETE", f"{CALLS}/a").status_code == 401
    page.log_in()
    assert page.ask("DELETE", f"{CALLS}/a", headers={"Origin": "https://evil.example.com"}).status_code == 403
    for query in ("call_id=", "call_id=%00", "impu=x"):
        assert page.ask("DELETE", f"{CALLS}?{query}").status_code == 400
    assert commands(store, "end_call") == []
