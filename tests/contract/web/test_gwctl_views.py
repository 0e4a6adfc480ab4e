"""`gwctl status`, `registrations`, `calls history|traces|trace|explain`, `events`: what an operator sees of Redis."""

from __future__ import annotations

import json
import time
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import redis

from kemi.core.registration import Grant, Registration
from kemi.core.registration.records import Sent
from kemi.core.trace.entries import Entry, What
from kemi.state import keys
from kemi.state.call_history import FinishedCall
from kemi.state.redis_link import RedisLink
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TraceHead, TracePortion, entries_to_bytes
from kemi.state.trunks import GatewayTrunks, HopView, TrunkView
from kemi.state.web.recent_events import RecentEvents
from tests.contract.web.operator import Operator
from tests.contract.web.test_operator_registrations import tell_of_gateway
from tests.contract.web.test_session import commands
from webapp_api.gwctl.events import events_since

CORE = "sip:alice@ims.example.com"


def write_gateway(store: redis.Redis, name: str, at: float, *, agent: bool = True, **node: Any) -> None:
    """Let a gateway have written how its relay nodes are."""
    told = {
        **{
            "node": "192.0.2.9:2223",
            "state": "up",
            "calls": 2,
            "weight": 1,
            "drained": False,
            "broken": False,
        },
        **{"version": "10.5"},
        **node,
    }
    store.hset(
        keys.RELAY_NODES, name, json.dumps({"at": at, "agent": agent, "nodes": [told], "counters": {}})
    )


def write_event(store: redis.Redis, **event: Any) -> None:
    store.xadd(keys.EVENTS, {keys.STREAM_FIELD: json.dumps(event)})


def binding(impu: str, session: str = "", *, expires_at: float) -> str:
    found = Registration(
        address_of_record=impu,
        contact=f"<{impu}>",
        expires_at=expires_at,
        grant=Grant(scheme="bearer" if session else "digest", session=session),
        connection_id="c1",
        sent=Sent(contact_value=f"<{impu}>"),
        client_address="198.51.100.7",
        registered_at=1_000.0,
    )
    return msgspec.json.encode(found).decode()


class TestStatus:
    """One screen, and an exit code."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kemi.state.web.running_calls.ANSWER_S", 0.2)

    def test_what_is_wrong_is_said(self, operator: Operator, store: redis.Redis) -> None:
        now = time.time()
        write_gateway(store, "gw1", now, agent=False, state="down")
        write_gateway(store, "gw2", now - 100)
        write_gateway(store, "long-gone", now - 90_000)
        hop = HopView("sip:192.0.2.1", "down", 1_000.0, "no answer")
        trunk = TrunkView("acme", "down", 1_000.0, "", 0.0, "", 3, 30, [hop])
        store.hset(keys.TRUNKS, "gw1", msgspec.json.encode(GatewayTrunks(now, [trunk])).decode())
        store.hset(keys.registrations("gw1"), "k", binding(CORE, expires_at=now + 60))
        store.hset(keys.registrations("gw1"), "old", binding(CORE, expires_at=now - 60))
        write_event(store, type="fraud_alarm", impu=CORE, what="premium", calls=9, node="gw1", at=now)
        write_event(store, type="trunk_registration", state="registered", trunk="acme", node="gw1", at=now)
        told = operator.document("status", returncode=1)
        assert [(one["gateway"], one["registrations"], one["calls"]) for one in told["gateways"]] == [
            ("gw1", 1, None),
            ("gw2", 0, None),
        ]
        assert [event["type"] for event in told["alarms"]] == ["fraud_alarm"]
        assert told["wrong"] == [
            "gateway gw1 does not answer which calls it has",
            "gateway gw1 hears no media agent: dead relay nodes are noticed late",
            "gateway gw2 is silent for 100 s",
            "relay node 192.0.2.9:2223 is down (gateway gw1)",
            "no relay node takes new calls",
            "trunk acme (gateway gw1): down: no answer",
        ]
        done = operator("status")
        assert done.returncode == 1
        assert "alarms of the last hour: 1 fraud_alarm" in done.stdout
        assert done.stdout.count("WRONG: ") == len(told["wrong"])

    def test_it_says_since_when_alarms_are_known(self, operator: Operator, store: redis.Redis) -> None:
        write_event(store, type="fraud_alarm", node="gw1", at=time.time())
        assert operator.document("status", returncode=1)["alarms_since"] == ""
        entry, pipeline = json.dumps({"type": "call_started", "node": "gw1", "at": 1.0}), store.pipeline()
        for _ in range(keys.STREAM_LENGTH + 500):
            pipeline.xadd(keys.EVENTS, {"json": entry}, maxlen=keys.STREAM_LENGTH)
        pipeline.execute()
        done = operator("status")
        assert "alarms of the last hour (events are known since 20" in done.stdout
        assert operator.document("status", returncode=1)["alarms"] == []
        done = operator("events", "--since", "3600", "--no-follow", "--type", "fraud_alarm")
        assert done.stdout == ""
        assert done.stderr.startswith("events are known since 20")

    def test_of_a_redis_that_is_full_it_shows_what_is_there(
        self, operator: Operator, store: redis.Redis
    ) -> None:
        write_gateway(store, "gw1", time.time())
        store.config_set("maxmemory", 1)
        try:
            told = operator.document("status", returncode=1)
            shown = operator("status").stdout
        finally:
            store.config_set("maxmemory", 0)
        assert (told["redis"]["reachable"], told["calls"]) == (True, None)
        assert [(one["gateway"], one["calls"]) for one in told["gateways"]] == [("gw1", None)]
        refuses, full = told["wrong"]
        assert refuses.startswith("Redis refuses what is written to it: command not allowed")
        assert full.startswith("Redis is full to ")
        assert "gw1" in shown

    def test_no_gateway_at_all_is_wrong(self, operator: Operator) -> None:
        told = operator.document("status", returncode=1)
        assert told["wrong"] == ["no gateway has written to this Redis within a day"]

    def test_without_redis_it_says_so(self, operator: Operator, tmp_path: Any) -> None:
        file = tmp_path / "webapp_api.toml"
        file.write_text(
            'public_origin = "https://a.example"\ndomain = "a.example"\nredis_url = "redis://127.0.0.1:1/0"\n'
        )
        told = Operator(file).document("status", returncode=3)
        assert (told["redis"]["reachable"], len(told["wrong"])) == (False, 1)


class TestRegistrations:
    """registrations list | end."""

    @pytest.fixture(autouse=True)
    def gateways(self, store: redis.Redis) -> None:
        for name in ("gw1", "gw2"):
            tell_of_gateway(store, name)

    def test_they_are_listed_by_filter(self, operator: Operator, store: redis.Redis) -> None:
        until = time.time() + 60
        store.hset(keys.registrations("gw1"), "k1", binding(CORE, expires_at=until))
        store.hset(
            keys.registrations("gw2"), "k2", binding("sip:bob@ims.example.com", "s1", expires_at=until)
        )
        store.hset(keys.registrations("gw2"), "bad", "{")
        everything = operator.document("registrations", "list")["registrations"]
        assert [(one["impu"], one["gateway"], one["scheme"]) for one in everything] == [
            (CORE, "gw1", "digest"),
            ("sip:bob@ims.example.com", "gw2", "bearer"),
        ]
        assert (everything[0]["address"], everything[0]["since"]) == ("198.51.100.7", "1970-01-01T00:16:40Z")
        for filters, number in (
            (("--impu", "sip:bob@IMS.example.com"), 1),
            (("--impi", "alice@ims.example.com"), 1),
            (("--gateway", "gw3"), 0),
            (("--state", "away"), 0),
        ):
            assert len(operator.document("registrations", "list", *filters)["registrations"]) == number, (
                filters
            )

    def test_ends_are_told_to_the_gateways(self, operator: Operator, store: redis.Redis) -> None:
        until = time.time() + 60
        store.hset(keys.registrations("gw1"), "k1", binding(CORE, expires_at=until))
        store.hset(
            keys.registrations("gw1"), "k2", binding("sip:bob@ims.example.com", "s1", expires_at=until)
        )
        assert operator("registrations", "end").returncode == 2
        assert operator("registrations", "end", "--impu", "sip:nobody@x").returncode == 1
        assert commands(store) == []
        (ended,) = operator.document("registrations", "end", "--impu", CORE)["ended"]
        assert operator("registration", "end", "--impi", "bob@ims.example.com").returncode == 0
        first, second = commands(store)
        assert (first["type"], first["key"]) == ("end_registration", "k1")
        assert (second["type"], second["sid"]) == ("logout", "s1")
        assert operator.document("audit")["changes"][1]["detail"] == f"impu={ended['impu']}"


def finished(number: int, **changes: Any) -> FinishedCall:
    fields: dict[str, Any] = {
        "id": f"{number * 1000:014d}-{number:016x}",
        "key": f"c{number}", "call_id": f"c{number}", "impu": CORE, "peer": "tel:+4930",
        "direction": "from_page", "began_at": number - 1.0, "answered_at": number - 0.5, "ended_at": float(number),
        "duration_s": 0.5, "by": "page", "why": "", "status": 0, "relay": "", "node": "gw1", "media": {},
    }  # fmt: skip
    return FinishedCall(**{**fields, **changes})


class TestHistory:
    """calls history."""

    @pytest.fixture(autouse=True)
    def five(self, store: redis.Redis, redis_url: str) -> None:
        del store  # empty
        failed = {"answered_at": 0.0, "status": 503, "by": "core", "why": "Service Unavailable"}
        calls = [finished(number, **(failed if number % 2 else {})) for number in range(1, 6)]
        RedisLink(redis_url, "gw1", calls_kept_s=60).ship({}, {}, [], calls)

    def test_pages_follow_each_other(self, operator: Operator) -> None:
        first = operator.document("calls", "history", "--limit", "2")
        second = operator.document("calls", "history", "--limit", "2", "--before", first["before"])
        third = operator.document("calls", "history", "--limit", "2", "--before", second["before"])
        told = [[call["call_id"] for call in page["calls"]] for page in (first, second, third)]
        assert (told, third["before"]) == ([["c5", "c4"], ["c3", "c2"], ["c1"]], "")

    def test_calls_that_ended_at_the_same_moment_are_on_one_page_or_the_next(
        self, operator: Operator, redis_url: str
    ) -> None:
        names = ["a", "b", "c"]
        same = [
            finished(9, id=f"{9000:014d}-{at:016x}", call_id=name) for at, name in enumerate(reversed(names))
        ]
        RedisLink(redis_url, "gw1", calls_kept_s=60).ship({}, {}, [], same)
        first = operator.document("calls", "history", "--limit", "2", "--impu", CORE)
        second = operator.document("calls", "history", "--limit", "1", "--before", first["before"])
        assert [call["call_id"] for page in (first, second) for call in page["calls"]] == names

    def test_failed_ones_alone(self, operator: Operator) -> None:
        found = operator.document("calls", "history", "--failed", "--limit", "2")
        assert [call["call_id"] for call in found["calls"]] == ["c5", "c3"]
        assert found["calls"][0]["ended"] == "1970-01-01T00:00:05Z"
        for bad in ("x", "nan", "1764000000.5"):
            assert operator("calls", "history", "--before", bad).returncode == 2

    def test_one_without_sound_is_with_the_failed_ones_as_its_trace_is(
        self, operator: Operator, redis_url: str
    ) -> None:
        heard, unheard = {"packets": 2900}, {"packets": 0}
        calls = [
            finished(at, duration_s=58.0, media={"audio": {"wic": heard, "ims": far}})
            for at, far in ((8, unheard), (9, heard))
        ]
        RedisLink(redis_url, "gw1", calls_kept_s=60).ship({}, {}, [], calls)
        found = operator.document("calls", "history", "--failed")["calls"]
        assert [call["call_id"] for call in found] == ["c8", "c5", "c3", "c1"]


class TestTraces:
    """calls traces | trace | explain: the same code as the console's page."""

    @pytest.fixture(autouse=True)
    def refused(self, store: redis.Redis, redis_url: str) -> None:
        del store  # empty
        link = RedisLink(redis_url, "gw1")
        head = TraceHead(
            key="r1", call_id="r1", impu=CORE, peer="tel:+4930", direction="from_page", node="gw1",
            began_at=2.0, ended_at=2.1, by="gateway", why="no route", status=404, failed=True,
        )  # fmt: skip
        entries = [
            Entry(at=2.0, what=What.SIP, leg="page", incoming=True, name="INVITE",
                  text="INVITE tel:+4930 SIP/2.0\r\nCSeq: 1 INVITE\r\nCall-ID: r1\r\n\r\n"),
            Entry(at=2.05, what=What.DECISION, name="request_rejected", why="no route",
                  values={"status": 404, "detail": "no route"}),
            Entry(at=2.1, what=What.SIP, leg="page", name="404 Not Found",
                  text="SIP/2.0 404 Not Found\r\nCSeq: 1 INVITE\r\nCall-ID: r1\r\n\r\n"),
        ]  # fmt: skip
        link.ship_traces([TracePortion(head, entries_to_bytes(entries))], TraceRings(10, 10, 100, 1000))

    def test_the_other_of_two_calls_with_one_call_id_is_named(
        self, operator: Operator, redis_url: str
    ) -> None:
        other = TraceHead(
            key="r1;in", call_id="r1", impu=CORE, peer="tel:+4930", direction="to_page", node="gw1", began_at=3.0,
        )  # fmt: skip
        RedisLink(redis_url, "gw1").ship_traces([TracePortion(other, b"")], TraceRings(9, 9, 99, 99))
        heading, called, caller = operator("calls", "traces").stdout.splitlines()
        assert heading.endswith("CALL-ID  KEY")
        assert called.split()[-2:] == ["r1", "r1;in"]
        assert caller.split()[-2:] == ["r1", "-"]

    def test_a_call_is_listed_shown_and_explained(self, operator: Operator) -> None:
        (listed,) = operator.document("calls", "traces", "--failed")["traces"]
        assert (listed["call_id"], listed["began"], listed["failed"]) == ("r1", "1970-01-01T00:00:02Z", True)
        assert operator.document("calls", "traces", "--fine")["traces"] == []
        trace = operator.document("calls", "trace", "r1")
        assert [entry["name"] for entry in trace["entries"]] == [
            "INVITE",
            "request_rejected",
            "404 Not Found",
        ]
        ladder = operator("calls", "trace", "r1", "--bodies").stdout
        assert "404 Not Found" in ladder
        assert "Call-ID: r1" in ladder
        told = operator("call", "explain", "r1", "--json")
        document = json.loads(told.stdout)
        verdicts = document["verdicts"]
        assert (document["call_id"], told.returncode) == ("r1", int(verdicts[0]["gravity"] == "cause"))
        text = operator("call", "explain", "r1", "--ladder").stdout
        assert verdicts[0]["says"] in text
        assert "404 Not Found" in text

    def test_one_that_is_not_kept_is_said_to_be_gone(self, operator: Operator) -> None:
        for command in ("trace", "explain"):
            assert (
                "no trace of nothing" in operator.document("calls", command, "nothing", returncode=1)["error"]
            )
        for bad in ("x", "nan x", "inf x"):
            assert operator("calls", "traces", "--after", bad).returncode == 2


class TestEvents:
    """events."""

    def test_those_of_the_last_minutes(self, operator: Operator, store: redis.Redis) -> None:
        write_event(store, type="call_started", impu=CORE, call_id="c1", node="gw1", at=1_000.0)
        write_event(store, type="registered", impu=CORE, node="gw1", at=1_001.0)
        lines = operator("events", "--since", "60", "--no-follow", "--json").stdout.splitlines()
        assert [json.loads(line)["type"] for line in lines] == ["call_started", "registered"]
        shown = operator("events", "--since", "60", "--no-follow", "--type", "call_started").stdout
        assert shown == f"1970-01-01T00:16:40Z gw1 call_started impu={CORE} call_id=c1\n"
        assert operator("events", "--since", "60", "--no-follow", "--call-id", "x").stdout == ""

    @pytest.mark.parametrize(
        ("impu", "is_it"),
        [
            ("sip:+15550100@IMS.example;user=phone", True),
            ("SIP:+15550100@ims.example", True),
            ("tel:+1-555-0100", False),
            ("sip:+15550101@ims.example", False),
        ],
    )
    def test_those_of_an_identity_however_it_is_spelt(
        self, operator: Operator, store: redis.Redis, impu: str, is_it: bool
    ) -> None:
        write_event(store, type="registered", impu="sip:+15550100@ims.example", node="gw1", at=1_000.0)
        write_event(store, type="node_started", node="gw1", at=1_000.0)
        shown = operator("events", "--since", "60", "--no-follow", "--impu", impu).stdout
        assert shown.count("\n") == is_it

    def test_each_is_shown_once(self, store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        write_event(store, type="registered", node="gw1", at=1.0)
        since = RecentEvents.since

        def late(recent: RecentEvents, at: float) -> list[tuple[str, dict[str, Any]]]:
            write_event(store, type="deregistered", node="gw1", at=2.0)  # after the feed has begun
            return since(recent, at)

        monkeypatch.setattr(RecentEvents, "since", late)
        place = SimpleNamespace(redis=store)
        told = events_since(cast("Any", place), 60, follow=True)
        assert [event["type"] for _, event in islice(told, 2)] == ["registered", "deregistered"]
        write_event(store, type="call_started", node="gw1", at=3.0)
        assert next(told)[1]["type"] == "call_started"

    def test_how_a_call_sounds(self, operator: Operator, store: redis.Redis) -> None:
        sound = {"audio": {"wic": {"rating": "poor", "mos": 2.0}, "ims": None}}
        write_event(store, type="call_quality", call_id="c1", node="gw1", at=1_000.0, quality=sound)
        shown = operator("events", "--since", "60", "--no-follow").stdout
        assert shown == "1970-01-01T00:16:40Z gw1 call_quality call_id=c1 wic=poor\n"

    def test_a_page_does_not_write_into_the_operators_terminal(
        self, operator: Operator, store: redis.Redis
    ) -> None:
        write_event(store, type="call_started", call_id="a\x1b[2J\x9b2Jb", node="gw1", at=1_000.0)
        for form in ((), ("--json",)):
            shown = operator("events", "--since", "60", "--no-follow", *form).stdout
            assert all(one.isprintable() for one in shown.rstrip("\n")), shown
            assert "[2J" in shown

    def test_data_of_another_release_is_told_in_a_line(self, operator: Operator, store: redis.Redis) -> None:
        store.hset(keys.RELAY_NODES, "gw1", '{"at": "now"}')
        done = operator("nodes", "list")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "another release" in done.stderr

    def test_new_ones_are_waited_for(self, operator: Operator, store: redis.Redis) -> None:
        from threading import Timer

        write_event(store, type="registered", impu=CORE, node="gw1", at=1.0)
        timer = Timer(
            0.3, write_event, (store,), {"type": "deregistered", "impu": CORE, "node": "gw1", "at": 2.0}
        )
        timer.start()
        done = operator("events", "--count", "1", "--json")
        timer.join()
        assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["deregistered"]
