"""The page's registration is over: its calls are (TS 24.229 §5.2.8.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.states import Dialog
from kemi.core.messages import Side
from kemi.core.registration import Flow
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import CORE_VIA, Incoming
from tests.unit.core.call.ladder import CORE_CONTACT, FULL_SUPPORT, NO_100REL, Actions, Call

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


FORBIDDEN = ev.CallForbidden("longer than a call may be")


class TestForbidden:
    """The site does not want the call."""

    def test_both_sides_of_an_answered_call_hear_why(self) -> None:
        byes = Call.confirmed().on(FORBIDDEN).all(act.SendRequest)
        assert [bye.to for bye in byes] == [Side.IMS, Side.WIC]
        for bye in byes:
            assert 'Reason: SIP;cause=403;text="longer than a call may be"' in bye.headers

    def test_so_do_those_of_a_call_towards_the_page(self) -> None:
        byes = Incoming.confirmed().on(FORBIDDEN).all(act.SendRequest)
        assert [bye.to for bye in byes] == [Side.IMS, Side.WIC]

    def test_a_page_that_came_back_is_told_over_its_new_connection(self) -> None:
        flow = Flow("9", "n", "a", "127.0.0.1:9")
        byes = Call.confirmed().on(ev.CallForbidden("enough", successor=flow)).all(act.SendRequest)
        assert byes[1].next_hop == "sip:127.0.0.1:9;transport=ws"

    def test_one_that_rings_is_cancelled_and_its_page_told(self) -> None:
        call = Call.ringing()
        assert call.on(FORBIDDEN).names == ["CancelForwardedInvite"]
        assert call.on(FORBIDDEN) == []
        actions = call.on(ev.ImsFailed(487))
        assert actions.reply == (403, "Forbidden")
        assert "longer than a call may be" in actions.only(act.SendReply).headers[0]

    def test_an_answer_that_crosses_the_cancel_is_hung_up_once_the_page_has_acknowledged_it(self) -> None:
        call = Call.ringing()
        call.on(FORBIDDEN)
        call.answer("core1", sdp.core_answer("audio"))
        assert call.record.dialog is Dialog.CONFIRMED
        actions = call.on(call.wic_request("ACK", cseq=1))
        assert [(one.to, one.method) for one in actions.all(act.SendRequest)] == [
            (Side.IMS, "BYE"),
            (Side.WIC, "BYE"),
        ]

    def test_a_suspended_one_is_refused(self) -> None:
        call = Call.updating()
        call.on(FORBIDDEN)
        assert call.on(ev.InviteResumed()).reply == (403, "Forbidden")

    def test_one_that_the_page_cancels_already_ends_as_it_is(self) -> None:
        call = Call.ringing()
        call.on(ev.CancelReceived())
        assert call.on(FORBIDDEN) == []


class TestLongestTime:
    """An answered call has an end."""

    @pytest.mark.parametrize("kind", [Call, Incoming])
    def test_it_is_counted_from_the_answer_on_once(self, kind: type[Call | Incoming]) -> None:
        call = kind.ringing()
        call.settings = replace(call.settings, longest_call_s=60.0)
        asked: list[act.Schedule] = []
        call_on = call.on

        def on(event: ev.Event) -> Actions:
            actions = call_on(event)
            asked.extend(one for one in actions.all(act.Schedule) if one.due is ev.Due.TOO_LONG)
            return actions

        call.on = on  # type: ignore[method-assign]
        if isinstance(call, Call):
            call.answer("core1", sdp.core_answer("audio"))
            call.on(call.wic_request("ACK", cseq=1))
        else:
            call.answer()
            call.on(call.ims_request("ACK", cseq=5))
        assert asked == [act.Schedule(call.record.key, ev.Due.TOO_LONG, 60.0)]

    def test_without_a_limit_there_is_none(self) -> None:
        call = Call.ringing()
        call.answer("core1", sdp.core_answer("audio"))
        assert call.actions.all(act.Schedule) == []


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


@pytest.mark.parametrize("ending", [ENDED, ev.FlowClosed()], ids=["registration", "connection"])
@pytest.mark.parametrize("headers", [FULL_SUPPORT, NO_100REL], ids=["100rel", "without"])
def test_one_that_ends_while_the_relay_is_asked_calls_nobody(
    ending: ev.Event, headers: dict[str, list[str]]
) -> None:
    call = Call.offered(headers=headers)
    call.on(ending)
    actions = call.reserved()
    assert actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]
    assert actions.reply[0] in (403, 430, 480)
