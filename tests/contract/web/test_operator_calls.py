"""/api/operator/calls and the commands: which calls are running, their end, and what gateways counted."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from kemi.core.call.record import CallRecord
from kemi.state import keys
from kemi.state.running_calls import calls_as_text
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


def record(call_id: str, owner: str) -> CallRecord:
    return CallRecord(
        call_id=call_id, wic_tag="w", gateway_tag="g", wic_contact="sip:x@y", wic_uri=owner,
        target_uri="tel:+49301", request_uri="tel:+49301", invite_via="", invite_cseq=1, wic_cseq=1, ims_cseq=1,
        connection_id="1", source="a:1", owner=owner, since=1.0,
    )  # fmt: skip


@pytest.fixture
def gateways(store: redis.Redis) -> Iterator[None]:
    """One gateway that answers, and one that does not."""
    for name in ("gw1", "gw2"):
        view = {"at": time.time(), "agent": False, "nodes": [], "counters": {"denied.premium": 2}}
        store.hset(keys.RELAY_NODES, name, json.dumps(view))
    over = threading.Event()

    def answer() -> None:
        records = [record("one", "sip:a@b"), record("two", "sip:c@d")]
        while not over.wait(0.05):
            for command in commands(store, "list_calls"):
                answer = calls_as_text(
                    command["asked"], records, 2, lambda key: FIGURES if "two" in key else {}
                )
                store.hset(keys.running_calls(command["asked"]), "gw1", answer)

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
    assert told["silent"] == ["gw2"]
    ((gateway, calls, left_out),) = (
        (one["gateway"], one["calls"], one["left_out"]) for one in told["gateways"]
    )
    assert (gateway, left_out) == ("gw1", 0)
    assert [(call["call_id"], call["owner"], call["peer"]) for call in calls] == [
        ("two", "sip:c@d", "tel:+49301")
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
    assert [line.split() for line in lines] == [
        [owner, "out", "tel:+49301", "none", "-", "1970-01-01T00:00:01Z", *quality, "gw1", call_id]
        for call_id, owner, quality in (
            ("one", "sip:a@b", ("-", "-")),
            ("two", "sip:c@d", ("4.3/1.5/4.0/31.2", "-/-/-/-")),
        )
    ]
    assert (done.returncode, done.stderr) == (3, "gw2 does not answer\n")


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


@pytest.mark.parametrize(
    "body",
    [{}, {"call_id": "a", "impu": "b"}, {"call_id": "a\nevent=x"}, {"call_id": "a" * 301}, {"id": "a"}],
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
