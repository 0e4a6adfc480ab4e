"""/api/operator/calls and the commands: which calls are running, their end, and what gateways counted."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from kemi.core.call.record import CallRecord
from kemi.state import keys
from kemi.state.call_questions import CallQuestion, answer_text
from kemi.state.calls import record_to_text
from kemi.state.stamps import write_stamped
from kemi.state.web.nodes import GatewayNodes, SeenNode
from tests.contract.web.client import NAME, WebPage
from tests.contract.web.operator import Operator

HEARD: dict[str, Any] = {
    "samples": 3, "loss_percent": 1.5, "lost_packets": 2, "jitter_ms": 4.0, "round_trip_ms": 31.25,
    "end_to_end_ms": 60.0, "mos": 4.31, "mos_lowest": 4.0, "mos_source": "rtcp",
}  # fmt: skip
COUNTED: dict[str, Any] = {"codec": "opus/48000/2", "packets": 250, "bytes": 9, "errors": 0, "heard": HEARD}
FIGURES: dict[str, dict[str, Any]] = {
    "audio": {"at": 5.0, "wic": COUNTED, "ims": {**COUNTED, "codec": "PCMA/8000", "heard": None}},
    "video": {"at": 6.0, "wic": {**COUNTED, "codec": "VP8/90000"}, "ims": None},
}
CALLS, END, COUNTERS = "/api/operator/calls", "/api/operator/calls/end", "/api/operator/counters"


RUNNING: dict[str, CallRecord] = {}
"""What gw1 has."""


def record(call_id: str, owner: str, since: float = 1.0) -> CallRecord:
    return CallRecord(
        call_id=call_id, wic_tag="w", gateway_tag="g", wic_contact="sip:x@y", wic_uri=owner,
        target_uri="tel:+49301", request_uri="tel:+49301", invite_via="", invite_cseq=1, wic_cseq=1, ims_cseq=1,
        connection_id="1", source="a:1", owner=owner, since=since,
    )  # fmt: skip


@pytest.fixture
def gateways(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One gateway that answers, and one that does not."""
    monkeypatch.setattr("kemi.state.web.running_calls.ANSWER_S", 0.3)
    RUNNING.clear()
    RUNNING.update(one=record("one", "sip:a@b"), two=record("two", "sip:c@d"))
    for name in ("gw1", "gw2"):
        view = {"at": time.time(), "agent": False, "nodes": [], "counters": {"denied.premium": 2}}
        store.hset(keys.RELAY_NODES, name, json.dumps(view))
    over = threading.Event()

    def answer() -> None:
        while not over.wait(0.02):
            for command in commands(store, "list_calls"):
                question = msgspec.convert(command, CallQuestion)
                text = answer_text(
                    *(command["asked"], question, [record_to_text(one) for one in list(RUNNING.values())]),
                    *(lambda key: FIGURES if "two" in key else {}, 7.0),
                )
                store.hset(keys.running_calls(command["asked"]), "gw1", text)

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    over.set()
    thread.join()


def commands(store: redis.Redis, kind: str) -> list[dict[str, Any]]:
    entries: Any = store.xrange(keys.COMMANDS)
    found = [json.loads(fields["json"]) for _, fields in entries]
    return [one for one in found if one["type"] == kind]


def ended(store: redis.Redis) -> list[dict[str, Any]]:
    return commands(store, "end_call")


@pytest.mark.usefixtures("gateways")
def test_calls_of_all_gateways_are_listed_on_the_web_and_by_command(
    page_of_operator: WebPage, operator: Operator
) -> None:
    told = page_of_operator.ask("GET", CALLS + "?impu=sip:c@d").get_json()
    assert (told["silent"], told["total"], told["next"]) == (["gw2"], 1, "")
    assert told["gateways"] == [{"gateway": "gw1", "total": 1, "at": 7.0}]
    calls = told["calls"]
    assert [(call["call_id"], call["owner"], call["peer"], call["gateway"]) for call in calls] == [
        ("two", "sip:c@d", "tel:+49301", "gw1")
    ]
    page, far = calls[0]["page"], calls[0]["far"]
    assert (page["party"], page["by"], far["party"], far["by"]) == ("sip:c@d", "page", "tel:+49301", "core")
    assert page["media"]["audio"] == {
        "at": 5.0, "codec": "opus/48000/2", "packets": 250, "mos": 4.31, "mos_source": "rtcp", "loss_percent": 1.5,
        "jitter_ms": 4.0, "round_trip_ms": 31.25,
    }  # fmt: skip
    assert (far["media"]["audio"]["codec"], far["media"]["audio"]["mos"]) == ("PCMA/8000", None)
    assert (page["media"].keys(), far["media"].keys()) == ({"audio", "video"}, {"audio"})
    done = operator("calls", "list")
    _, *lines = done.stdout.splitlines()
    assert sorted(line.split() for line in lines) == [
        [owner, "out", "tel:+49301", "none", "-", "1970-01-01T00:00:01Z", *quality, "gw1", call_id]
        for call_id, owner, quality in (
            ("one", "sip:a@b", ("-", "-")),
            ("two", "sip:c@d", ("4.3/1.5/4.0/31.2", "-/-/-/-")),
        )
    ]
    assert (done.returncode, done.stderr) == (3, "gw2 does not answer\n")


@pytest.mark.usefixtures("gateways")
def test_pages_are_walked_on_the_web_and_by_command_while_calls_come_and_go(
    page_of_operator: WebPage, operator: Operator
) -> None:
    RUNNING.clear()
    RUNNING.update({f"c{number}": record(f"c{number}", "sip:a@b", 10.0 + number) for number in range(5)})
    first = page_of_operator.ask("GET", CALLS + "?limit=2&gateway=gw1").get_json()
    assert [call["call_id"] for call in first["calls"]] == ["c4", "c3"]
    assert (first["total"], first["silent"]) == (5, [])  # gw2 was not asked
    del RUNNING["c3"]
    RUNNING["c9"] = record("c9", "sip:a@b", 99.0)
    second = page_of_operator.ask("GET", f"{CALLS}?limit=2&gateway=gw1&cursor={first['next']}").get_json()
    assert [call["call_id"] for call in second["calls"]] == ["c2", "c1"]
    told = operator.document("calls", "list", "--limit", "4", "--gateway", "gw1")
    assert ([call["call_id"] for call in told["calls"]], told["totals"]) == (
        ["c9", "c4", "c2", "c1"],
        {"gw1": 5},
    )
    done = operator("calls", "list", "--limit", "4", "--gateway", "gw1")
    assert done.stderr == f"5 calls fit; go on with --cursor {told['next']}\n"
    rest = operator.document("calls", "list", "--cursor", told["next"], "--gateway", "gw1")
    assert ([call["call_id"] for call in rest["calls"]], rest["next"]) == (["c0"], "")


@pytest.mark.usefixtures("gateways")
@pytest.mark.parametrize(
    ("query", "options", "found"),
    [
        ("party=%2B49%20301", ("--party", "+49 301"), ["one", "two"]),
        ("party=a@B", ("--party", "a@B"), ["one"]),
        ("impu=a@B", ("--impu", "sip:a@B"), ["one"]),
        ("call_id=two", ("--call-id", "two"), ["two"]),
        ("direction=in", ("--direction", "in"), []),
        ("dialog=none", ("--state", "none"), ["one", "two"]),
        ("dialog=confirmed", ("--state", "confirmed"), []),
        ("node=192.0.2.1:2223", ("--node", "192.0.2.1:2223"), []),
        ("trunk=acme", ("--trunk", "acme"), []),
        ("older_s=60", ("--older-than", "60"), ["one"]),
    ],
)
def test_filters_are_the_same_on_the_web_and_by_command(
    page_of_operator: WebPage, operator: Operator, query: str, options: tuple[str, ...], found: list[str]
) -> None:
    RUNNING["two"].since = time.time() if "older" in query else 1.0
    told = page_of_operator.ask("GET", f"{CALLS}?gateway=gw1&{query}").get_json()
    assert sorted(call["call_id"] for call in told["calls"]) == found
    told = operator.document("calls", "list", "--gateway", "gw1", *options)
    assert sorted(call["call_id"] for call in told["calls"]) == found


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=bmFuOmFi", "dialog=terminated", "direction=up", "older_s=-1", "limit=101"]
)
def test_a_question_that_is_none(page_of_operator: WebPage, query: str) -> None:
    assert page_of_operator.ask("GET", f"{CALLS}?{query}").status_code == 400


@pytest.mark.usefixtures("gateways")
def test_counters_are_shown(page_of_operator: WebPage, operator: Operator) -> None:
    told = page_of_operator.ask("GET", COUNTERS).get_json()
    assert told["gateways"] == [
        {"gateway": name, "counters": {"denied.premium": 2}} for name in ("gw1", "gw2")
    ]
    assert operator.document("counters") == {
        "gateways": [{"gateway": name, "counters": {"denied.premium": 2}} for name in ("gw1", "gw2")]
    }
    assert [line.split() for line in operator("counters").stdout.splitlines()[1:]] == [
        [name, "denied.premium", "2"] for name in ("gw1", "gw2")
    ]


def test_calls_are_ended_and_who_did_it_is_in_the_log(
    page_of_operator: WebPage, store: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "webapp_api.audit"):
        assert page_of_operator.ask("POST", END, json={"call_id": "abc"}).status_code == 202
        assert page_of_operator.ask("POST", END, json={"impu": "sip:a@b"}).status_code == 202
    assert [(one["call_id"], one["impu"]) for one in ended(store)] == [("abc", ""), ("", "sip:a@b")]
    assert [line.getMessage() for line in caplog.records] == [
        f"event=calls_ended operator={NAME} call_id=abc impu=-",
        f"event=calls_ended operator={NAME} call_id=- impu=sip:a@b",
    ]


@pytest.mark.usefixtures("gateways")
@pytest.mark.parametrize("length", [301, 7_900])
def test_a_call_is_found_and_ended_however_long_its_call_id(
    page_of_operator: WebPage, store: redis.Redis, length: int
) -> None:
    """Pages and trunks choose it."""
    call_id = "x" * length
    RUNNING["long"] = record(call_id, "sip:a@b")
    told = page_of_operator.ask("GET", f"{CALLS}?gateway=gw1&call_id={call_id}").get_json()
    assert [call["call_id"] for call in told["calls"]] == [call_id]
    assert page_of_operator.ask("POST", END, json={"call_id": call_id}).status_code == 202
    assert [one["call_id"] for one in ended(store)] == [call_id]


@pytest.mark.usefixtures("gateways")
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("--impu", "sip:c@D"), "every node ends the calls of sip:c@D: 1\n"),
        (("--impu", "c@d"), "every node ends the calls of c@d: 0\n"),
        (("--call-id", "one"), "every node ends call one: 1\n"),
        (("--call-id", "one", "--impu", "sip:c@d"), "every node ends call one of sip:c@d: 0\n"),
    ],
)
def test_a_command_that_ends_calls_says_how_many(
    operator: Operator, store: redis.Redis, names: tuple[str, ...], said: str
) -> None:
    done = operator("calls", "end", *names)
    assert (done.returncode, done.stdout) == (3, said)
    assert done.stderr == "gw2 does not answer: what it has is not counted\n"
    assert len(ended(store)) == 1
    store.hdel(keys.RELAY_NODES, "gw2")
    number = int(said.rpartition(" ")[2])
    told = operator.document("calls", "end", *names, returncode=0 if number else 1)
    assert (told["calls"], told["silent"]) == (number, [])
    assert len(ended(store)) == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"call_id": "a", "impu": "b"}, {"call_id": "a\nevent=x"}, {"id": "a"}],
)
def test_an_order_that_names_nothing_ends_nothing(
    page_of_operator: WebPage, store: redis.Redis, body: dict[str, str]
) -> None:
    assert page_of_operator.ask("POST", END, json=body).status_code == 400
    assert ended(store) == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", CALLS, None), ("GET", COUNTERS, None), ("POST", END, {"call_id": "a"})],
)
def test_nobody_else_may(
    page: WebPage, store: redis.Redis, method: str, path: str, body: dict[str, str] | None
) -> None:
    assert page.ask(method, path, json=body).status_code == 401
    page.log_in()
    assert page.ask(method, path, json=body).status_code == 403
    assert ended(store) == []


@pytest.mark.parametrize("clock_s", [-66, 300])
@pytest.mark.usefixtures("gateways")
def test_a_gateway_whose_clock_is_wrong_is_there(
    store: redis.Redis, page_of_operator: WebPage, operator: Operator, clock_s: int
) -> None:
    store.delete(keys.RELAY_NODES)
    node = SeenNode("192.0.2.1:2223", "up", 2, 1, False, False, "10.5")
    view = GatewayNodes(time.time() + clock_s, True, [node])
    write_stamped(store, keys.RELAY_NODES, "gw1", msgspec.json.encode(view).decode())
    told = page_of_operator.ask("GET", CALLS).get_json()
    assert (told["total"], told["silent"]) == (2, [])
    assert len(page_of_operator.ask("GET", "/api/operator/nodes").get_json()["nodes"]) == 1
    where = "before" if clock_s > 0 else "behind"
    assert (
        f"WRONG: the clock of gateway gw1 is {abs(clock_s)} s {where} that of Redis"
        in operator("status").stdout
    )


def test_a_dead_gateway_whose_clock_was_ahead_does_not_run(
    store: redis.Redis, page_of_operator: WebPage
) -> None:
    now, _ = store.time()
    view = {"at": now + 100, "written_at": now - 200, "agent": True, "nodes": []}
    store.hset(keys.RELAY_NODES, "gw1", json.dumps(view))
    assert page_of_operator.ask("GET", CALLS).get_json()["silent"] == []
