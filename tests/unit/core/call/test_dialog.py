"""Requests inside the dialog, both ways."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.boundary import ICSI_REF
from kemi.core.call.lifetime.ending import FORGET_AFTER_S
from kemi.core.call.states import Dialog
from kemi.core.messages import Side
from kemi.core.trust import FROM_PAGE
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import ALICE, BOB, CORE_CONTACT, GATEWAY_TAG, SETTINGS, WIC_TAG, Call
from tests.unit.core.call.test_core_offer import cseq_of, page_answers, relay_knows

WITH_HOLD = sdp.core_answer().replace("a=sendrecv", "a=sendonly")


class TestDialogMatching:
    """RFC 3261 §12.2.2: Call-ID and both tags, and the page's own connection."""

    @pytest.mark.parametrize(
        ("to_tag", "from_tag"),
        [
            pytest.param("core1", WIC_TAG, id="the core's tag"),
            pytest.param(GATEWAY_TAG, "x", id="another page"),
        ],
    )
    def test_a_request_with_other_tags_gets_481(self, to_tag: str, from_tag: str) -> None:
        call = Call.confirmed()
        assert call.on(call.wic_request("INFO", to_tag=to_tag, from_tag=from_tag)).reply[0] == 481

    @pytest.mark.parametrize(
        ("tag", "to_tag"),
        [pytest.param("core9", WIC_TAG, id="unknown leg"), pytest.param("core1", "x", id="another page")],
    )
    def test_the_core_too_must_know_the_tags(self, tag: str, to_tag: str) -> None:
        call = Call.confirmed()
        assert call.on(call.ims_request("BYE", tag=tag, to_tag=to_tag)).reply[0] == 481
        assert not call.record.ended

    def test_an_ack_that_matches_nothing_is_dropped_without_an_answer(self) -> None:
        call = Call.confirmed()
        assert call.on(call.wic_request("ACK", to_tag="x")) == []
        assert call.on(call.ims_request("ACK", tag="x")) == []

    @pytest.mark.parametrize("method", ["PUBLISH", "REGISTER", "BREW"])
    def test_an_unknown_method_gets_405_with_allow(self, method: str) -> None:
        call = Call.confirmed()
        for event in (call.wic_request(method), call.ims_request(method)):
            actions = call.on(event)
            assert actions.reply[0] == 405
            assert any(line.startswith("Allow: ") for line in actions.only(act.SendReply).headers)


class TestPageToCore:
    """What the core's dialog sees of the page's requests."""

    @pytest.mark.parametrize("method", ["INFO", "MESSAGE", "OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE"])
    def test_they_go_along_the_legs_routes_with_the_cores_tag(self, method: str) -> None:
        call = Call.confirmed()
        forward = call.on(call.wic_request(method, contact="<sip:x@page.invalid>")).only(act.ForwardRequest)
        edits = forward.edits
        assert (forward.to, edits.to_tag, edits.from_tag, edits.cseq) == (Side.IMS, "core1", None, None)
        assert edits.request_uri == CORE_CONTACT
        assert edits.next_hop == "sip:pcscf.ims.example;lr"
        assert edits.insert == (
            "Route: <sip:pcscf.ims.example;lr>",
            "Route: <sip:scscf.ims.example;lr>",
            f"P-Charging-Vector: {call.record.charging_vector}",
            f"Contact: <sip:{GATEWAY_TAG}@192.0.2.1:5060>;{ICSI_REF};audio",
        )
        assert {"Route", "Contact", *FROM_PAGE} <= set(edits.remove)

    @pytest.mark.parametrize(
        ("wrote", "changed"),
        [
            pytest.param(f"<{ALICE}>;tag={WIC_TAG}", False, id="as the dialog has it"),
            pytest.param(f'"Your Bank" <{ALICE}>;tag={WIC_TAG}', True, id="another name"),
            pytest.param(f"<{BOB}>;tag={WIC_TAG}", True, id="somebody else"),
            pytest.param(f"<{ALICE};verstat=TN-Validation-Passed>;tag={WIC_TAG}", True, id="checked"),
            pytest.param(f"{ALICE};tag={WIC_TAG}", True, id="in another form"),
        ],
    )
    @pytest.mark.parametrize("method", ["INFO", "BYE"])
    def test_they_say_who_it_is_as_when_the_dialog_began(
        self, method: str, wrote: str, changed: bool
    ) -> None:
        call = Call.confirmed()
        edits = call.on(call.wic_request(method, headers={"From": [wrote]})).only(act.ForwardRequest).edits
        assert edits.from_value == (f"<{ALICE}>;tag={WIC_TAG}" if changed else None)

    def test_without_routes_they_go_to_the_cores_contact(self) -> None:
        call = Call.forwarded()
        call.on(call.ims_reply(180, routes=()))
        edits = call.on(call.wic_request("INFO")).only(act.ForwardRequest).edits
        assert edits.next_hop == CORE_CONTACT
        assert edits.insert == (f"P-Charging-Vector: {call.record.charging_vector}",)

    def test_before_any_leg_there_is_nobody_to_pass_them_to(self) -> None:
        call = Call.forwarded()
        assert call.on(call.wic_request("INFO")).reply[0] == 481

    def test_early_they_go_to_the_newest_fork(self) -> None:
        call = Call.ringing("core1")
        call.on(call.ims_reply(180, "core2"))
        assert call.on(call.wic_request("INFO")).only(act.ForwardRequest).edits.to_tag == "core2"

    def test_the_ack_goes_to_the_confirmed_fork(self) -> None:
        call = Call.ringing("core1")
        call.answer("core2")
        call.on(call.ims_reply(180, "core3"))
        assert call.on(call.wic_request("ACK", cseq=1)).only(act.ForwardRequest).edits.to_tag == "core2"

    def test_an_ack_with_another_cseq_goes_nowhere(self) -> None:
        call = Call.confirmed()
        assert call.on(call.wic_request("ACK", cseq=2)) == []

    def test_the_cores_response_comes_back_with_our_tag(self) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("INFO", cseq=5))
        edits = call.on(call.ims_reply(200, method="INFO", cseq=5)).only(act.ForwardReply).edits
        assert edits.to_tag == GATEWAY_TAG
        assert edits.body is None  # an INFO's body is the two ends' business

    def test_a_response_for_another_page_is_left_alone(self) -> None:
        call = Call.confirmed()
        event = call.ims_reply(200, method="INFO", cseq=5)
        event.reply.from_tag = "somebody"
        assert call.on(event) == []


class TestCoreToPage:
    """CSeq, tags and Contact on the way to the page (RFC 3261 §12.2.1.1: numbers rise by our own requests)."""

    def _forwarded(self, call: Call, cseq: int, tag: str = "core1", method: str = "INFO") -> int:
        edits = call.on(call.ims_request(method, tag=tag, cseq=cseq)).only(act.ForwardRequest).edits
        assert edits.cseq is not None
        return edits.cseq

    def test_the_page_sees_our_tag_and_contact_on_its_own_connection(self) -> None:
        call = Call.confirmed()
        forward = call.on(call.ims_request("INFO", contact="<sip:bob@x>")).only(act.ForwardRequest)
        edits = forward.edits
        assert (forward.to, edits.from_tag, edits.to_tag) == (Side.WIC, GATEWAY_TAG, None)
        assert edits.request_uri == "sip:x@page.invalid;transport=ws"
        assert edits.next_hop == "sip:127.0.0.1:40000;transport=ws"
        assert {"Record-Route", "Route", "Contact"} <= set(edits.remove)
        assert edits.insert == (f"Contact: <{SETTINGS.wic_contact}>",)

    def test_our_update_shifts_the_cores_numbers(self) -> None:
        call = Call.confirmed()  # one UPDATE of ours had CSeq 1
        assert [self._forwarded(call, 1), self._forwarded(call, 2), self._forwarded(call, 7)] == [2, 3, 8]

    def test_several_forks_share_one_rising_sequence(self) -> None:
        call = Call.ringing("core1")
        call.on(call.ims_reply(180, "core2"))
        numbers = [
            self._forwarded(call, 500, "core1"),
            self._forwarded(call, 1, "core2"),
            self._forwarded(call, 501, "core1"),
            self._forwarded(call, 2, "core2"),
        ]
        assert numbers == sorted(set(numbers))

    def test_each_response_finds_its_fork_and_number(self) -> None:
        call = Call.ringing("core1")
        call.on(call.ims_reply(180, "core2"))
        first, second = self._forwarded(call, 500, "core1"), self._forwarded(call, 1, "core2")
        for ours, tag, cseq in ((second, "core2", 1), (first, "core1", 500)):
            edits = (
                call.on(call.wic_reply(200, method="INFO", cseq=ours, contact="<sip:p>"))
                .only(act.ForwardReply)
                .edits
            )
            assert (edits.from_tag, edits.cseq, edits.to_tag) == (tag, cseq, None)
            assert edits.insert == (
                f"P-Charging-Vector: {call.record.charging_vector}",
                f"Contact: <sip:{GATEWAY_TAG}@192.0.2.1:5060>;{ICSI_REF};audio",
            )
            assert set(FROM_PAGE) <= set(edits.remove)

    def test_provisional_responses_keep_the_way_back_open(self) -> None:
        call = Call.confirmed()
        ours = self._forwarded(call, 5)
        assert call.on(call.wic_reply(183, method="INFO", cseq=ours)).names == ["ForwardReply"]
        assert call.on(call.wic_reply(200, method="INFO", cseq=ours)).names == ["ForwardReply"]
        assert call.on(call.wic_reply(200, method="INFO", cseq=ours)) == []

    def test_the_answer_to_our_own_update_is_not_forwarded(self) -> None:
        call = Call.updating()
        assert call.on(call.wic_reply(200, method="UPDATE", cseq=1)) == []

    def test_a_2xx_that_the_ack_has_crossed_goes_no_further(self) -> None:
        """The page repeats it until the ACK is there; as it is, it would tell the core the page's own description."""
        call = Call.confirmed()
        numbers = []
        for cseq, body in ((7, WITH_HOLD), (8, sdp.core_answer())):
            asked = call.on(call.ims_request("INVITE", cseq=cseq, body=body))
            numbers.append(cseq_of(asked))
            relay_knows(call, page_answers(call, asked, numbers[-1]))
            call.on(call.ims_request("ACK", cseq=cseq)).only(act.ForwardRequest)
        for number in numbers:
            again = call.on(call.wic_reply(200, method="INVITE", cseq=number))
            assert again.names == ["DropReply", "SendRequest"]
            assert (again.only(act.SendRequest).method, again.only(act.SendRequest).to) == ("ACK", Side.WIC)
            assert f"CSeq: {number} ACK" in again.only(act.SendRequest).headers

    def test_a_response_with_a_tag_that_is_not_ours_is_left_alone(self) -> None:
        call = Call.confirmed()
        event = call.wic_reply(200, method="INFO", cseq=self._forwarded(call, 5))
        event.reply.from_tag = "other"
        assert call.on(event) == []

    def test_a_page_that_is_away_is_reported_as_480(self) -> None:
        call = Call.confirmed()
        assert call.on(call.ims_request("INFO", alive=False)).reply[0] == 480

    def test_the_cores_ack_ends_here(self) -> None:
        call = Call.confirmed()
        assert call.on(call.ims_request("ACK")) == []


class TestSessionChanges:
    """RFC 3311: a refresh is answered on either side."""

    def test_an_update_without_offer_refreshes_the_session_on_either_side(self) -> None:
        call = Call.confirmed()
        page = call.on(call.wic_request("UPDATE")).only(act.SendReply)
        core = call.on(call.ims_request("UPDATE")).only(act.SendReply)
        assert (page.status, core.status) == (200, 200)
        assert f"Contact: <{SETTINGS.wic_contact}>" in page.headers
        assert f"Contact: <sip:{GATEWAY_TAG}@192.0.2.1:5060>;{ICSI_REF};audio" in core.headers


class TestBye:
    """RFC 3261 §15: either side ends the call."""

    def test_the_pages_bye_goes_to_the_core_and_media_stops_at_once(self) -> None:
        call = Call.confirmed()
        actions = call.on(call.wic_request("BYE"))
        assert actions.names == ["Schedule", "ForwardRequest", "ReleaseMedia"]
        due = actions.only(act.Schedule)
        assert (due.due, due.delay_s) == (ev.Due.FORGET, FORGET_AFTER_S)
        assert actions.only(act.Note).fields == {"by": "wic"}
        assert call.on(call.ims_reply(200, method="BYE", cseq=9)).names == ["ForwardReply", "ForgetCall"]

    def test_the_cores_bye_goes_to_the_page(self) -> None:
        call = Call.confirmed()
        actions = call.on(call.ims_request("BYE", cseq=1))
        assert actions.names == ["Schedule", "ForwardRequest", "ReleaseMedia"]
        assert actions.only(act.Note).fields == {"by": "ims"}
        back = call.on(call.wic_reply(200, method="BYE", cseq=2))
        assert back.names == ["ForwardReply", "ForgetCall"]

    def test_a_bye_nobody_answers_is_forgotten_by_the_timer(self) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("BYE"))
        assert call.on(ev.TimerFired(ev.Due.FORGET)).names == ["ForgetCall"]

    def test_a_transfer_is_reported_after_the_end(self) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("REFER"))
        call.on(call.ims_reply(202, method="REFER", cseq=call.record.ims_cseq))
        call.on(call.wic_request("BYE", cseq=12))
        ended = call.on(call.ims_reply(200, method="BYE", cseq=call.record.ims_cseq))
        assert ended.names == ["ForwardReply", "Schedule"]
        assert ended.only(act.Schedule) == act.Schedule(call.record.key, ev.Due.FORGET, SETTINGS.reports_s)
        last = {"Event": ["refer"], "Subscription-State": ["terminated;reason=noresource"]}
        assert call.on(call.ims_request("NOTIFY", cseq=5, headers=last)).names == ["ForwardRequest"]
        told = call.on(call.wic_reply(200, method="NOTIFY", cseq=call.record.gateway_cseq))
        assert told.names == ["ForwardReply", "ForgetCall"]

    def test_a_last_report_answered_while_the_bye_is_not_leaves_the_record_for_that_answer(self) -> None:
        call = Call.confirmed()
        call.on(call.ims_request("REFER"))
        call.on(call.wic_reply(202, method="REFER", cseq=call.record.gateway_cseq))
        last = {"Event": ["refer"], "Subscription-State": ["terminated;reason=noresource"]}
        call.on(call.wic_request("NOTIFY", headers=last))
        reported = call.record.ims_cseq
        assert call.on(call.ims_request("BYE", cseq=5)).names[1] == "ForwardRequest"
        assert call.on(call.ims_reply(200, method="NOTIFY", cseq=reported)).names == ["ForwardReply"]
        ended = call.on(call.wic_reply(200, method="BYE", cseq=call.record.gateway_cseq))
        assert ended.names == ["ForwardReply", "ForgetCall"]

    def test_no_report_is_awaited_where_none_was_wanted(self) -> None:
        """RFC 4488 §4."""
        call = Call.confirmed()
        call.on(call.wic_request("REFER"))
        unreported = {"Refer-Sub": ["false"]}
        call.on(call.ims_reply(202, method="REFER", cseq=call.record.ims_cseq, headers=unreported))
        call.on(call.wic_request("BYE", cseq=12))
        assert "ForgetCall" in call.on(call.ims_reply(200, method="BYE", cseq=call.record.ims_cseq)).names

    def test_crossing_byes_are_both_answered_and_media_goes_once(self) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("BYE"))
        assert call.on(call.ims_request("BYE")).names == ["SendReply"]
        assert call.actions.reply == (200, "OK")
        assert call.on(call.wic_request("BYE", cseq=10)).names == ["SendReply"]

    def test_after_the_end_only_bye_is_answered(self) -> None:
        call = Call.confirmed()
        call.on(call.ims_request("BYE"))
        assert call.on(call.wic_request("INFO")).reply[0] == 481
        assert call.on(call.ims_request("INFO")).reply[0] == 481

    def test_a_fork_we_hung_up_may_say_bye_without_harm(self) -> None:
        call = Call.confirmed("core1")
        call.on(call.ims_reply(200, "core2"))
        assert call.on(call.ims_request("BYE", tag="core2")).names == ["SendReply"]
        assert not call.record.ended

    @pytest.mark.parametrize("stage", ["answered_early", "updating"])
    def test_a_bye_while_the_invite_is_suspended_ends_it_with_487(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        actions = call.on(call.wic_request("BYE"))
        assert actions.names == ["SendReply", "Unschedule", "ResumeInvite"]
        assert actions.reply == (200, "OK")
        assert call.on(ev.InviteResumed()).reply == (487, "Request Terminated")

    def test_a_bye_while_it_rings_cancels_the_forwarded_invite(self) -> None:
        call = Call.ringing()
        actions = call.on(call.wic_request("BYE"))
        assert actions.names == ["SendReply", "CancelForwardedInvite"]
        assert call.on(ev.ImsFailed(487)).names == ["ReleaseMedia", "ForgetCall"]

    def test_the_cores_bye_to_a_page_that_is_gone_is_answered_here(self) -> None:
        call = Call.confirmed()
        actions = call.on(call.ims_request("BYE", alive=False))
        assert actions.reply == (200, "OK")
        assert actions.names == ["Schedule", "SendReply", "ReleaseMedia", "ForgetCall"]


class TestCancel:
    """RFC 3261 §9: tm answers the CANCEL; the call decides what it means."""

    @pytest.mark.parametrize("stage", ["offered", "answered_early", "updating"])
    def test_before_the_core_knows_it_ends_here(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        actions = call.on(ev.CancelReceived())
        released = [] if stage == "offered" else ["ReleaseMedia"]
        assert actions.names == ["Unschedule", *released, "ForgetCall"]
        assert call.record.ended

    def test_ports_that_the_relay_gives_after_it_are_given_back(self) -> None:
        """tm has marked the INVITE only: it is answered here."""
        call = Call.offered()
        call.on(ev.CancelReceived())
        actions = call.on(ev.MediaReserved({"audio": ev.Reserved("", "")}, node="192.0.2.9:2223"))
        assert actions.names == ["ReleaseMedia", "SendReply"]
        released = actions.only(act.ReleaseMedia)
        assert (released.node, released.kinds) == ("192.0.2.9:2223", ("audio",))
        assert actions.only(act.SendReply).status == 487

    @pytest.mark.parametrize("stage", ["forwarded", "ringing"])
    def test_afterwards_the_cores_487_ends_it(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        assert call.on(ev.CancelReceived()) == []
        edits = call.on(call.ims_reply(487)).only(act.ForwardReply).edits
        assert edits.to_tag == GATEWAY_TAG
        assert call.on(ev.ImsFailed(487)).names == ["ReleaseMedia", "ForgetCall"]

    def test_a_cancel_that_crosses_the_200_loses(self) -> None:
        call = Call.ringing()
        call.on(ev.CancelReceived())
        assert call.answer().names == ["ForwardReply"]
        assert call.record.dialog is Dialog.CONFIRMED
        call.on(call.wic_request("ACK", cseq=1))
        assert "ForwardRequest" in call.on(call.wic_request("BYE")).names

    def test_after_the_answer_or_the_end_it_means_nothing(self) -> None:
        call = Call.confirmed()
        assert call.on(ev.CancelReceived()) == []
        call.on(call.wic_request("BYE"))
        assert call.on(ev.CancelReceived()) == []

    def test_a_late_answer_to_our_update_after_the_cancel_does_nothing(self) -> None:
        call = Call.updating()
        body = sdp.page_answer(call.record.update_offer)
        call.on(ev.CancelReceived())
        assert call.on(ev.UpdateAnswered(200, body)).all(act.ForwardInvite) == []
        assert call.on(ev.InviteResumed()) == []
