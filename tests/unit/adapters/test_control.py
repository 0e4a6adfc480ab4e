"""The control endpoint: what a request is asked before its handler gets it, and what becomes of a handler's error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kemi.adapters.control.endpoint import Answer, Control, ControlRefusal
from kemi.settings import ControlSettings
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage

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
