"""A core that challenges the INVITE: the call goes on when the page has said who it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page import challenged
from kemi.core.call.record import Rejection
from kemi.core.call.states import Media, OfferAnswer
from kemi.core.emergency import PRIORITY_LINES, with_priority
from kemi.core.messages import Request
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import ALICE, GATEWAY_TAG, Call, header_reader, invite

CREDENTIALS = 'Digest username="alice", realm="ims.example", nonce="n", uri="sip:b", response="r"'
OFFER = sdp.chromium("audio-sendonly")
TWO_WAY = sdp.chromium("audio-sendrecv")


def asked(body: str | None = None) -> Call:
    """The core has challenged the INVITE."""
    call = Call.forwarded(body)
    call.on(ev.ImsFailed(407))
    return call


def said_who(_call: Call, **changes: Any) -> Request:
    """Return the page's INVITE with credentials."""
    fields = {
        "Proxy-Authorization": [CREDENTIALS],
        "Supported": ["100rel, timer"],
        "Allow": ["UPDATE, PRACK"],
    }
    again = replace(invite(OFFER), cseq=2, headers=header_reader(fields))
    return replace(again, **changes)


def went_on(call: Call, request: Request | None = None) -> Call:
    """The page has said who it is, and our answer is out again."""
    call.on(ev.CredentialsSent(said_who(call) if request is None else request))
    call.on(ev.TransactionCreated(33, 44))
    return call


class TestTheCallStays:
    def test_for_as_long_as_an_answer_takes(self) -> None:
        call = asked()
        assert call.actions.names == ["Schedule"]
        due = call.actions.only(act.Schedule)
        assert (due.due, due.delay_s) == (ev.Due.CREDENTIALS, challenged.CREDENTIALS_S)
        assert call.record.media_state is Media.GATED
        assert not call.record.forwarded
        ended = call.on(ev.TimerFired(ev.Due.CREDENTIALS))
        assert ended.names == ["ReleaseMedia", "ForgetCall"]
        assert call.on(ev.TimerFired(ev.Due.CREDENTIALS)) == []

    @pytest.mark.parametrize(
        "event",
        [
            pytest.param(ev.FlowClosed(), id="the page has gone"),
            pytest.param(ev.CancelReceived(), id="a late CANCEL"),
            pytest.param(ev.CallForbidden("an operator ended it"), id="forbidden"),
            pytest.param(ev.RegistrationEnded("expired"), id="registration"),
        ],
    )
    def test_but_ends_at_once_where_something_ends_it(self, event: ev.Event) -> None:
        call = asked()
        assert {"ReleaseMedia", "ForgetCall"} <= set(call.on(event).names)
        assert call.record.ended

    def test_a_bye_of_the_page_is_answered_and_ends_it(self) -> None:
        call = asked()
        gone = call.on(call.wic_request("BYE", cseq=3))
        assert gone.reply[0] == 200
        assert {"ReleaseMedia", "ForgetCall"} <= set(gone.names)

    @pytest.mark.parametrize(
        ("change", "event"),
        [
            pytest.param({"cancelled": True}, ev.ImsFailed(407), id="cancelled"),
            pytest.param({"rejection": Rejection(503, "x")}, ev.ImsFailed(401), id="refused by us"),
            pytest.param({}, ev.ImsFailed(403), id="another refusal"),
            pytest.param({}, ev.ImsFailed(407, local=True), id="nobody said so"),
        ],
    )
    def test_not_otherwise(self, change: dict[str, Any], event: ev.ImsFailed) -> None:
        call = Call.forwarded()
        for name, value in change.items():
            setattr(call.record, name, value)
        call.on(event)
        assert call.record.ended

    def test_not_once_somebody_rang(self) -> None:
        assert "ForgetCall" in Call.ringing().on(ev.ImsFailed(407)).names


class TestTheSameInvite:
    @pytest.mark.parametrize(
        ("change", "same"),
        [
            ({}, True),
            ({"from_tag": "another"}, False),
            ({"connection_id": "8"}, False),
            ({"body": TWO_WAY}, False),
            ({"cseq": 1}, False),
        ],
    )
    def test_is_known(self, change: dict[str, Any], same: bool) -> None:
        call = asked()
        request = said_who(call, **change)
        assert challenged.goes_on(call.record, request, call.record.request_uri) is same
        assert not challenged.goes_on(call.record, request, ALICE)

    def test_only_while_it_is_awaited(self) -> None:
        call = Call.forwarded()
        assert not challenged.goes_on(call.record, said_who(call), call.record.request_uri)
        assert call.on(ev.CredentialsSent(said_who(call))).reply[0] == 482


class TestGoingOn:
    def test_in_the_same_dialog_with_the_next_numbers(self) -> None:
        call = asked()
        made = call.on(ev.CredentialsSent(said_who(call)))
        assert made.names == ["Unschedule", "CreateTransaction"]
        assert made.only(act.CreateTransaction).to_tag == GATEWAY_TAG
        sent = call.on(ev.TransactionCreated(33, 44))
        assert sent.names == ["SuspendInvite", "Schedule", "SendReply"]
        assert call.record.transaction == (33, 44)
        answer = sent.only(act.SendReply)
        assert (answer.status, "RSeq: 2" in answer.headers) == (183, True)

    def test_answer_and_offer_are_those_of_before(self) -> None:
        first = Call.answered_early()
        answer1 = first.actions.only(act.SendReply).body
        updated = first.on(first.prack(1)).only(act.SendRequest).body
        call = went_on(asked())
        answer2 = call.actions.only(act.SendReply).body
        assert _without_origin(answer2) == _without_origin(answer1)
        update = call.on(call.prack(2, cseq=3, rack="2 2 INVITE")).only(act.SendRequest)
        assert update.method == "UPDATE"
        assert "CSeq: 2 UPDATE" in update.headers
        assert _without_origin(update.body) == _without_origin(updated)
        versions = [_version(text) for text in (answer1, updated, answer2, update.body)]
        assert versions == [1, 2, 3, 4]

    @pytest.mark.parametrize("said", ["urgent", "emergency"])
    def test_an_emergency_keeps_its_priority(self, said: str) -> None:
        call = asked()
        call.record.caller_lines = with_priority(call.record.caller_lines)
        again = {"Proxy-Authorization": [CREDENTIALS], "Priority": [said]}
        went_on(call, said_who(call, headers=header_reader(again)))
        lines = [line for line in call.record.caller_lines if "Priority:" in line]
        assert lines == list(PRIORITY_LINES)

    def test_the_core_gets_the_same_offer_with_the_credentials(self) -> None:
        before = Call.updating()
        before.on(ev.UpdateAnswered(200, sdp.page_answer(before.record.update_offer)))
        before.on(ev.ReverseAccepted())
        offered = before.on(ev.InviteResumed()).only(act.ForwardInvite).edits
        call = went_on(asked())
        call.on(call.prack(2, cseq=3, rack="2 2 INVITE"))
        taken = call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        if taken.all(act.AcceptReverse):
            call.on(ev.ReverseAccepted())
        sent = call.on(ev.InviteResumed()).only(act.ForwardInvite)
        assert sent.edits.body == offered.body
        assert f"Proxy-Authorization: {CREDENTIALS}" in sent.edits.insert
        assert call.record.ims_invite_cseq == 2
        call.on(call.ims_reply(180, cseq=2))
        answered = call.ims_reply(200, cseq=2, body=sdp.core_answer())
        call.on(answered)
        told = call.on(ev.MediaConnected(answered.reply)).only(act.ForwardReply)
        assert (told.edits.to_tag, told.edits.cseq, told.edits.body) == (GATEWAY_TAG, None, "")
        acked = call.on(call.wic_request("ACK", cseq=2))
        assert acked.only(act.ForwardRequest).edits.cseq in (None, 2)
        assert call.record.wic_offer_answer is OfferAnswer.STABLE

    def test_a_two_way_page_needs_no_update(self) -> None:
        call = Call.answered_early(TWO_WAY)
        answer1 = call.actions.only(act.SendReply).body
        call.on(call.prack(1))
        call.on(ev.InviteResumed())
        call.on(ev.ImsFailed(401))
        went_on(call, said_who(call, body=TWO_WAY))
        assert call.actions.only(act.SendReply).body == answer1
        assert call.on(call.prack(2, cseq=3, rack="2 2 INVITE")).names[-1] == "ResumeInvite"

    def test_jssip_goes_on_with_the_numbers_of_its_first_invite(self) -> None:
        call = Call.offered(TWO_WAY, {"Allow": ["INVITE, ACK, CANCEL, BYE, UPDATE"]})
        call.reserved()
        answer1 = call.actions.only(act.SendReply).body
        call.on(ev.ImsFailed(401))
        sent = went_on(call, said_who(call, body=TWO_WAY)).actions
        assert sent.names == ["SendReply", "ForwardInvite"]
        assert sent.only(act.SendReply).body == answer1
        answered = call.ims_reply(200, cseq=2, body=sdp.core_answer())
        call.on(answered)
        told = call.on(ev.MediaConnected(answered.reply)).only(act.ForwardReply)
        assert told.edits.body == answer1
        acked = call.on(call.wic_request("ACK", cseq=1)).only(act.ForwardRequest)
        assert acked.edits.cseq == 2
        ended = call.on(call.wic_request("BYE", cseq=2)).only(act.ForwardRequest)
        assert ended.edits.cseq == 3

    def test_numbers_rise_towards_a_core_that_had_the_invite_twice(self) -> None:
        call = Call.forwarded()
        call.record.ims_cseq, call.record.ims_invite_cseq, call.record.ims_cseq_offset = 2, 2, 1
        call.on(ev.ImsFailed(407))
        went_on(call)
        assert (call.record.invite_cseq, call.record.ims_invite_cseq) == (2, 3)
        assert call.record.last_invite == (2, 3)
        assert not call.record.to_core

    def test_who_is_challenged_again_may_answer_again(self) -> None:
        call = went_on(asked())
        call.on(call.prack(2, cseq=3, rack="2 2 INVITE"))
        taken = call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        if taken.all(act.AcceptReverse):
            call.on(ev.ReverseAccepted())
        call.on(ev.InviteResumed())
        assert call.on(ev.ImsFailed(407)).names == ["Schedule"]
        went_on(call, said_who(call, cseq=4))
        assert "RSeq: 3" in call.actions.only(act.SendReply).headers


def _without_origin(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("o=")]


def _version(text: str) -> int:
    return int(next(line for line in text.splitlines() if line.startswith("o=")).split()[2])
