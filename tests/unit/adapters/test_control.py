"""The control endpoint: what a request is asked before its handler gets it, and what becomes of a handler's error."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kemi.adapters import gateway as gateway_module
from kemi.adapters.control.calls import call_routes
from kemi.adapters.control.endpoint import (
    Answer,
    Control,
    ControlRefusal,
    Routes,
    number_of,
    text_of,
    texts_of,
)
from kemi.adapters.control.nodes import node_routes
from kemi.adapters.gateway import Gateway
from kemi.adapters.kamailio.htable import HtableTable
from kemi.settings import ControlSettings, settings_from_text
from kemi.state.calls import CallStore
from kemi.state.nodes import NodeStore
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.architecture import REPOSITORY
from tests.unit.site import SETTINGS_TEXT

SECRET = "fedcba9876543210fedcba9876543210"
ALLOWED = f"Authorization: Bearer {SECRET}"


def request(kamailio: FakeKamailio, line: str, *lines: str, body: str = "", port: int = 8081) -> None:
    text = "\n".join((f"{line} HTTP/1.1", *lines, "", body))
    kamailio.receive(FakeMessage.from_bytes(text.encode(), protocol="tcp", received_port=port))


def control(seen: list[dict[str, Any]]) -> Control:
    def take(body: dict[str, Any]) -> Answer:
        seen.append(body)
        if body.get("fail"):
            raise RuntimeError("private detail")
        if body.get("refuse"):
            raise ControlRefusal(409, "not now")
        return 202, {"taken": True}

    return Control(
        ControlSettings("127.0.0.1", 8081, SECRET), {("POST", "/v1/x"): take, ("GET", "/v1/x"): take}
    )


def answered(kamailio: FakeKamailio) -> tuple[int, Any]:
    ((status, _, body),) = kamailio.http_replies
    return status, json.loads(body)


def test_a_handler_gets_the_body_and_answers(kamailio: FakeKamailio) -> None:
    seen: list[dict[str, Any]] = []
    request(kamailio, "POST /v1/x", ALLOWED, body='{"a": 1}')
    control(seen).answer()
    assert (seen, answered(kamailio)) == ([{"a": 1}], (202, {"taken": True}))


def test_of_a_get_it_gets_the_query(kamailio: FakeKamailio) -> None:
    seen: list[dict[str, Any]] = []
    request(kamailio, "GET /v1/x?after=a%3Bb&limit=2", ALLOWED)
    control(seen).answer()
    assert seen == [{"after": "a;b", "limit": "2"}]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((), id="none"),
        pytest.param((ALLOWED, ALLOWED), id="twice"),
        pytest.param((f"{ALLOWED}x",), id="longer"),
        pytest.param((ALLOWED[:-1],), id="shorter"),
        pytest.param((ALLOWED.replace("Bearer", "Basic"),), id="another scheme"),
    ],
)
def test_without_the_secret_nothing_is_read(kamailio: FakeKamailio, lines: tuple[str, ...]) -> None:
    seen: list[dict[str, Any]] = []
    request(kamailio, "POST /v1/x", *lines, body="{no JSON")
    control(seen).answer()
    assert (seen, answered(kamailio)[0]) == ([], 401)
    assert kamailio.called("hdr.append_to_reply") == [("WWW-Authenticate: Bearer\r\n",)]
    assert not any(SECRET in line for _, line in kamailio.log)


def test_another_method_is_told_which_there_are(kamailio: FakeKamailio) -> None:
    request(kamailio, "DELETE /v1/x", ALLOWED)
    control([]).answer()
    assert answered(kamailio)[0] == 405
    assert kamailio.called("hdr.append_to_reply") == [("Allow: GET, POST\r\n",)]


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "{", "\x01"])
def test_a_handler_gets_an_object_or_is_not_called(kamailio: FakeKamailio, body: str) -> None:
    seen: list[dict[str, Any]] = []
    request(kamailio, "POST /v1/x", ALLOWED, body=body)
    control(seen).answer()
    assert (seen, answered(kamailio)[0]) == ([], 400)


def test_what_is_too_large_or_nowhere_is_not_read(kamailio: FakeKamailio) -> None:
    seen: list[dict[str, Any]] = []
    for line, body, status in (("POST /v1/x", " " * 20_001, 413), ("POST /v1/y", "{}", 404)):
        request(kamailio, line, ALLOWED, body=body)
        control(seen).answer()
        assert answered(kamailio)[0] == status
        kamailio.http_replies.clear()
    assert seen == []


@pytest.mark.parametrize("value", [None, "", 1, ["a"]])
def test_a_text_is_wanted(value: object) -> None:
    assert text_of({"a": "b"}, "a") == "b"
    with pytest.raises(ControlRefusal, match="a text is wanted") as refused:
        text_of({"a": value}, "a")
    assert refused.value.status == 400


@pytest.mark.parametrize("value", [None, "a", [""], [1], ["a", "b", "c"]])
def test_names_are_wanted_and_no_more_than_so_many(value: object) -> None:
    assert texts_of({"a": ["x", "y"]}, "a", 2) == ["x", "y"]
    with pytest.raises(ControlRefusal) as refused:
        texts_of({"a": value}, "a", 2)
    assert refused.value.status == 400


@pytest.mark.parametrize("value", [0, 11, "11", "x", True, 1.5, None])
def test_a_number_is_wanted_within_its_limits(value: object) -> None:
    found = [number_of({"a": good}, "a", 5, 1, 10) for good in (1, 10, "7")]
    assert (found, number_of({}, "a", 5, 1, 10)) == ([1, 10, 7], 5)
    with pytest.raises(ControlRefusal) as refused:
        number_of({"a": value}, "a", 5, 1, 10)
    assert refused.value.status == 400


def test_a_refusal_of_the_handler_is_answered(kamailio: FakeKamailio) -> None:
    request(kamailio, "POST /v1/x", ALLOWED, body='{"refuse": true}')
    control([]).answer()
    assert answered(kamailio) == (409, {"error": "not now"})


def test_an_error_of_ours_is_500_and_says_nothing_of_it(kamailio: FakeKamailio) -> None:
    request(kamailio, "POST /v1/x", ALLOWED, body='{"fail": true}')
    with pytest.raises(RuntimeError):  # for the callback's guard, which logs it
        control([]).answer()
    assert answered(kamailio) == (500, {"error": "see the log"})


def test_only_its_own_port_counts(kamailio: FakeKamailio) -> None:
    request(kamailio, "GET /v1/x", ALLOWED, port=8080)
    assert not control([]).is_meant()


@pytest.mark.usefixtures("gateway")
def test_the_page_of_the_gateway_has_every_route(monkeypatch: pytest.MonkeyPatch) -> None:
    put_together: list[Routes] = []
    monkeypatch.setattr(gateway_module, "Control", lambda _, routes: put_together.append(routes))
    Gateway(settings_from_text(SETTINGS_TEXT))
    (routes,) = put_together
    page = (REPOSITORY / "kemi" / "README.md").read_text(encoding="utf-8")
    table = page.partition("## What the node's own programs may ask for\n")[2].partition("\n## ")[0]
    rows = "".join(line for line in table.splitlines() if line.startswith("|"))
    told = re.findall(r"`(GET|POST|PUT) (/[a-z0-9/]+)", rows)
    assert sorted(told) == sorted(routes)


class TestCalls:
    """What a media agent asks about calls."""

    @staticmethod
    def routes() -> tuple[Routes, NodeStore]:
        settings = settings_from_text(SETTINGS_TEXT)
        store = NodeStore(HtableTable)
        nobody: Any = None
        calls = CallStore(HtableTable("call"), HtableTable("call_of"))
        has_now = {"a": "192.0.2.2:5060"}.get
        of_calls = call_routes(calls, nobody, nobody, lambda key: has_now(key) or "")
        return {**of_calls, **node_routes(store, settings.media)}, store

    def test_which_are_elsewhere_by_the_names_of_their_media(self, kamailio: FakeKamailio) -> None:
        routes, _ = self.routes()
        asked = {"calls": ["a", "a-v", "b", "b-v"]}
        assert routes["POST", "/v1/calls/elsewhere"](asked) == (200, {"calls": ["a", "a-v"]})
        with pytest.raises(ControlRefusal, match="at most 10"):
            routes["POST", "/v1/calls/elsewhere"]({"calls": ["a"] * 11})

    def test_each_run_has_a_name(self, kamailio: FakeKamailio) -> None:
        first, second = (self.routes()[0]["GET", "/v1/calls"]({})[1] for _ in range(2))
        assert isinstance(first, dict)
        assert isinstance(second, dict)
        assert (first["calls"], first["next"]) == ([], "")
        assert first["began"] != second["began"]

    @pytest.mark.parametrize("letters", [4, 990])
    def test_all_that_were_not_released_are_named_in_portions(
        self, kamailio: FakeKamailio, letters: int
    ) -> None:
        routes, store = self.routes()
        names = {f"{number:0{letters}}" for number in range(150)}
        store.not_released("192.0.2.9:2223", names, 1.0)
        found: list[str] = []
        portions, after = 0, ""
        while portions == 0 or after:
            query = {"node": "192.0.2.9:2223", "after": after}
            status, answer = routes["GET", "/v1/calls/unreleased"](query)
            assert (status, isinstance(answer, dict)) == (200, True)
            assert isinstance(answer, dict)
            assert len(json.dumps(answer)) < 30_000
            found += answer["calls"]
            after, portions = answer["next"], portions + 1
        assert found == sorted(names)
        assert portions == (2 if letters == 4 else 8)
