"""What a called page responds and what follows, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.boundary import ICSI_REF
from kemi.core.call.states import Dialog, Media
from kemi.core.errors import (
    LocalProtocolError,
    MediaUnavailable,
)
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import (
    CALLER_CONTACT,
    CALLER_TAG,
    KEY,
    OUR_VIA,
    PAGE_CONTACT,
    PAGE_TAG,
    ROUTES,
    TAG,
    Incoming,
    invite,
    offer,
)
from tests.unit.core.call.ladder import ALICE, BOB

ERROR = MediaUnavailable("relay gone")


def values(edits: act.MessageEdits, name: str) -> list[str]:
    """Return the values of the header lines that edits insert."""
    return [line.partition(": ")[2] for line in edits.insert if line.partition(": ")[0] == name]


class TestResponses:
    """The page's responses in the core's dialog."""

    def test_100_is_looked_at_and_no_more(self) -> None:
        call = Incoming.sent()
        assert call.on(call.wic_reply(100, tag="")) == []
        assert call.record.incoming is not None
        assert call.record.incoming.via == OUR_VIA
        assert call.record.dialog is Dialog.NONE

    def test_180_gets_our_tags_contact_and_the_cores_routes(self) -> None:
        call = Incoming.ringing()
        edits = call.actions.only(act.ForwardReply).edits
        assert (edits.from_tag, edits.to_tag, edits.body) == (CALLER_TAG, TAG, "")
        assert values(edits, "Contact") == [f"<sip:{TAG}@192.0.2.1:5060>;{ICSI_REF};audio"]
        assert values(edits, "Record-Route") == list(ROUTES)
        assert values(edits, "P-Asserted-Identity") == [f"<{ALICE}>"]
        assert values(edits, "P-Charging-Vector") == ['icid-value=abc;term-ioi="Type 1visited.example"']
        assert call.record.dialog is Dialog.EARLY

    @pytest.mark.parametrize(
        ("preferred", "asserted"),
        [
            pytest.param("<tel:+15550100>", "<tel:+15550100>", id="its own"),
            pytest.param(f"<{BOB}>", f"<{ALICE}>", id="somebody else's"),
        ],
    )
    def test_a_preferred_identity(self, preferred: str, asserted: str) -> None:
        call = Incoming.sent()
        call.on(call.wic_reply(180, headers={"P-Preferred-Identity": [preferred]}))
        assert values(call.actions.only(act.ForwardReply).edits, "P-Asserted-Identity") == [asserted]

    def test_without_a_to_tag_it_makes_no_dialog(self) -> None:
        call = Incoming.sent()
        assert call.on(call.wic_reply(180, tag="")).names == ["DropReply"]

    def test_the_answer_waits_for_the_relay(self) -> None:
        call = Incoming.ringing()
        taken = call.on(call.wic_reply(200, body=call.page_answer())).only(act.ConnectIncoming)
        assert call.record.dialog is Dialog.EARLY
        assert taken.call_id == KEY
        call.on(call.connected(taken))
        edits = call.actions.only(act.ForwardReply).edits
        assert edits.body == (call.record.incoming and call.record.incoming.ims_answer)
        assert edits.body is not None
        assert "RTP/AVP" in edits.body
        assert (call.record.dialog, call.record.media_state) == (Dialog.CONFIRMED, Media.CONNECTED)
        assert call.record.confirmed_tag == CALLER_TAG

    def test_the_same_answer_again_is_repeated_without_the_relay(self) -> None:
        call = Incoming.ringing()
        call.answer()
        first = call.actions.only(act.ForwardReply).edits.body
        call.on(call.wic_reply(200, body=call.page_answer()))
        assert call.actions.names == ["ForwardReply"]
        assert call.actions.only(act.ForwardReply).edits.body == first

    def test_early_media_is_described_and_the_200_repeats_it(self) -> None:
        call = Incoming.sent(invite(headers={"Supported": ["replaces"]}))
        taken = call.on(call.wic_reply(183, body=call.page_answer())).only(act.ConnectIncoming)
        early = call.on(call.connected(taken)).only(act.ForwardReply).edits
        assert early.body
        ringing = call.on(call.wic_reply(180)).only(act.ForwardReply).edits
        assert ringing.body == ""
        final = call.on(call.wic_reply(200)).only(act.ForwardReply).edits
        assert final.body == early.body
        assert call.record.dialog is Dialog.CONFIRMED

    def test_early_media_is_described_reliably_where_the_core_takes_it_so(self) -> None:
        call = Incoming.sent()
        taken = call.on(call.wic_reply(183, body=call.page_answer())).only(act.ConnectIncoming)
        assert call.on(call.connected(taken)).names == ["Schedule", "ForwardReply"]
        early = call.actions.only(act.ForwardReply).edits
        assert early.body
        assert {"Require: 100rel", "RSeq: 1"} <= set(early.insert)
        said = {
            "Privacy": ["id"],
            "P-Preferred-Identity": [f"<{ALICE}>"],
            "Require": ["x"],
            "Supported": ["y" * 1000],
        }
        assert call.on(call.wic_reply(200, headers=said)).names == ["DropReply"]  # it waits for the PRACK
        done = call.on(call.ims_request("PRACK", cseq=6, headers={"RAck": ["1 5 INVITE"]}))
        assert done.names == ["SendReply", "Unschedule", "AnswerForPage"]
        told = done.only(act.AnswerForPage).headers
        assert {"Privacy: id", f"P-Preferred-Identity: <{ALICE}>"} <= set(told)
        assert not [line for line in told if line.startswith(("Require", "Supported"))]
        ours = call.wic_reply(200)
        final = call.on(ev.ImsReply(replace(ours.reply, side=Side.IMS))).only(act.ForwardReply).edits
        assert final.body == ""
        assert call.record.dialog is Dialog.CONFIRMED

    def test_a_medium_the_page_refuses_gets_port_0(self) -> None:
        call = Incoming.ringing(invite(offer(video=True)))
        answer = call.page_answer(refuse=("1",))
        taken = call.on(call.wic_reply(200, body=answer)).only(act.ConnectIncoming)
        assert taken.media["video"] is None
        call.on(call.connected(taken))
        body = call.actions.only(act.ForwardReply).edits.body
        assert body is not None
        assert "m=video 0 " in body
        assert [medium.active for medium in call.record.media] == [True, False]

    @pytest.mark.parametrize("status", [302, 404, 486, 603])
    def test_a_refusal_goes_on(self, status: int) -> None:
        call = Incoming.ringing()
        edits = call.on(call.wic_reply(status)).only(act.ForwardReply).edits
        assert (edits.from_tag, edits.to_tag, edits.insert) == (CALLER_TAG, TAG, ())
        assert ("Contact" in edits.remove) is (status >= 400)
        assert call.on(ev.WicFailed(status)).names == ["ReleaseMedia", "ForgetCall"]
        assert call.actions.only(act.ForgetCall).call_id == KEY

    def test_a_reply_of_another_dialog_is_not_ours(self) -> None:
        call = Incoming.confirmed()
        reply = call.wic_reply(200, method="INFO", cseq=77)
        assert call.on(reply) == []
        strange = ev.WicReply(replace(call.wic_reply(200).reply, from_tag="gw-in-2"))
        assert call.on(strange) == []

    def test_a_core_that_insists_on_100rel_hears_nothing_unreliable(self) -> None:
        call = Incoming.sent(invite(headers={"Require": ["100rel"]}))
        assert call.on(call.wic_reply(180)).names == ["Schedule", "ForwardReply"]
        assert {"Require: 100rel", "RSeq: 1"} <= set(call.actions.only(act.ForwardReply).edits.insert)
        queued = call.wic_reply(182, headers={"Privacy": ["id"]})
        assert call.on(queued).names == ["DropReply"]  # one at a time
        done = call.on(call.ims_request("PRACK", cseq=6, headers={"RAck": ["1 5 INVITE"]}))
        assert done.only(act.AnswerForPage).status == 182
        assert "Privacy: id" in done.only(act.AnswerForPage).headers
        reliable = call.wic_reply(183, headers={"Require": ["100rel"], "RSeq": ["1"]})
        assert call.on(reliable).names == ["ForwardReply"]
        assert "RSeq: 2" in call.actions.only(act.ForwardReply).edits.insert

    def test_a_repetition_after_the_prack_stays_here(self) -> None:
        call = Incoming.sent(invite(headers={"Require": ["100rel"]}))
        waiting = "<urn:alert:service:call-waiting>"
        call.on(call.wic_reply(180, headers={"Privacy": ["id"], "Alert-Info": [waiting]}))
        again = call.on(ev.TimerFired(ev.Due.RELIABLE_REPEAT)).only(act.AnswerForPage)
        assert {"RSeq: 1", "Privacy: id", f"Alert-Info: {waiting}"} <= set(again.headers)
        ours = ev.ImsReply(replace(call.wic_reply(180, headers={"RSeq": ["1"]}).reply, side=Side.IMS))
        assert call.on(ours).names == ["ForwardReply"]
        call.on(call.ims_request("PRACK", cseq=6, headers={"RAck": ["1 5 INVITE"]}))
        assert call.on(ours).names == ["DropReply"]
        assert call.on(ev.TimerFired(ev.Due.RELIABLE_REPEAT)).names == []

    def test_repeated_at_doubling_times_until_64_t1(self) -> None:
        call = Incoming.sent(invite(headers={"Require": ["100rel"]}))
        call.on(call.wic_reply(180))
        waits = [call.actions.only(act.Schedule).delay_s]
        while call.on(ev.TimerFired(ev.Due.RELIABLE_REPEAT)).all(act.Schedule):
            waits.append(call.actions.only(act.Schedule).delay_s)
        assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 0.5]
        assert call.actions.names == ["CancelForwardedInvite"]
        assert call.on(ev.WicFailed(487)).reply[0] == 504


class TestBrokenAnswers:
    """The page is acknowledged and hung up, the core hears why."""

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            pytest.param("", 502, id="none"),
            pytest.param("rubbish", 502, id="rubbish"),
            pytest.param("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", 502, id="no lines"),
            pytest.param("refused", 488, id="all refused"),
        ],
    )
    def test_in_the_200(self, body: str, status: int) -> None:
        call = Incoming.ringing()
        given = call.page_answer(refuse=("0",)) if body == "refused" else body
        call.on(call.wic_reply(200, body=given))
        assert call.actions.names == ["DropReply", "SendRequest", "SendRequest", "Schedule", "AnswerForPage"]
        ack, bye = call.actions.all(act.SendRequest)
        assert (ack.method, bye.method, bye.request_uri) == ("ACK", "BYE", f"{PAGE_CONTACT};ob")
        assert f"To: <{ALICE}>;tag={PAGE_TAG}" in bye.headers
        assert f"From: <{BOB}>;tag={TAG}" in bye.headers
        assert "CSeq: 5 ACK" in ack.headers
        assert "CSeq: 6 BYE" in bye.headers
        final = call.actions.only(act.AnswerForPage)
        assert (final.call_id, final.status) == (KEY, status)
        assert [line for line in final.headers if line.startswith("Via:")] == [f"Via: {OUR_VIA}"]
        # the same answer once more
        assert call.on(call.wic_reply(200, body=given)).names == ["DropReply"]
        # what we sent to ourselves comes in, and ends it
        own = ev.ImsReply(replace(call.wic_reply(status).reply, side=Side.IMS))
        assert call.on(own).names == ["ForwardReply"]
        assert call.on(ev.WicFailed(status)).names == ["ReleaseMedia", "ForgetCall"]

    def test_in_a_183_the_page_still_rings(self) -> None:
        call = Incoming.sent()
        call.on(call.wic_reply(183, body="rubbish"))
        assert call.actions.names == ["ForwardReply"]
        assert call.actions.only(act.ForwardReply).edits.body == ""

    def test_a_relay_that_fails_at_the_answer(self) -> None:
        call = Incoming.ringing()
        taken = call.on(call.wic_reply(200, body=call.page_answer())).only(act.ConnectIncoming)
        call.on(ev.MediaFailed(ERROR, taken.reply))
        assert call.actions.only(act.AnswerForPage).status == 500
        assert call.actions.all(act.SendRequest)[1].method == "BYE"

    @pytest.mark.parametrize(
        ("first", "passed_on"),
        [
            pytest.param(200, "ForwardReply", id="200"),
            pytest.param(183, "DropReply", id="183, whose PRACK the 200 waits for"),
        ],
    )
    def test_a_relay_that_fails_at_a_repeated_answer_works_with_the_first(
        self, first: int, passed_on: str
    ) -> None:
        call = Incoming.ringing()
        answered = call.on(call.wic_reply(first, body=call.page_answer())).only(act.ConnectIncoming)
        repeated = call.on(call.wic_reply(200, body=call.page_answer())).only(act.ConnectIncoming)
        call.on(call.connected(answered))
        call.on(ev.MediaFailed(ERROR, repeated.reply))
        assert call.actions.names == [passed_on]
        assert not call.record.ended

    def test_a_relay_that_has_no_ports(self) -> None:
        call = Incoming.offered()
        call.on(ev.MediaFailed(ERROR))
        assert call.actions.names == ["SendReply", "ForgetCall"]
        assert call.actions.reply == (503, "Media Relay Unavailable")


class TestEndBeforeTheAnswer:
    """Nobody answers, the caller gives up, the page goes."""

    @pytest.mark.parametrize(
        ("stage", "event", "reply"),
        [
            pytest.param("ringing", ev.WicFailed(408, local=True), (480, "No Answer"), id="no answer"),
            pytest.param("sent", ev.WicFailed(408, local=True), (408, "Request Timeout"), id="no reaction"),
            pytest.param("sent", ev.WicFailed(430, local=True), (430, "Flow Failed"), id="not sent"),
            pytest.param(
                "ringing", ev.WicFailed(487, local=True), (487, "Request Terminated"), id="cancelled"
            ),
        ],
    )
    def test_what_the_core_is_told(self, stage: str, event: ev.WicFailed, reply: tuple[int, str]) -> None:
        call: Incoming = getattr(Incoming, stage)()
        call.on(event)
        assert call.actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]
        assert call.actions.reply == reply
        assert call.record.dialog is Dialog.TERMINATED

    def test_an_answer_that_was_faster_wins(self) -> None:
        call = Incoming.confirmed()
        assert call.on(ev.WicFailed(487)) == []

    def test_a_page_that_rings_and_is_lost_is_answered_for(self) -> None:
        call = Incoming.ringing()
        call.on(ev.FlowClosed())
        final = call.actions.only(act.AnswerForPage)
        assert (final.status, final.reason_phrase) == (430, "Flow Failed")
        assert f"From: <{BOB}>;tag={TAG}" in final.headers
        assert "CSeq: 5 INVITE" in final.headers
        assert call.on(ev.FlowClosed()).names == []

    def test_one_that_never_responded_is_answered_past_its_branch(self) -> None:
        call = Incoming.sent()
        refusal = call.on(ev.FlowClosed()).only(act.RefuseUnheard)
        assert (refusal.sip_call_id, refusal.cseq) == (call.record.call_id, 5)
        assert (refusal.status, refusal.reason_phrase) == (430, "Flow Failed")
        assert call.on(ev.WicFailed(430)).names == ["ReleaseMedia", "ForgetCall"]

    @pytest.mark.parametrize("heard", [True, False])
    def test_a_refusal_that_nobody_hears_leaves_nothing(self, heard: bool) -> None:
        """The other fork's transaction took it, or the datagram was lost: nothing else ends the record."""
        call = Incoming.ringing() if heard else Incoming.sent()
        assert call.on(ev.FlowClosed()).only(act.Schedule).due is ev.Due.FORGET
        actions = call.on(ev.TimerFired(ev.Due.FORGET))
        assert actions.only(act.ReleaseMedia)
        assert actions.only(act.ForgetCall)
        assert call.record.ended

    def test_one_that_was_not_called_yet_is_left_to_whoever_calls_it(self) -> None:
        call = Incoming.sent()
        call.record.media_state = Media.NONE
        assert call.on(ev.FlowClosed()).names == []

    @pytest.mark.parametrize("status", [180, 200])
    def test_what_the_page_says_while_the_record_goes_is_dropped(self, status: int) -> None:
        call = Incoming.ringing()
        answer = call.page_answer()
        call.on(ev.WicFailed(408, local=True))
        assert call.on(call.wic_reply(status, body=answer)).names == ["DropReply"]

    def test_an_answer_that_the_relay_took_too_late_is_dropped(self) -> None:
        call = Incoming.ringing()
        taken = call.on(call.wic_reply(200, body=call.page_answer())).only(act.ConnectIncoming)
        call.on(ev.WicFailed(430, local=True))
        assert call.on(call.connected(taken)).names == ["DropReply", "ReleaseMedia"]


class TestInsideTheDialog:
    """Requests both ways."""

    def test_the_ack_reaches_the_page(self) -> None:
        call = Incoming.confirmed()
        edits = call.actions.only(act.ForwardRequest).edits
        assert (edits.from_tag, edits.to_tag, edits.cseq) == (TAG, PAGE_TAG, 5)
        assert edits.request_uri == f"{PAGE_CONTACT};ob"
        assert edits.next_hop == "sip:127.0.0.1:40000;transport=ws"
        assert call.record.acknowledged

    @pytest.mark.parametrize("cseq", [4, 6])
    def test_an_ack_of_something_else_does_not(self, cseq: int) -> None:
        call = Incoming.ringing()
        call.answer()
        assert call.on(call.ims_request("ACK", cseq=cseq)) == []

    def test_an_ack_of_the_page_means_nothing(self) -> None:
        call = Incoming.confirmed()
        assert call.on(call.wic_request("ACK", cseq=5)) == []

    def test_info_from_the_core_and_the_pages_response(self) -> None:
        call = Incoming.confirmed()
        forward = call.on(call.ims_request("INFO", cseq=6)).only(act.ForwardRequest)
        assert forward.to is Side.WIC
        assert (forward.edits.from_tag, forward.edits.to_tag, forward.edits.cseq) == (TAG, PAGE_TAG, 6)
        edits = call.on(call.wic_reply(200, method="INFO", cseq=6, contact="")).only(act.ForwardReply).edits
        assert (edits.from_tag, edits.to_tag, edits.cseq) == (CALLER_TAG, TAG, 6)

    def test_info_from_the_page_and_the_cores_response(self) -> None:
        call = Incoming.confirmed()
        forward = call.on(call.wic_request("INFO", cseq=1)).only(act.ForwardRequest)
        assert forward.to is Side.IMS
        edits = forward.edits
        assert (edits.from_value, edits.to_tag) == (f"<{ALICE}>;tag={TAG}", CALLER_TAG)
        assert edits.request_uri == CALLER_CONTACT
        assert edits.next_hop == "sip:scscf.ims.example;lr"
        assert values(edits, "Route") == list(ROUTES)
        reply = call.on(call.ims_reply(200, method="INFO", cseq=1)).only(act.ForwardReply).edits
        assert (reply.from_tag, reply.to_tag) == (PAGE_TAG, TAG)

    @pytest.mark.parametrize(
        ("from_tag", "to_tag"),
        [pytest.param("x", TAG, id="From"), pytest.param(CALLER_TAG, "gw-in-2", id="To")],
    )
    def test_wrong_tags(self, from_tag: str, to_tag: str) -> None:
        call = Incoming.confirmed()
        assert call.on(call.ims_request("BYE", from_tag=from_tag, to_tag=to_tag)).reply[0] == 481
        page_tag = PAGE_TAG if from_tag == CALLER_TAG else "x"
        assert call.on(call.wic_request("BYE", from_tag=page_tag, to_tag=to_tag)).reply[0] == 481

    def test_a_prack_reaches_the_page(self) -> None:
        call = Incoming.sent()
        call.on(call.wic_reply(180, headers={"Require": ["100rel"], "RSeq": ["9"]}))
        rack = {"RAck": ["1 5 INVITE"]}
        forward = call.on(call.ims_request("PRACK", cseq=6, headers=rack)).only(act.ForwardRequest)
        assert forward.to is Side.WIC
        assert "RAck: 9 5 INVITE" in forward.edits.insert

    def test_a_prack_of_the_page_answers_nothing(self) -> None:
        call = Incoming.confirmed()
        rack = {"RAck": ["1 5 INVITE"]}
        assert call.on(call.wic_request("PRACK", headers=rack)).reply[0] == 481

    def test_bye_by_the_core(self) -> None:
        call = Incoming.confirmed()
        assert call.on(call.ims_request("BYE")).names == ["Schedule", "ForwardRequest", "ReleaseMedia"]
        done = call.on(call.wic_reply(200, method="BYE", cseq=6))
        assert done.names == ["ForwardReply", "ForgetCall"]
        assert done.only(act.ForgetCall).call_id == KEY

    def test_bye_by_the_page(self) -> None:
        call = Incoming.confirmed()
        assert call.on(call.wic_request("BYE")).names == ["Schedule", "ForwardRequest", "ReleaseMedia"]
        assert call.on(call.ims_reply(200, method="BYE", cseq=1)).names == ["ForwardReply", "ForgetCall"]

    def test_an_early_bye_by_the_page_is_none(self) -> None:
        call = Incoming.ringing()
        assert call.on(call.wic_request("BYE")).reply[0] == 481

    def test_a_page_that_came_back_takes_its_call_along(self) -> None:
        call = Incoming.confirmed()
        call.on(ev.FlowClosed())
        assert {one.call_id for one in call.actions.all(act.Schedule)} == {KEY}
        call.on(call.wic_request("INFO", connection_id="8"))
        assert (call.record.connection_id, call.record.source) == ("8", "127.0.0.1:40777")
        assert call.on(call.wic_request("INFO", connection_id="9", owner=BOB)).reply[0] == 481

    def test_one_that_stays_away_ends_it(self) -> None:
        call = Incoming.confirmed()
        call.on(ev.FlowClosed())
        call.on(ev.TimerFired(ev.Due.FLOW_RECOVERY, flow_alive=False))
        bye = call.actions.only(act.SendRequest)
        assert (bye.to, bye.method, bye.request_uri) == (Side.IMS, "BYE", CALLER_CONTACT)
        assert f"From: <{ALICE}>;tag={TAG}" in bye.headers
        assert f"To: <{BOB}>;tag={CALLER_TAG}" in bye.headers


def test_events_of_calls_from_pages_have_no_step() -> None:
    call = Incoming.ringing()
    with pytest.raises(LocalProtocolError, match="ReverseAccepted"):
        call.on(ev.ReverseAccepted())


def test_the_relay_s_lines_are_described_to_both_sides_as_ours() -> None:
    call = Incoming.confirmed()
    assert call.record.wic_description.startswith("v=0\r\no=- 4711 1 IN IP4 0.0.0.0")
    assert call.record.incoming is not None
    assert call.record.incoming.ims_answer.startswith("v=0\r\no=- 4712 1 IN IP4 192.0.2.1")
    assert sdp.relay_offer("audio").split("m=audio ")[1].split(" ")[0] in call.record.incoming.ims_answer
