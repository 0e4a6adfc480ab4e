"""A node's records, events, commands and keys in a real Redis; and a Redis that does not answer."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import msgspec
import pytest
import redis

from kemi.core.registration.own_requests import Subscription
from kemi.state import keys
from kemi.state.call_questions import CallQuestion
from kemi.state.commands import EndCalls, EndRegistration, ListCalls, Logout
from kemi.state.continuity import NOTHING, Change
from kemi.state.redis_errors import RedisRefused, RedisUnavailable
from kemi.state.redis_link import (
    ACCOUNTS_AT_ONCE,
    COMMANDS_AT_ONCE,
    DEADLINE_S,
    RedisLink,
)
from kemi.state.trunks import seen_trunks
from kemi.state.web import streams
from kemi.state.web.accounts import Account, AccountStore
from kemi.state.web.streams import CommandStream
from tests.contract.redis.conftest import NODE, logout
from tests.lab.ports import LOOPBACK
from tests.lab.waiting import wait_until
from tests.peers.refusing_redis import WAYS
from tests.unit.core.registration.bindings import TOKEN, binding

pytestmark = pytest.mark.contract

ISSUER = "https://login.example"


def test_records_come_back_as_they_were(link: RedisLink, database: Any) -> None:
    one = binding(grant=TOKEN, renew_at=7.5)
    watching = Subscription("sub-1", "sip:a@b", "t", ["<sip:x;lr>"], bindings=[one.key], version=4)
    text = msgspec.json.encode(one).decode()
    link.ship({one.key: text, "gone": None}, {"sub-1": msgspec.json.encode(watching).decode()}, ["{}"])
    database.hset(keys.registrations(NODE), "broken", "{")
    stored = RedisLink(_url(database), NODE).stored()
    assert stored.registrations == {one.key: one}
    assert stored.subscriptions == {"sub-1": watching}
    link.ship({one.key: None}, {"sub-1": None}, [])
    assert link.stored().subscriptions == {}
    assert one.key not in link.stored().registrations


def _url(database: Any) -> str:
    kwargs = database.connection_pool.connection_kwargs
    return f"redis://{kwargs['host']}:{kwargs['port']}/0"


def test_another_nodes_records_are_its_own(link: RedisLink, database: Any) -> None:
    link.ship({"key": msgspec.json.encode(binding()).decode()}, {}, [])
    assert RedisLink(_url(database), "node-2").stored().registrations == {}


def test_who_is_silent_is_seen_by_the_clock_of_redis(link: RedisLink, database: Any) -> None:
    wrong = time.time() - 500
    link.ship_nodes({}, json.dumps({"at": wrong}))
    database.hset(keys.RELAY_NODES, "of before", json.dumps({"at": time.time() - 7}))
    database.hset(keys.RELAY_NODES, "broken", "{")
    ages = link.gateways(time.time())
    assert 0 <= ages[NODE] < 1
    assert 7 <= ages["of before"] < 8
    assert ages["broken"] > 1e9
    texts, redis_now = link.exchange_trunks(json.dumps({"at": wrong, "trunks": []}))
    assert seen_trunks(texts, redis_now, time.time()).keys() == {NODE}


def test_what_a_gateway_kept_is_forgotten_and_nothing_of_another(link: RedisLink, database: Any) -> None:
    names = (keys.registrations, keys.subscriptions, keys.call_records, keys.handed_over)
    for node in (NODE, "node-2"):
        for name in names:
            database.hset(name(node), "key", "1")
        database.set(keys.position(node), "1-0")
        for common in (keys.RELAY_NODES, keys.TRUNKS, keys.MARKS):
            database.hset(common, node, "{}")
    link.forget_gateway("node-2")
    assert database.exists(*(name("node-2") for name in (*names, keys.position))) == 0
    assert database.exists(*(name(NODE) for name in (*names, keys.position))) == 5
    assert [database.hkeys(one) for one in (keys.RELAY_NODES, keys.TRUNKS, keys.MARKS)] == [[NODE]] * 3


def test_one_that_was_forgotten_and_runs_hears_of_it(link: RedisLink, database: Any) -> None:
    link.ship_nodes({}, '{"at": 1}')
    link.take_change()
    RedisLink(_url(database), "node-2").forget_gateway(NODE)
    link.exchange([], time.time())
    assert link.take_change().lost


def test_the_names_of_what_is_kept(link: RedisLink, database: Any) -> None:
    link.ship({"r": "1"}, {"s": "2"}, [], records={"c": "3"})
    database.hset(keys.call_records("node-2"), "other", "4")
    assert link.names() == (["r"], ["s"], ["c"])


def test_a_call_is_claimed_by_one_gateway_and_kept_for_it(link: RedisLink, database: Any) -> None:
    database.hset(keys.call_records("dead"), mapping={"a": "1", "b": "2"})
    other = RedisLink(_url(database), "node-2")
    assert (link.claim_call("dead", "a"), other.claim_call("dead", "a")) == ("1", None)
    assert link.claim_call("dead", "a") is None
    assert database.hgetall(keys.call_records("dead")) == {"b": "2"}
    assert link.exchange((), time.time()).handed_over == {"a": "1"}
    assert other.exchange((), time.time()).handed_over == {}
    link.took_over(["a"])
    assert link.exchange((), time.time()).handed_over == {}


def test_a_full_redis_keeps_a_call_where_it_is(link: RedisLink, database: Any) -> None:
    database.hset(keys.call_records("dead"), "a", "1")
    database.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisUnavailable, match="maxmemory"):
            link.claim_call("dead", "a")
    finally:
        database.config_set("maxmemory", 0)
    assert database.hgetall(keys.call_records("dead")) == {"a": "1"}


class TestAnotherRedis:
    """That Redis is not the one it was, or has lost something, is seen without an error."""

    def test_the_same_one_is_no_news(self, link: RedisLink) -> None:
        for _ in range(3):
            link.ship_nodes({}, "{}")
            link.exchange((), time.time())
        assert link.take_change() == NOTHING

    def test_a_connection_that_ended_between_two_commands(self, link: RedisLink, database: Any) -> None:
        link.exchange((), time.time())
        database.client_kill_filter(_type="normal", skipme=True)
        link.exchange((), time.time())
        assert link.take_change() == Change(connected=True)
        assert link.take_change() == NOTHING

    @pytest.mark.parametrize("is_written_first", [False, True])
    def test_an_empty_one(self, link: RedisLink, database: Any, is_written_first: bool) -> None:
        link.ship_nodes({}, "{}")
        database.flushall()
        if is_written_first:
            link.ship_nodes({}, "{}")
        link.exchange((), time.time())
        assert link.take_change() == Change(lost=True)
        link.ship_nodes({}, "{}")
        link.exchange((), time.time())
        assert link.take_change() == NOTHING

    def test_an_older_state(self, link: RedisLink, database: Any) -> None:
        link.ship_nodes({}, "{}")
        older = database.hget(keys.MARKS, NODE)
        link.ship_nodes({}, "{}")
        database.hset(keys.MARKS, NODE, older)
        link.exchange((), time.time())
        assert link.take_change() == Change(lost=True)

    def test_a_writing_that_was_refused_says_nothing(self, link: RedisLink, database: Any) -> None:
        link.ship_nodes({}, "{}")
        database.config_set("maxmemory", 1)
        try:
            with pytest.raises(RedisUnavailable, match="maxmemory"):
                link.ship_nodes({}, "{}")
        finally:
            database.config_set("maxmemory", 0)
        link.exchange((), time.time())
        assert link.take_change() == NOTHING

    def test_after_a_restart_of_the_gateway_nothing_is_expected(self, link: RedisLink, database: Any) -> None:
        link.ship_nodes({}, "{}")
        again = RedisLink(_url(database), NODE)
        again.exchange((), time.time())
        again.ship_nodes({}, "{}")
        assert again.take_change() == NOTHING


def test_a_full_redis_says_who_is_banned_and_forgets_who_is_not(link: RedisLink, database: Any) -> None:
    database.hset(keys.BANS, mapping={"over": "{}", "stays": "{}"})
    database.config_set("maxmemory", 1)
    try:
        found, refusal = link.exchange_bans({"new": "{}"}, ["over"], [])
        assert link.exchange((), time.time()).commands == []
        with pytest.raises(RedisRefused, match="maxmemory"):
            link.ship({"key": "{}"}, {}, [])
    finally:
        database.config_set("maxmemory", 0)
    assert (set(found), type(refusal)) == ({"stays"}, RedisRefused)
    found, refusal = link.exchange_bans({"new": "{}"}, [], [])
    assert (set(found), refusal) == ({"stays", "new"}, None)


def test_events_are_a_stream_that_does_not_grow_for_ever(link: RedisLink, database: Any) -> None:
    for _ in range(13):
        link.ship({}, {}, ["{}"] * 1000)
    assert keys.STREAM_LENGTH <= database.xlen(keys.EVENTS) < keys.STREAM_LENGTH + 500


def test_commands_are_heard_once_and_in_order(link: RedisLink, database: Any) -> None:
    logout(database, "a")
    logout(database, "b")
    assert link.exchange((), time.time()).commands == [Logout("a", 1.0), Logout("b", 1.0)]
    assert link.exchange((), time.time()).commands == []
    logout(database, "c")
    assert link.exchange((), time.time()).commands == [Logout("c", 1.0)]


def test_a_logout_of_no_time_counts_from_when_it_came(link: RedisLink, database: Any) -> None:
    link.exchange((), time.time() - 1)
    for more in ({}, {"at": 0}):
        entry = database.xadd(keys.COMMANDS, {"json": json.dumps({"type": "logout", "sid": "a"} | more)})
        came_at = int(entry.partition("-")[0]) / 1000
        assert link.exchange((), time.time()).commands == [Logout("a", came_at)]


def test_many_commands_come_in_parts(link: RedisLink, database: Any) -> None:
    link.exchange((), time.time())
    for number in range(COMMANDS_AT_ONCE + 5):
        logout(database, str(number))
    first, second = link.exchange((), time.time()).commands, link.exchange((), time.time()).commands
    assert (len(first), len(second)) == (COMMANDS_AT_ONCE, 5)


def test_a_restarted_node_knows_at_once_who_logged_out_however_much_was_asked_since(
    link: RedisLink, database: Any
) -> None:
    stream = CommandStream(database)
    for number in range(5 * COMMANDS_AT_ONCE):
        stream.list_calls(str(number), time.time(), CallQuestion())
    logout(database, "a")
    time.sleep(0.002)
    assert link.exchange((), time.time()).commands == [Logout("a", 1.0)]
    logout(database, "b")
    assert link.exchange((), time.time()).commands == [Logout("b", 1.0)]


def test_questions_push_no_logout_out_of_the_stream(
    link: RedisLink, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "STREAM_LENGTH", 200)
    monkeypatch.setattr(streams, "QUESTION_KEPT_MS", 0)
    stream = CommandStream(database)
    logout(database, "a")
    database.xadd(keys.COMMANDS, {"json": '{"type":"end_call"'})  # an operator's, with a slip
    for number in range(1000):
        stream.list_calls(str(number), time.time(), CallQuestion())
        if number == 500:  # a gateway that has read a question is not led to read all of it anew
            link.exchange((), time.time())
    assert database.xlen(keys.COMMANDS) < 100
    heard = link.exchange((), time.time()).commands
    assert [command for command in heard if isinstance(command, Logout)] == []
    again = RedisLink(_url(database), "another")
    assert again.exchange((), time.time()).commands == [Logout("a", 1.0)]


def test_a_restarted_node_hears_what_may_still_matter(link: RedisLink, database: Any) -> None:
    logout(database, "done")
    link.exchange((), time.time())
    link.done()
    logout(database, "missed")
    # a token of this session may still be alive: it must be known as revoked again
    again = RedisLink(_url(database), NODE)
    assert again.exchange((), time.time()).commands == [Logout("done", 1.0), Logout("missed", 1.0)]


def test_a_node_that_was_away_for_long_hears_what_it_has_not_done_whatever_its_age(
    link: RedisLink, database: Any
) -> None:
    long_ago = [f"{int((time.time() - ago_s) * 1000)}-0" for ago_s in (100_000, 90_000)]
    for entry, session in zip(long_ago, ("done", "missed"), strict=True):
        database.xadd(keys.COMMANDS, {"json": json.dumps({"type": "logout", "sid": session, "at": 1})}, entry)
    database.set(keys.position(NODE), long_ago[0])
    assert link.exchange((), time.time()).commands == [Logout("missed", 1.0)]


def test_a_command_to_end_a_registration_is_for_the_bindings_of_now(link: RedisLink, database: Any) -> None:
    stream = CommandStream(database)
    stream.end_registration("sip:a@b urn:1 1", time.time())
    time.sleep(0.002)
    assert link.exchange((), time.time()).commands == []
    stream.end_registration("sip:a@b urn:1 1", time.time())
    assert link.exchange((), time.time()).commands == [EndRegistration("sip:a@b urn:1 1")]


@pytest.mark.conformance("X-11")
def test_commands_to_end_calls_are_for_the_calls_of_now(link: RedisLink, database: Any) -> None:
    stream = CommandStream(database)
    stream.end_calls(impu="sip:alice@ims.example", now=time.time())
    logout(database, "a")
    time.sleep(0.002)
    # The node has started since: calls of before are gone, and those of now were not meant.
    assert link.exchange((), time.time()).commands == [Logout("a", 1.0)]
    again = RedisLink(_url(database), NODE)
    again.exchange((), time.time() - 1)
    stream.end_calls(call_id="call-1", now=time.time())
    stream.end_calls(impu="sip:alice@ims.example", now=time.time())
    assert again.exchange((), time.time()).commands == [
        EndCalls(call_id="call-1"),
        EndCalls(impu="sip:alice@ims.example"),
    ]
    stream.end_calls(call_id="call-1", impu="sip:alice@ims.example", by="user", now=time.time())
    question = CallQuestion(impus=("sip:alice@ims.example",), party="+49", after=(1.5, "ab"), limit=7)
    stream.list_calls("question", time.time(), question)
    assert again.exchange((), time.time()).commands == [
        EndCalls("call-1", "sip:alice@ims.example", "user"),
        ListCalls("question", question),
    ]


def test_what_ends_something_gets_through_a_full_redis_and_fills_nothing(
    link: RedisLink, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = CommandStream(database)
    link.exchange((), time.time() - 1)
    database.config_set("maxmemory", 1)
    try:
        stream.end_calls(call_id="call-1", now=time.time())
        stream.end_registration("sip:a@b urn:1 1", time.time())
        stream.logout("a", "", 1.0)
        assert link.exchange((), time.time()).commands == [
            EndCalls(call_id="call-1"),
            EndRegistration("sip:a@b urn:1 1"),
            Logout("a", 1.0),
        ]
        with pytest.raises(redis.OutOfMemoryError):
            stream.list_calls("question", time.time(), CallQuestion())
        monkeypatch.setattr(keys, "STREAM_LENGTH", 100)
        for number in range(400):
            stream.logout(str(number), "", time.time())
        assert database.xlen(keys.COMMANDS) <= 200  # trimmed by nodes of a hundred
    finally:
        database.config_set("maxmemory", 0)


def test_a_full_redis_of_before_flags_refuses_as_it_did(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_ALSO_WHEN_FULL", "# no Lua")
    database.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.OutOfMemoryError):
            CommandStream(database).logout("a", "", time.time())
    finally:
        database.config_set("maxmemory", 0)


@pytest.mark.parametrize("way", ["a replica", "cannot save"])
def test_what_ends_something_is_heard_where_nothing_can_be_written(
    link: RedisLink, database: Any, way: str
) -> None:
    stream = CommandStream(database)
    link.exchange((), time.time() - 1)
    with WAYS[way](database):
        stream.end_calls(call_id="call-1", now=time.time())
        stream.end_registration("sip:a@b urn:1 1", time.time())
        with pytest.raises(redis.ResponseError):
            stream.logout("a", "", 1.0)  # it has to be kept
        database.publish(keys.ORDERS, '{"type":"logout","sid":"a"}')
        database.publish(keys.ORDERS, "{")
        assert link.exchange((), time.time()).commands == [
            EndCalls(call_id="call-1"),
            EndRegistration("sip:a@b urn:1 1"),
        ]
        assert link.exchange((), time.time()).commands == []


def test_orders_are_heard_again_after_a_lost_connection(link: RedisLink, database: Any) -> None:
    link.exchange((), time.time() - 1)
    database.client_kill_filter(_type="pubsub")
    link.exchange((), time.time())
    link.exchange((), time.time())
    assert database.publish(keys.ORDERS, '{"type":"end_call","call_id":"x"}') == 1
    assert link.exchange((), time.time()).commands == [EndCalls(call_id="x")]
    assert link.take_change() == NOTHING
    link.disconnect()
    wait_until(lambda: database.pubsub_numsub(keys.ORDERS)[0][1] == 0, "nobody listens", 2)


def test_nonsense_on_the_stream_is_passed_over(link: RedisLink, database: Any) -> None:
    for text in (
        "",
        "{",
        "[1]",
        '{"type":"dance","sid":"a"}',
        '{"type":"logout","sid":7}',
        '{"type":"end_call"}',
    ):
        database.xadd(keys.COMMANDS, {"json": text})
    database.xadd(keys.COMMANDS, {"other": "x"})
    logout(database, "a")
    assert link.exchange((), time.time()).commands == [Logout("a", 1.0)]


def test_the_key_sets_of_the_issuers_that_are_there(link: RedisLink, database: Any) -> None:
    database.set(keys.jwks(ISSUER), '{"keys":[]}')
    assert link.exchange((ISSUER, "https://other.example"), time.time()).key_sets == {ISSUER: '{"keys":[]}'}


def test_a_redis_that_does_not_answer_costs_one_deadline() -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        link = RedisLink(f"redis://{LOOPBACK}:{silent.getsockname()[1]}/0", NODE)
        for work in (link.stored, lambda: link.ship({"a": None}, {}, []), lambda: link.exchange((), 0.0)):
            began = time.monotonic()
            with pytest.raises(RedisUnavailable):
                work()
            assert time.monotonic() - began < 3 * DEADLINE_S


def test_nobody_there_is_known_at_once() -> None:
    with socket.create_server((LOOPBACK, 0)) as probe:
        port = probe.getsockname()[1]
    took = []
    for _ in range(5):
        began = time.monotonic()
        with pytest.raises(RedisUnavailable):
            RedisLink(f"redis://{LOOPBACK}:{port}/0", NODE).exchange((), 0.0)
        took.append(time.monotonic() - began)
    assert min(took) < DEADLINE_S


def test_accounts_are_read_some_at_a_time(link: RedisLink, database: Any) -> None:
    store = AccountStore(database)
    for number in range(3 * ACCOUNTS_AT_ONCE):
        name = f"user{number}"
        impus = [f"sip:{name}@ims.example"]
        store.put(Account(name=name, password_hash="hash", impi=f"{name}@ims.example", impus=impus))
    database.hset(keys.WEB_ACCOUNTS, "broken", "{")
    found: dict[str, list[str]] = {}
    cursor, rounds = 0, 0
    while not rounds or cursor:
        cursor, accounts = link.account_identities(cursor)
        found.update(accounts)
        rounds += 1
    assert rounds > 2
    assert len(found) == 3 * ACCOUNTS_AT_ONCE
    assert found["user7@ims.example"] == ["sip:user7@ims.example"]
