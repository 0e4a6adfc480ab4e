"""What is kept of calls that end in different ways."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.history import ended, peer_of, progress
from kemi.core.call.lifetime.ending import SESSION_LOST
from kemi.core.call.states import Dialog
from kemi.core.identity import ANONYMOUS
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.incoming_ladder import invite as core_invite
from tests.unit.core.call.ladder import ALICE, Call, invite
from tests.unit.core.call.sessions import answered as session
from tests.unit.core.call.sessions import own_answer
from tests.unit.core.call.test_page_offer import asked, running


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


@pytest.mark.parametrize(
    ("status", "why"),
    [(481, "the far end answered our refresh with 481"), (408, "the far end answered our refresh with 408")],
)
def test_a_refresh_that_the_far_end_does_not_know_any_more(status: int, why: str) -> None:
    call = session({"Session-Expires": ["1800;refresher=uac"]})
    call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
    found = end_of(call, own_answer(call, status), answered=True)
    assert (found.by, found.why, found.status) == ("gateway", why, 0)


def test_a_session_that_nobody_refreshes() -> None:
    call = session({"Session-Expires": ["1800;refresher=uas"]})
    found = end_of(call, ev.TimerFired(ev.Due.SESSION_EXPIRED), answered=True)
    assert (found.by, found.why) == ("gateway", "the far end did not refresh the session")


def test_a_far_end_that_has_lost_the_session_as_the_page_offers() -> None:
    call = running()
    asked(call)
    found = end_of(call, call.ims_reply(481, method="INVITE", cseq=7), answered=True)
    assert (found.by, found.why) == ("gateway", SESSION_LOST)


def test_of_two_addresses_that_the_core_asserts_the_first_is_told() -> None:
    asserted = {"P-Asserted-Identity": ['"Bob" <sip:bob@ims.test>, <tel:+4930123>']}
    call = Incoming.ringing(core_invite(headers=asserted))
    assert peer_of(call.record) == "sip:bob@ims.test"
    assert end_of(call, ev.WicFailed(486)).peer == "sip:bob@ims.test"


@pytest.mark.parametrize("dialled", ["", "sip:600@ims.example;user=phone"])
def test_a_page_cannot_say_whom_its_call_was_for(dialled: str) -> None:
    """To is what it likes: its Request-URI is whom it calls."""
    uri = "sip:600;phone-context=ims.example@ims.example;user=phone"
    call = Call(replace(invite(), request_uri=uri, to_uri=ALICE))
    call.record.dialled = dialled
    call.on(ev.TransactionCreated(1, 2))
    begun = progress(call.record, ev.TransactionCreated(1, 2), Dialog.NONE)
    assert begun is not None
    refused = ended(call.record, ev.ImsFailed(486), [])
    hung_up = ended(call.record, call.wic_request("BYE"), [])
    assert {begun.peer, refused.peer, hung_up.peer} == {dialled or uri}


@pytest.mark.parametrize(
    ("dialled", "peer"),
    [
        ("sip:+49301;postd=p4711@ims.example;user=phone", "sip:+49301@ims.example;user=phone"),
        ("sip:bob:4711@ims.example", "sip:bob@ims.example"),
        ("sip:*33*4711*11%23@ims.example;user=phone", "sip:*33****@ims.example;user=phone"),
        ("sip:%2A21%2A+49301%23@ims.example;user=phone", "sip:%2A21****@ims.example;user=phone"),
        ("tel:**04*4711*4712*4712%23;phone-context=ims.example", "tel:**04****;phone-context=ims.example"),
        ("sip:*21%23@ims.example;user=phone", "sip:*21%23@ims.example;user=phone"),
    ],
)
def test_what_is_dialled_beside_a_number_is_not_told(dialled: str, peer: str) -> None:
    call = Call.ringing()
    call.record.dialled = dialled
    assert end_of(call, ev.ImsFailed(486)).peer == peer
    assert call.record.dialled == dialled


@pytest.mark.parametrize("privacy", ["id", "user", "critical; Header"])
def test_a_caller_who_does_not_want_to_be_known_is_not_told_of(privacy: str) -> None:
    named = {"P-Asserted-Identity": ["<sip:bob@ims.test>"]}
    call = Incoming.ringing(core_invite(headers={**named, "Privacy": [privacy]}))
    assert peer_of(call.record) == end_of(call, ev.WicFailed(486)).peer == ANONYMOUS
    shown = Incoming.ringing(core_invite(headers={**named, "Privacy": ["none"]}))
    assert peer_of(shown.record) == "sip:bob@ims.test"
    nobody = Incoming.ringing(core_invite())
    assert peer_of(nobody.record) == nobody.record.target_uri != ANONYMOUS


@pytest.mark.parametrize("privacy", ["id", "user", "header"])
def test_who_answers_and_does_not_want_to_be_known_is_who_was_called(privacy: str) -> None:
    call = Call.forwarded()
    named = {"P-Asserted-Identity": ["<sip:secretary@ims.test>"]}
    call.on(call.ims_reply(180, headers={**named, "Privacy": [privacy]}))
    assert peer_of(call.record) == call.record.request_uri
    call.on(call.ims_reply(180, headers=named))
    assert peer_of(call.record) == "sip:secretary@ims.test"


def test_the_core_refuses() -> None:
    found = end_of(Call.ringing(), ev.ImsFailed(486))
    assert (found.by, found.why, found.status, found.answered_at) == ("core", "refused", 486, 0.0)


@pytest.mark.parametrize(
    ("stage", "why", "status"),
    [
        pytest.param("ringing", "nobody answered", 480, id="it rang"),
        pytest.param("forwarded", "the IMS core does not answer", 504, id="not a word of the core"),
    ],
)
def test_nobody_answers(stage: str, why: str, status: int) -> None:
    found = end_of(getattr(Call, stage)(), ev.ImsFailed(408, local=True))
    assert (found.by, found.why, found.status) == ("gateway", why, status)


def test_a_page_does_not_answer() -> None:
    found = end_of(Incoming.ringing(), ev.WicFailed(408, local=True))
    assert (found.by, found.why, found.status) == ("gateway", "no answer", 408)


def test_the_caller_cancels() -> None:
    call = Call.ringing()
    call.on(ev.CancelReceived())
    found = end_of(call, ev.ImsFailed(487))
    assert (found.by, found.why, found.status) == ("page", "CANCEL", 487)


def test_a_page_refuses() -> None:
    found = end_of(Incoming.ringing(), ev.WicFailed(486))
    assert (found.by, found.status, found.from_page) == ("page", 486, False)


def test_a_call_is_told_of_when_it_begins_and_when_it_is_answered() -> None:
    record = Call.ringing().record
    begun = progress(record, ev.TransactionCreated(1, 2), Dialog.NONE)
    assert begun is not None
    assert (begun.state, begun.key, begun.from_page) == ("started", record.key, True)
    confirmed = Call.confirmed().record
    answered = progress(confirmed, ev.InviteResumed(), Dialog.EARLY)
    assert answered is not None
    assert answered.state == "answered"
    assert progress(confirmed, ev.InviteResumed(), Dialog.CONFIRMED) is None


@pytest.mark.parametrize(("elsewhere", "state"), [(True, "elsewhere"), (False, None)])
def test_a_cancel_may_say_that_another_device_has_answered(elsewhere: bool, state: str | None) -> None:
    found = progress(Incoming.ringing().record, ev.CancelReceived(elsewhere), Dialog.EARLY)
    assert (found.state if found else None) == state


def test_a_caller_who_gives_up_is_no_refusal_of_the_page() -> None:
    found = end_of(Incoming.ringing(), ev.WicFailed(487))
    assert (found.by, found.why, found.status) == ("core", "CANCEL", 487)


def test_video_that_the_far_end_refused_is_off() -> None:
    call = Call.forwarded(sdp.chromium("av-sendonly"))
    event = call.ims_reply(200, body=sdp.core_answer("audio", "video", refuse=("video",)))
    call.on(event)
    call.on(ev.MediaConnected(event.reply))
    found = end_of(call, call.wic_request("BYE", cseq=9), answered=True)
    assert (found.kinds, found.off) == (("audio", "video"), ("video",))
