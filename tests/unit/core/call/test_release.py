"""The page's registration is over: its calls are (TS 24.229 §5.2.8.1)."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.states import Dialog
from kemi.core.messages import Side
from tests.unit.core.call.incoming_ladder import CORE_VIA, Incoming
from tests.unit.core.call.ladder import CORE_CONTACT, Call

ENDED = ev.RegistrationEnded("logged out")


@pytest.mark.parametrize("stage", ["answered_early", "updating"])
def test_a_suspended_invite_is_refused(stage: str) -> None:
    call: Call = getattr(Call, stage)()
    assert call.on(ENDED).names == ["Unschedule", "ResumeInvite"]
    assert call.on(ev.InviteResumed()).reply == (403, "Not Registered")


@pytest.mark.parametrize("stage", ["forwarded", "ringing"])
def test_a_forwarded_invite_is_cancelled(stage: str) -> None:
    call: Call = getattr(Call, stage)()
    assert call.on(ENDED).names == ["CancelForwardedInvite"]


def test_an_answered_call_is_hung_up_on_both_sides_with_the_reason() -> None:
    call = Call.confirmed()
    actions = call.on(ENDED)
    byes = actions.all(act.SendRequest)
    assert [(bye.to, bye.method) for bye in byes] == [(Side.IMS, "BYE"), (Side.WIC, "BYE")]
    assert byes[0].request_uri == CORE_CONTACT
    for bye in byes:
        assert 'Reason: SIP;cause=480;text="registration logged out"' in bye.headers
    assert actions.names[-2:] == ["ReleaseMedia", "ForgetCall"]
    assert call.record.dialog is Dialog.TERMINATED


def test_a_page_that_is_gone_gets_nothing_because_its_port_may_be_another_ones() -> None:
    actions = Call.confirmed().on(ev.RegistrationEnded("left", flow_alive=False))
    assert [bye.to for bye in actions.all(act.SendRequest)] == [Side.IMS]


def test_an_answer_that_nobody_acknowledged_yet_is_acknowledged_first() -> None:
    call = Call.confirmed()
    call.record.acknowledged = False
    assert [one.method for one in call.on(ENDED).all(act.SendRequest)] == ["ACK", "BYE", "BYE"]


def test_twice_is_once() -> None:
    call = Call.confirmed()
    call.on(ENDED)
    assert call.on(ENDED) == []
    ringing = Call.ringing()
    ringing.on(ENDED)
    assert ringing.on(ENDED) == []


class TestACallTowardsThePage:
    """Who is called may not be, any more."""

    def test_one_that_rings_is_cancelled_at_the_page_in_the_cores_name(self) -> None:
        call = Incoming.ringing()
        cancel = call.on(ENDED).only(act.CancelForwardedInvite)
        assert cancel.request_uri == call.record.request_uri
        assert f"Via: {CORE_VIA}" in cancel.headers
        assert f"CSeq: {call.record.invite_cseq} CANCEL" in cancel.headers
        assert call.on(ENDED) == []

    def test_an_answer_that_crosses_the_cancel_is_not_taken(self) -> None:
        call = Incoming.ringing()
        call.on(ENDED)
        actions = call.on(call.wic_reply(200, body=call.page_answer()))
        assert [request.method for request in actions.all(act.SendRequest)] == ["ACK", "BYE"]
        assert actions.only(act.AnswerForPage).status == 480

    def test_a_page_that_is_gone_is_refused_at_the_core(self) -> None:
        actions = Incoming.ringing().on(ev.RegistrationEnded("left", flow_alive=False))
        assert actions.only(act.AnswerForPage).status == 480

    def test_an_answered_one_is_hung_up_on_both_sides(self) -> None:
        call = Incoming.confirmed()
        actions = call.on(ENDED)
        byes = actions.all(act.SendRequest)
        assert [(bye.to, bye.method) for bye in byes] == [(Side.IMS, "BYE"), (Side.WIC, "BYE")]
        assert actions.only(act.ForgetCall).call_id == call.record.key
