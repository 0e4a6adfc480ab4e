"""What is kept of calls that end in different ways."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.history import ended
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import Call


def end_of(call: Call | Incoming, event: ev.Event, *, answered: bool = False) -> act.RecordEnd:
    """Let a call end by an event."""
    if answered:
        call.record.answered_at = 5.0
    actions = call.on(event)
    assert call.record.ended
    return ended(call.record, event, actions)


def test_a_page_s_call_that_its_registration_outlived() -> None:
    found = end_of(Call.confirmed(), ev.RegistrationEnded("logged out"), answered=True)
    assert (found.by, found.why, found.status) == ("gateway", "logged out", 0)
    assert (found.from_page, found.answered_at, found.kinds) == (True, 5.0, ("audio",))
    assert (found.owner, found.key) != ("", "")


@pytest.mark.parametrize(
    ("event", "why"),
    [
        pytest.param(ev.MediaLost("no media for 60 s"), "no media for 60 s", id="lost media"),
        pytest.param(ev.CallForbidden("ended by the operator"), "ended by the operator", id="operator"),
    ],
)
def test_the_gateway_says_why_it_ended_a_call(event: ev.Event, why: str) -> None:
    found = end_of(Call.confirmed(), event, answered=True)
    assert (found.by, found.why) == ("gateway", why)


def test_the_core_refuses() -> None:
    found = end_of(Call.ringing(), ev.ImsFailed(486))
    assert (found.by, found.why, found.status, found.answered_at) == ("core", "refused", 486, 0.0)


def test_nobody_answers() -> None:
    found = end_of(Call.ringing(), ev.ImsFailed(408, local=True))
    assert (found.by, found.why, found.status) == ("gateway", "no answer", 408)


def test_the_caller_cancels() -> None:
    call = Call.ringing()
    call.on(ev.CancelReceived())
    found = end_of(call, ev.ImsFailed(487))
    assert (found.by, found.why, found.status) == ("page", "CANCEL", 487)


def test_a_page_refuses() -> None:
    found = end_of(Incoming.ringing(), ev.WicFailed(486))
    assert (found.by, found.status, found.from_page) == ("page", 486, False)
