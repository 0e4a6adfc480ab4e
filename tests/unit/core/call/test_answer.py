"""The core's responses to the INVITE, as the page sees them: one dialog, whatever forks behind it."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.states import Dialog, Media
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import CORE_CONTACT, GATEWAY_TAG, SETTINGS, WIC_TAG, Call

ERROR = MediaUnavailable("relay 192.0.2.9:2223 does not answer")


def test_a_response_to_an_invite_that_was_not_sent_yet_means_nothing() -> None:
    call = Call.answered_early()
    assert call.on(call.ims_reply(200, body=sdp.core_answer())).names == ["DropReply"]
    assert call.record.legs == {}


class TestProvisional:
    """RFC 3261 §12.1.1: 1xx with a To-tag make early dialogs; the page's has our tag."""

    def test_180_reaches_the_page_with_our_tag_and_contact_and_without_the_cores_routes(self) -> None:
        edits = Call.ringing().actions.only(act.ForwardReply).edits
        assert edits.to_tag == GATEWAY_TAG
        assert {"Contact", "Record-Route"} <= set(edits.remove)
        assert f"Contact: <{SETTINGS.wic_contact}>" in edits.insert
        assert edits.body == ""

    def test_the_leg_is_learnt_with_its_routes_in_sending_order(self) -> None:
        leg = Call.ringing().record.legs["core1"]
        assert leg.contact == CORE_CONTACT
        assert leg.route_set == ["<sip:pcscf.ims.example;lr>", "<sip:scscf.ims.example;lr>"]

    def test_a_response_without_to_tag_is_kept_from_the_page(self) -> None:
        call = Call.forwarded()
        assert call.on(call.ims_reply(180, "")).names == ["DropReply"]
        assert call.record.legs == {}

    def test_an_unreliable_response_gets_no_rseq(self) -> None:
        edits = Call.ringing().actions.only(act.ForwardReply).edits
        assert not any(line.startswith("RSeq") for line in edits.insert)
        assert "RSeq" not in edits.remove

    def test_early_media_is_connected_before_the_page_hears_of_it(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, body=sdp.core_answer())
        connect = call.on(event).only(act.ConnectMedia)
        assert call.actions.names == ["ConnectMedia"]
        assert connect.media[0].ims_answer is not None
        assert "a=rtpmap:8 PCMA/8000" in connect.media[0].ims_answer
        assert call.on(ev.MediaConnected(event.reply)).names == ["ForwardReply"]
        assert call.record.media_state is Media.CONNECTED

    def test_the_2xx_does_not_overtake_the_relay_with_what_a_18x_described(self) -> None:
        """The relay still works on the 18x when another worker has the 200 with the same description."""
        call = Call.forwarded()
        early = call.ims_reply(183, body=sdp.core_answer())
        assert call.on(early).names == ["ConnectMedia"]
        answer = call.ims_reply(200, body=sdp.core_answer())
        assert call.on(answer).names == ["ConnectMedia"]
        assert call.on(ev.MediaConnected(early.reply)).names == ["ForwardReply"]
        assert call.on(ev.MediaConnected(answer.reply)).names == ["ForwardReply"]

    def test_the_same_answer_again_is_not_given_to_the_relay_again(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, body=sdp.core_answer())
        call.on(event)
        call.on(ev.MediaConnected(event.reply))
        assert call.on(event).names == ["ForwardReply"]
        assert call.on(call.ims_reply(200, body=sdp.core_answer())).names == ["ForwardReply"]

    def test_a_response_without_100rel_in_require_is_unreliable_whatever_its_rseq(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, rseq=7)
        event.reply.headers = lambda name: ["7"] if name == "RSeq" else []
        assert not any(line.startswith("RSeq") for line in call.on(event).only(act.ForwardReply).edits.insert)


def _rseq(call: Call, rseq: int, tag: str = "core1") -> str:
    edits = call.on(call.ims_reply(180, tag, rseq=rseq)).only(act.ForwardReply).edits
    assert "RSeq" in edits.remove
    (line,) = [line for line in edits.insert if line.startswith("RSeq: ")]
    return line.removeprefix("RSeq: ")


class TestReliableProvisional:
    """RFC 3262 §3, §4: RSeq rises by one in the page's dialog; a retransmission keeps its number."""

    def test_the_cores_numbers_follow_ours(self) -> None:
        call = Call.forwarded()
        assert [_rseq(call, 5000), _rseq(call, 5001)] == ["2", "3"]

    def test_a_retransmission_keeps_its_number(self) -> None:
        call = Call.forwarded()
        assert [_rseq(call, 5000), _rseq(call, 5000), _rseq(call, 5001), _rseq(call, 5000)] == [
            "2",
            "2",
            "3",
            "2",
        ]

    def test_forks_that_use_the_same_number_get_different_ones(self) -> None:
        call = Call.forwarded()
        assert [_rseq(call, 1, "core1"), _rseq(call, 1, "core2"), _rseq(call, 1, "core1")] == ["2", "3", "2"]

    @pytest.mark.parametrize(
        ("ours", "tag", "core_rseq"),
        [pytest.param(2, "core1", 70, id="first fork"), pytest.param(3, "core2", 1, id="second fork")],
    )
    def test_the_pages_prack_goes_to_the_fork_it_acknowledges(
        self, ours: int, tag: str, core_rseq: int
    ) -> None:
        call = Call.forwarded()
        _rseq(call, 70, "core1")
        _rseq(call, 1, "core2")
        forward = call.on(call.prack(ours, cseq=4)).only(act.ForwardRequest)
        assert forward.to is Side.IMS
        assert forward.edits.to_tag == tag
        assert "RAck" in forward.edits.remove
        assert f"RAck: {core_rseq} 1 INVITE" in forward.edits.insert

    def test_a_prack_for_a_number_never_given_gets_481(self) -> None:
        call = Call.forwarded()
        _rseq(call, 70)
        assert call.on(call.prack(9, cseq=4)).reply[0] == 481


class TestForks:
    """RFC 3261 §13.2.2.4: several 2xx; the first one is the call."""

    def test_each_forks_own_answer_goes_to_the_relay(self) -> None:
        call = Call.forwarded()
        for tag, port in (("core1", 40000), ("core2", 42000)):
            event = call.ims_reply(183, tag, body=sdp.core_answer(port=port))
            connect = call.on(event).only(act.ConnectMedia)
            assert f"m=audio {port} " in (connect.media[0].ims_answer or "")
            call.on(ev.MediaConnected(event.reply))

    def test_equal_answers_of_two_forks_are_still_two_answers(self) -> None:
        call = Call.forwarded()
        first = call.ims_reply(183, "core1", body=sdp.core_answer())
        call.on(first)
        call.on(ev.MediaConnected(first.reply))
        assert call.on(call.ims_reply(183, "core2", body=sdp.core_answer())).names == ["ConnectMedia"]

    def test_the_second_2xx_is_acknowledged_and_hung_up_and_the_page_never_hears_of_it(self) -> None:
        call = Call.confirmed("core1")
        actions = call.on(call.ims_reply(200, "core2", body=sdp.core_answer(port=42000)))
        assert actions.names == ["DropReply", "SendRequest", "SendRequest"]
        ack, bye = actions.all(act.SendRequest)
        assert (ack.method, bye.method) == ("ACK", "BYE")
        assert "CSeq: 1 ACK" in ack.headers
        assert "CSeq: 2 BYE" in bye.headers
        for sent in (ack, bye):
            assert sent.to is Side.IMS
            assert sent.request_uri == CORE_CONTACT
            assert sent.next_hop == "sip:pcscf.ims.example;lr"
            assert f"From: <sip:alice@ims.example>;tag={WIC_TAG}" in sent.headers
            assert "To: <sip:bob@ims.example>;tag=core2" in sent.headers

    def test_its_retransmission_is_acknowledged_again_but_hung_up_only_once(self) -> None:
        call = Call.confirmed("core1")
        call.on(call.ims_reply(200, "core2"))
        again = call.on(call.ims_reply(200, "core2"))
        assert [sent.method for sent in again.all(act.SendRequest)] == ["ACK"]

    def test_the_answer_to_that_bye_does_not_end_the_call(self) -> None:
        call = Call.confirmed("core1")
        call.on(call.ims_reply(200, "core2"))
        assert "ForgetCall" not in call.on(call.ims_reply(200, "core2", method="BYE", cseq=2)).names

    def test_it_may_cross_with_the_pages_own_bye_whose_answer_keeps_its_number(self) -> None:
        call = Call.confirmed("core1")
        call.on(call.ims_reply(200, "core2"))
        asked = call.wic_request("BYE")
        sent = call.on(asked).only(act.ForwardRequest).edits.cseq
        assert "ForgetCall" not in call.on(call.ims_reply(200, "core2", method="BYE", cseq=2)).names
        assert sent is not None
        answered = call.on(call.ims_reply(200, "core1", method="BYE", cseq=sent))
        assert answered.names == ["ForwardReply", "ForgetCall"]
        assert answered.only(act.ForwardReply).edits.cseq == asked.request.cseq

    def test_a_late_provisional_of_another_fork_does_not_take_the_media_away(self) -> None:
        call = Call.confirmed("core1")
        assert call.on(call.ims_reply(183, "core2", body=sdp.core_answer(port=42000))).names == ["DropReply"]
        assert call.on(call.ims_reply(180, "core1")).names == ["DropReply"]

    def test_a_retransmitted_first_2xx_reaches_the_page_again_until_its_ack(self) -> None:
        call = Call.forwarded()
        call.answer("core1", sdp.core_answer())
        actions = call.on(call.ims_reply(200, "core1", body=sdp.core_answer()))
        assert actions.names == ["ForwardReply"]

    def test_afterwards_it_is_acknowledged_here(self) -> None:
        call = Call.confirmed("core1")
        actions = call.on(call.ims_reply(200, "core1", body=sdp.core_answer()))
        assert actions.names == ["DropReply", "SendRequest"]
        assert actions.only(act.SendRequest).method == "ACK"


class TestAnswered:
    """RFC 3261 §13.2.2.4: the 2xx."""

    def test_the_200_reaches_the_page_without_description(self) -> None:
        call = Call.forwarded()
        edits = call.answer().only(act.ForwardReply).edits
        assert edits.body == ""
        assert edits.to_tag == GATEWAY_TAG
        assert (call.record.dialog, call.record.confirmed_tag) == (Dialog.CONFIRMED, "core1")

    def test_split_transports_get_the_pages_answer_again(self) -> None:
        call = Call.forwarded(sdp.chromium("av-sendonly"))
        connect = call.on(call.ims_reply(200, body=sdp.core_answer("audio", "video"))).only(act.ConnectMedia)
        assert all("a=recvonly" in (medium.reverse_answer or "") for medium in connect.media)

    def test_a_medium_the_far_end_refused_is_given_back(self) -> None:
        call = Call.forwarded(sdp.chromium("av-sendonly"))
        body = sdp.core_answer("audio", "video", refuse=("video",))
        connect = call.on(call.ims_reply(200, body=body)).only(act.ConnectMedia)
        assert [medium.ims_answer is None for medium in connect.media] == [False, True]
        assert [medium.active for medium in call.record.media] == [True, False]

    def test_an_answer_without_description_is_hung_up_once_the_page_acknowledged(self) -> None:
        call = Call.forwarded()
        assert call.on(call.ims_reply(200)).names == ["ForwardReply"]
        actions = call.on(call.wic_request("ACK", cseq=1))
        _assert_hung_up_both(call, actions)

    def test_after_early_media_the_200_may_come_without_description(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, body=sdp.core_answer())
        call.on(event)
        call.on(ev.MediaConnected(event.reply))
        call.on(call.ims_reply(200))
        assert call.on(call.wic_request("ACK", cseq=1)).names == ["ForwardRequest"]


def _assert_hung_up_both(call: Call, actions: list[act.Action]) -> None:
    names = [type(action).__name__ for action in actions if not isinstance(action, act.Note)]
    assert names == ["ForwardRequest", "Schedule", "SendRequest", "SendRequest", "ReleaseMedia", "ForgetCall"]
    to_ims, to_wic = [action for action in actions if isinstance(action, act.SendRequest)]
    assert (to_ims.to, to_ims.method, to_wic.to, to_wic.method) == (Side.IMS, "BYE", Side.WIC, "BYE")
    (reason,) = [line for line in to_wic.headers if line.startswith("Reason: ")]
    assert reason.count('"') == 2
    assert call.record.ended


class TestRelayTrouble:
    """The relay fails while an answer of the core is applied."""

    def test_before_the_2xx_the_forwarded_invite_is_cancelled(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, body=sdp.core_answer())
        call.on(event)
        actions = call.on(ev.MediaFailed(ERROR, event.reply))
        assert actions.names == ["DropReply", "CancelForwardedInvite"]
        cancel = actions.only(act.CancelForwardedInvite)
        assert (cancel.call_id, cancel.cseq) == ("call-1", 1)

    def test_the_page_then_hears_why_although_the_core_says_487(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, body=sdp.core_answer())
        call.on(event)
        call.on(ev.MediaFailed(ERROR, event.reply))
        call.on(call.ims_reply(487))
        actions = call.on(ev.ImsFailed(487))
        assert actions.reply == (503, "Media Relay Unavailable")
        (warning,) = actions.only(act.SendReply).headers
        assert ERROR.detail in warning
        assert actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]

    def test_the_reason_is_the_same_when_the_core_never_answers_the_cancel(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, body="rubbish", rseq=500)
        assert call.on(event).names == ["DropReply", "CancelForwardedInvite"]
        rejection = call.record.rejection
        assert rejection is not None
        assert call.on(ev.ImsFailed(408, local=True)).reply == (rejection.status, rejection.reason_phrase)

    def test_an_answer_that_crosses_our_cancel_is_tried_as_any_other(self) -> None:
        call = Call.forwarded()
        event = call.ims_reply(183, body=sdp.core_answer())
        call.on(event)
        call.on(ev.MediaFailed(ERROR, event.reply))
        assert call.answer(body=sdp.core_answer(port=42000)).names == ["ForwardReply"]
        assert call.record.dialog is Dialog.CONFIRMED

    def test_connected_too_late_everything_is_given_back_and_the_invite_gets_its_end(self) -> None:
        call = Call.forwarded(sdp.chromium("av-sendonly"))
        event = call.ims_reply(200, body=sdp.core_answer("audio", "video"))
        call.on(event)
        call.on(call.wic_request("BYE"))
        actions = call.on(ev.MediaConnected(event.reply))
        assert actions.names == ["ForwardReply", "ReleaseMedia"]
        assert actions.only(act.ReleaseMedia).kinds == ("audio", "video")
        assert call.record.media_state is Media.RELEASED

    @pytest.mark.parametrize(
        "detail",
        [
            pytest.param("relay does not answer", id="plain"),
            pytest.param('relay says "no \\ such call"\r\nX: y', id="quotes, backslash and line ends"),
        ],
    )
    def test_with_the_2xx_both_sides_are_hung_up_after_the_ack(self, detail: str) -> None:
        call = Call.forwarded()
        event = call.ims_reply(200, body=sdp.core_answer())
        call.on(event)
        assert call.on(ev.MediaFailed(MediaUnavailable(detail), event.reply)).names == ["ForwardReply"]
        actions = call.on(call.wic_request("ACK", cseq=1))
        _assert_hung_up_both(call, actions)
        assert not any("\r" in line or "\n" in line for line in actions.all(act.SendRequest)[1].headers)

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param("rubbish", id="no SDP"),
            pytest.param(sdp.core_answer("video"), id="another kind"),
            pytest.param(sdp.core_answer("audio", "video"), id="more lines than offered"),
        ],
    )
    def test_a_description_that_answers_something_else_ends_the_call_the_same_way(self, body: str) -> None:
        call = Call.forwarded()
        assert call.on(call.ims_reply(200, body=body)).names == ["ForwardReply"]
        _assert_hung_up_both(call, call.on(call.wic_request("ACK", cseq=1)))

    def test_the_log_line_names_node_and_detail(self) -> None:
        call = Call.offered()
        note = call.on(ev.MediaFailed(ERROR)).only(act.Note)
        assert note.event == "media_failed"
        assert note.fields == {"status": 503, "detail": ERROR.detail, "node": "192.0.2.9:2223"}


class TestUnheardAnswer:
    """The callee answers a page that is gone: somebody must acknowledge and hang up (RFC 3261 §13.2.2.4, §15)."""

    @pytest.mark.parametrize("goodbye", ["BYE", "flow closed"])
    def test_it_is_acknowledged_and_hung_up_for_the_page(self, goodbye: str) -> None:
        call = Call.ringing("core1")
        call.on(call.wic_request("BYE", cseq=4) if goodbye == "BYE" else ev.FlowClosed())
        actions = call.on(call.ims_reply(200, "core1", body=sdp.core_answer()))
        assert actions.names == ["SendRequest", "SendRequest", "ForwardReply", "ReleaseMedia", "ForgetCall"]
        ack, bye = actions.all(act.SendRequest)
        last = 1  # the INVITE: nothing else has reached the core
        assert "CSeq: 1 ACK" in ack.headers
        assert f"CSeq: {last + 1} BYE" in bye.headers
        for sent in (ack, bye):
            assert (sent.to, sent.request_uri) == (Side.IMS, CORE_CONTACT)
            assert "To: <sip:bob@ims.example>;tag=core1" in sent.headers
        assert call.record.ended
        assert call.record.media_state is Media.RELEASED
        again = call.on(call.ims_reply(200, "core1", body=sdp.core_answer()))  # while the relay is told
        assert again.names == ["DropReply", "SendRequest"]
        assert again.only(act.SendRequest).method == "ACK"

    def test_the_answer_of_another_fork_is_no_different(self) -> None:
        call = Call.ringing("core1")
        call.on(ev.FlowClosed())
        actions = call.on(call.ims_reply(200, "core2", body=sdp.core_answer()))
        assert [sent.method for sent in actions.all(act.SendRequest)] == ["ACK", "BYE"]
        assert all(
            "To: <sip:bob@ims.example>;tag=core2" in sent.headers for sent in actions.all(act.SendRequest)
        )

    def test_ringing_goes_on_until_the_cancel_is_done(self) -> None:
        call = Call.ringing()
        call.on(ev.FlowClosed())
        assert call.on(call.ims_reply(180)).names == ["ForwardReply"]

    def test_a_page_that_only_cancelled_acknowledges_itself(self) -> None:
        call = Call.ringing()
        call.on(ev.CancelReceived())
        assert call.answer().names == ["ForwardReply"]


class TestFinalFailure:
    """RFC 3261 §21.3-21.6: the core's refusal reaches the page; everything is given back."""

    @pytest.mark.parametrize("status", [302, 401, 403, 404, 480, 486, 487, 500, 503, 600, 603])
    def test_the_refusal_passes_with_our_tag_and_without_description(self, status: int) -> None:
        call = Call.ringing()
        edits = call.on(call.ims_reply(status)).only(act.ForwardReply).edits
        assert edits.to_tag == GATEWAY_TAG
        assert edits.body == ""
        assert ("Contact" in edits.remove) is (status >= 400)  # §21.3: a redirection's Contact is its content

    def test_then_media_and_record_go(self) -> None:
        call = Call.ringing()
        actions = call.on(ev.ImsFailed(486))
        assert actions.names == ["ReleaseMedia", "ForgetCall"]
        assert actions.only(act.Note).fields == {"status": 486, "local": 0}
        assert call.record.ended

    @pytest.mark.parametrize(
        ("stage", "final"),
        [
            pytest.param("forwarded", (504, "Server Time-out"), id="the core never said a word"),
            pytest.param("ringing", (480, "No Answer"), id="it rang and nobody answered"),
        ],
    )
    def test_a_local_timeout_gets_an_answer_of_ours(self, stage: str, final: tuple[int, str]) -> None:
        call: Call = getattr(Call, stage)()
        actions = call.on(ev.ImsFailed(408, local=True))
        assert actions.reply == final
        names = [name for name in actions.names if name != "RenewRegistration"]
        assert names == ["SendReply", "ReleaseMedia", "Schedule"]
        assert call.on(ev.TimerFired(ev.Due.FORGET)).names == ["ForgetCall"]

    def test_a_timeout_after_a_cancel_is_left_to_tm(self) -> None:
        call = Call.ringing()
        call.on(ev.CancelReceived())
        assert call.on(ev.ImsFailed(408, timed_out=True)).names == ["ReleaseMedia", "Schedule"]

    def test_a_failure_of_another_branch_after_the_answer_changes_nothing(self) -> None:
        call = Call.confirmed()
        assert call.on(ev.ImsFailed(486)) == []
        assert not call.record.ended
        assert call.record.media_state is Media.CONNECTED


@pytest.mark.parametrize(
    ("content_type", "stays"),
    [
        pytest.param("application/3gpp-ims+xml", True, id="what it was, and what to do now"),
        pytest.param("Application/3GPP-IMS+xml ; charset=utf-8", True, id="in another spelling"),
        pytest.param("application/sdp", False, id="a description, of no session"),
        pytest.param("application/isup", False, id="what is the network's"),
        pytest.param("", False, id="nothing readable"),
    ],
)
def test_a_refusal_keeps_the_body_that_is_for_the_caller(content_type: str, stays: bool) -> None:
    """TS 24.229 §5.1.3.1: only there a page reads that it has called an emergency number."""
    call = Call.forwarded()
    event = call.ims_reply(380, body="<ims-3gpp/>")
    event.reply.content_type = content_type
    assert call.on(event).only(act.ForwardReply).edits.body == (None if stays else "")
