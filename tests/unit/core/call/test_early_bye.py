"""A caller that ends a call which rings by BYE instead of CANCEL (RFC 3261 §15)."""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.history import ended
from kemi.core.call.states import Dialog
from tests.unit.core.call.incoming_ladder import Incoming, invite

REASON = 'SIP;cause=200;text="Call completed elsewhere"'


def hung_up(call: Incoming) -> Incoming:
    """Let the caller hang up, and see that the page is told what stops its ringing."""
    actions = call.on(call.ims_request("BYE", headers={"Reason": [REASON]}))
    assert actions.reply == (200, "OK")
    assert actions.names == ["SendReply", "CancelForwardedInvite"]
    return call


def test_the_page_gets_a_cancel_and_the_caller_a_487() -> None:
    call = hung_up(Incoming.ringing())
    assert f"Reason: {REASON}" in call.actions.only(act.CancelForwardedInvite).headers
    failed = ev.WicFailed(408, local=True)  # a page that says no more than 200 to the CANCEL
    actions = call.on(failed)
    assert actions.reply == (487, "Request Terminated")
    assert actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]
    kept = ended(call.record, failed, actions)
    assert (kept.by, kept.why) == ("core", "CANCEL")


def test_a_second_goodbye_is_only_answered() -> None:
    call = hung_up(Incoming.ringing())
    assert call.on(call.ims_request("BYE", cseq=7)).names == ["SendReply"]


def test_an_answer_that_crosses_it_is_not_taken() -> None:
    call = hung_up(Incoming.ringing())
    call.on(call.wic_reply(200, body=call.page_answer()))
    assert not call.record.confirmed_tag
    assert [one.method for one in call.actions.all(act.SendRequest)] == ["ACK", "BYE"]
    assert call.actions.only(act.AnswerForPage).status == 487


def test_nor_one_that_the_relay_is_just_told_of() -> None:
    call = Incoming.ringing()
    taken = call.on(call.wic_reply(200, body=call.page_answer())).only(act.ConnectIncoming)
    hung_up(call)
    call.on(call.connected(taken))
    assert call.record.dialog is Dialog.EARLY
    assert [one.method for one in call.actions.all(act.SendRequest)] == ["ACK", "BYE"]
    assert call.actions.only(act.AnswerForPage).status == 487


def test_an_answer_that_waits_for_its_prack_is_hung_up_at_the_page() -> None:
    call = Incoming.sent(invite(headers={"Require": ["100rel"]}))
    body = call.page_answer()
    early = call.on(call.wic_reply(183, body=body)).only(act.ConnectIncoming)
    call.on(call.connected(early))
    assert call.on(call.wic_reply(200, body=body)).names == ["DropReply"]
    call.on(call.ims_request("BYE"))
    assert call.actions.reply == (200, "OK")
    assert [one.method for one in call.actions.all(act.SendRequest)] == ["ACK", "BYE"]
    assert call.actions.only(act.AnswerForPage).status == 487
    assert call.on(ev.TimerFired(ev.Due.RELIABLE_REPEAT)) == []
