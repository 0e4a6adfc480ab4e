"""Around every callback: an int comes back, and a request never stays without an answer."""

from __future__ import annotations

import inspect
import logging

import pytest

from kemi.adapters.gateway import Gateway
from kemi.adapters.guard import guarded, guarded_request
from kemi.core.errors import LocalProtocolError, MediaUnavailable, NotAcceptableHere, SipReject
from kemi.core.routing.table import RefusedByRow
from tests.fakes.ksr import API, FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import from_core, invite

ACK = "ACK sip:x SIP/2.0\nCall-ID: call-1\n"


def raising(error: Exception | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        pytest.param(SipReject("no"), (403, "Forbidden"), id="a rejection"),
        pytest.param(NotAcceptableHere("no codec"), (488, "Not Acceptable Here"), id="488"),
        pytest.param(MediaUnavailable("late"), (503, "Media Relay Unavailable"), id="relay"),
        pytest.param(LocalProtocolError("bug"), (500, "Server Internal Error"), id="our own bug"),
        pytest.param(ZeroDivisionError(), (500, "Server Internal Error"), id="anything else"),
    ],
)
@pytest.mark.parametrize(
    "stateful", [pytest.param(True, id="in a transaction"), pytest.param(False, id="without")]
)
def test_an_error_becomes_an_answer(
    kamailio: FakeKamailio, error: Exception, answer: tuple[int, str], stateful: bool
) -> None:
    kamailio.receive(invite(), transaction=(1, 2) if stateful else None)
    assert guarded_request(raising)(error) == 1
    (reply,) = kamailio.replies
    assert (reply.status, reply.reason_phrase) == answer
    assert reply.stateful is stateful


def test_a_rejection_explains_itself_and_a_bug_does_not(kamailio: FakeKamailio) -> None:
    kamailio.receive(invite())
    guarded_request(raising)(NotAcceptableHere("no common codec"))
    guarded_request(raising)(RuntimeError("secret internals"))
    assert kamailio.replies[0].headers == ('Warning: 399 gateway "no common codec"',)
    assert kamailio.replies[1].headers == ()


def test_without_an_error_nothing_is_sent(kamailio: FakeKamailio) -> None:
    kamailio.receive(invite())
    assert guarded_request(raising)(None) == 1
    assert guarded(raising)(None) == 1
    assert kamailio.replies == []


def test_an_ack_is_never_answered(kamailio: FakeKamailio) -> None:
    kamailio.receive(from_core(ACK))
    assert guarded_request(raising)(SipReject("no")) == 1
    assert kamailio.replies == []


def test_where_nobody_waits_nothing_is_answered(kamailio: FakeKamailio) -> None:
    kamailio.receive(invite())
    assert guarded(raising)(ZeroDivisionError()) == 1
    assert kamailio.replies == []


def test_an_answer_that_fails_too_is_survived(kamailio: FakeKamailio) -> None:
    def broken(*_: object) -> int:
        raise SystemError("no reply")

    kamailio.receive(invite())
    kamailio.script("sl.send_reply", broken)
    assert guarded_request(raising)(SipReject("no")) == 1


def test_a_message_that_cannot_be_read_is_survived(
    kamailio: FakeKamailio, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> str:
        raise SystemError("no message")

    kamailio.script("pv.get", broken)
    assert guarded(raising)(ZeroDivisionError()) == 1
    assert "event=callback_failed" in caplog.text


def test_a_rejection_is_one_info_line_and_a_bug_an_error_with_traceback(
    kamailio: FakeKamailio, caplog: pytest.LogCaptureFixture
) -> None:
    kamailio.receive(invite())
    with caplog.at_level(logging.INFO, "gateway"):
        guarded_request(raising)(SipReject("not you"))
        guarded_request(raising)(ZeroDivisionError("oops"))
    first, second, third = caplog.records
    assert first.levelno == logging.INFO
    assert first.getMessage() == (
        "event=request_rejected call_id=call-1 method=INVITE status=403 reason=Forbidden"
        ' detail="not you" term=client_error'
    )
    assert second.levelno == logging.ERROR
    assert "ZeroDivisionError: oops" in second.getMessage()
    assert third.exc_info


def test_the_row_that_refuses_is_named(kamailio: FakeKamailio, caplog: pytest.LogCaptureFixture) -> None:
    kamailio.receive(invite())
    with caplog.at_level(logging.INFO, "gateway"):
        guarded_request(raising)(RefusedByRow("out of service", route="barred", status=480))
    assert 'status=480 reason="Temporarily Unavailable" detail="out of service" route=barred ' in caplog.text


CALLBACKS = sorted(
    name for name, member in inspect.getmembers(Gateway, inspect.isfunction) if name.startswith("ksr_")
)


@pytest.mark.parametrize("name", CALLBACKS)
def test_every_callback_of_the_gateway_returns_an_int_even_when_everything_is_broken(
    kamailio: FakeKamailio, gateway: Gateway, name: str
) -> None:
    def broken(*_: object) -> object:
        raise SystemError("Kamailio is out of its mind")

    kamailio.receive(FakeMessage.from_bytes(b"OPTIONS sip:x SIP/2.0\n\n"))
    for function in API.keys() - {"htable.sht_lock", "htable.sht_unlock"}:
        kamailio.script(function, broken)
    callback = getattr(gateway, name)
    wants_event = len(inspect.signature(callback).parameters) > 1 and name.endswith(
        ("_event", "housekeeping")
    )
    result = callback(object(), "event") if wants_event else callback(object())
    assert type(result) is int


def test_the_callbacks_are_those_kamailio_is_configured_with() -> None:
    assert {"ksr_request_route", "ksr_reply_route", "ksr_tm_event", "ksr_tcp_event"} <= set(CALLBACKS)
