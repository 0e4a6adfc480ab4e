"""RFC 5626 §4.4: the page's connection dies, and perhaps comes back."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.states import Dialog
from kemi.core.messages import Side
from kemi.core.registration import Flow
from kemi.state.calls import record_to_text
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import ALICE, CORE_CONTACT, SETTINGS, Call

TWO_WAY = sdp.chromium("audio-sendrecv")
HOLD = offer_again(TWO_WAY, {"0": "sendonly"})


class TestLoss:
    """At every stage."""

    @pytest.mark.parametrize("stage", ["answered_early", "updating"])
    def test_a_suspended_invite_ends_with_480(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        assert call.on(ev.FlowClosed()).names == ["Unschedule", "ResumeInvite"]
        actions = call.on(ev.InviteResumed())
        assert actions.reply == (480, "Page Gone")
        assert actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]

    @pytest.mark.parametrize("stage", ["forwarded", "ringing"])
    def test_a_forwarded_invite_is_cancelled(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        assert call.on(ev.FlowClosed()).names == ["CancelForwardedInvite"]
        assert call.on(ev.ImsFailed(487)).names == ["ReleaseMedia", "ForgetCall"]

    def test_a_running_call_waits_for_the_page(self) -> None:
        call = Call.confirmed()
        due, _ice = call.on(ev.FlowClosed()).all(act.Schedule)
        assert (due.due, due.delay_s) == (ev.Due.FLOW_RECOVERY, SETTINGS.flow_recovery_s)
        assert call.record.dialog is Dialog.CONFIRMED

    def test_an_ended_call_does_not_care(self) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("BYE"))
        assert call.on(ev.FlowClosed()) == []

    def test_the_log_says_in_which_state_it_happened(self) -> None:
        call = Call.confirmed()
        assert call.on(ev.FlowClosed()).only(act.Note).fields == {"state": "confirmed"}


class TestRecovery:
    """The page registers again over a new connection and goes on with its calls."""

    def test_a_request_over_a_new_connection_of_the_same_owner_moves_the_call(self) -> None:
        call = Call.confirmed()
        call.on(ev.FlowClosed())
        actions = call.on(call.wic_request("INFO", connection_id="8", owner=ALICE))
        assert actions.names == ["Schedule", "ForwardRequest"]
        assert (call.record.connection_id, call.record.source) == ("8", "127.0.0.1:40777")
        assert call.record.contact_of_binding == "sip:again@page.invalid;transport=ws"
        to_page = call.on(call.ims_request("INFO")).only(act.ForwardRequest)
        assert to_page.edits.next_hop == "sip:127.0.0.1:40777;transport=ws"

    @pytest.mark.parametrize("method", ["INFO", "BYE", "UPDATE", "INVITE"])
    def test_anybody_else_gets_481_and_changes_nothing(self, method: str) -> None:
        call = Call.confirmed()
        before = record_to_text(call.record)
        stranger = call.wic_request(method, connection_id="8", owner="sip:mallory@ims.example")
        assert call.on(stranger).reply[0] == 481
        assert record_to_text(call.record) == before

    @pytest.mark.parametrize(
        ("method", "status"),
        [("INVITE", 491), ("UPDATE", 500), ("INFO", 500), ("REFER", 500), ("BYE", 481), ("PRACK", 481)],
    )
    def test_who_has_not_registered_yet_is_to_ask_again_and_changes_nothing(
        self, method: str, status: int
    ) -> None:
        """A 481 would end the call at JsSIP, which asks before its REGISTER is answered."""
        call = Call.confirmed(body=TWO_WAY)
        call.on(ev.FlowClosed())
        before = record_to_text(call.record)
        body = HOLD if method in ("INVITE", "UPDATE") else ""
        answered = call.on(call.wic_request(method, cseq=7, body=body, connection_id="8", owner=""))
        assert answered.names == ["SendReply"]
        assert answered.reply[0] == status
        assert record_to_text(call.record) == before
        again = call.on(call.wic_request("INVITE", cseq=8, body=HOLD, connection_id="8"))
        assert again.only(act.ForwardRequest).to is Side.IMS

    def test_who_knows_one_tag_learns_of_no_call(self) -> None:
        call = Call.confirmed()
        for guess in (
            call.wic_request("UPDATE", connection_id="8", owner="", to_tag="guessed"),
            call.wic_request("UPDATE", connection_id="8", owner="", from_tag="guessed"),
        ):
            assert call.on(guess).reply[0] == 481

    def test_a_call_that_is_over_is_over(self) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("BYE"))
        assert call.on(call.wic_request("UPDATE", connection_id="8", owner="")).reply[0] == 481

    def test_a_page_that_is_back_owes_no_ack_of_the_connection_before(self) -> None:
        call = Call.confirmed(body=TWO_WAY)
        forward = call.on(call.wic_request("INVITE", cseq=7, body=HOLD)).only(act.ForwardRequest)
        call.on(ev.FlowClosed())
        taken = call.on(call.ims_reply(200, method="INVITE", cseq=7, body=sdp.core_answer()))
        call.on(ev.MediaGated(taken.only(act.GateMedia).bearer))
        assert forward.change and call.record.ack_awaited == 7
        back = Flow("8", "n", "192.0.2.77", "127.0.0.1:40777")
        call.on(ev.TimerFired(ev.Due.ICE_RESTART, True, back))
        assert call.on(ev.TimerFired(ev.Due.ICE_RESTART)).names == ["RestartIce"]

    def test_the_timer_finds_the_page_back_and_does_nothing(self) -> None:
        call = Call.confirmed()
        call.on(ev.FlowClosed())
        assert call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY, flow_alive=True)) == []

    def test_a_page_that_stays_away_is_hung_up_towards_the_core_only(self) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("INFO", cseq=17))
        call.on(ev.FlowClosed())
        actions = call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY, flow_alive=False))
        assert actions.names == ["Schedule", "SendRequest", "ReleaseMedia", "ForgetCall"]
        bye = actions.only(act.SendRequest)
        assert (bye.to, bye.method, bye.request_uri) == (Side.IMS, "BYE", CORE_CONTACT)
        assert "CSeq: 18 BYE" in bye.headers
        assert "To: <sip:bob@ims.example>;tag=core1" in bye.headers
        assert [line for line in bye.headers if line.startswith("Route: ")] == [
            "Route: <sip:pcscf.ims.example;lr>",
            "Route: <sip:scscf.ims.example;lr>",
        ]

    def test_who_had_not_acknowledged_the_answer_is_spoken_for(self) -> None:
        call = Call.forwarded()
        call.answer()
        call.on(ev.FlowClosed())
        ended = call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY, flow_alive=False))
        ack, bye = ended.all(act.SendRequest)
        assert [(one.to, one.method) for one in (ack, bye)] == [(Side.IMS, "ACK"), (Side.IMS, "BYE")]
        assert "CSeq: 1 ACK" in ack.headers


class TestTimers:
    """What was scheduled may have become pointless."""

    @pytest.mark.parametrize("due", [due for due in ev.Due if due is not ev.Due.FORGET])
    def test_after_the_end_no_timer_does_anything(self, due: ev.Due) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("BYE"))
        assert call.on(ev.TimerFired(due, flow_alive=False)) == []

    @pytest.mark.parametrize(
        ("stage", "due"),
        [
            pytest.param("forwarded", ev.Due.PRACK_TIMEOUT, id="PRACK timer while forwarded"),
            pytest.param("forwarded", ev.Due.UPDATE_RETRY, id="UPDATE retry while forwarded"),
            pytest.param("ringing", ev.Due.FLOW_RECOVERY, id="recovery while it rings"),
        ],
    )
    def test_a_timer_of_an_earlier_stage_does_nothing(self, stage: str, due: ev.Due) -> None:
        call: Call = getattr(Call, stage)()
        assert call.on(ev.TimerFired(due, flow_alive=False)) == []
