"""Answer, then UPDATE: from the reservation to the INVITE that goes to the core."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.boundary import ICSI_REF
from kemi.core.call.from_page.setup import MAX_UPDATE_ATTEMPTS
from kemi.core.call.states import Dialog, Media, OfferAnswer
from kemi.core.errors import LocalProtocolError, MediaUnavailable, SipReject
from kemi.core.messages import Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from kemi.core.trust import FROM_PAGE
from tests.unit.architecture import REPOSITORY
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import (
    ALICE,
    BOB,
    FULL_SUPPORT,
    GATEWAY_TAG,
    NO_100REL,
    SETTINGS,
    WIC_TAG,
    Call,
    invite,
)

TWO_WAY = "audio-sendrecv"


class TestReliableAnswer:
    """RFC 3262 §3, §5: our answer goes into a 183 that the page must acknowledge."""

    def test_the_invite_is_suspended_before_the_183_leaves(self) -> None:
        call = Call.answered_early()
        assert call.actions.names == ["SuspendInvite", "Schedule", "SendReply"]

    def test_the_183_is_reliable_and_carries_contact_and_answer(self) -> None:
        sent = Call.answered_early().actions.only(act.SendReply)
        assert (sent.status, sent.reason_phrase) == (183, "Session Progress")
        assert {"Require: 100rel", "RSeq: 1", f"Contact: <{SETTINGS.wic_contact}>"} <= set(sent.headers)
        assert any(line.startswith("Allow: ") and "UPDATE" in line for line in sent.headers)

    def test_the_answer_mirrors_the_offer_and_uses_the_relays_port(self) -> None:
        body = Call.answered_early().actions.only(act.SendReply).body
        (line,) = sdp_from_text(body).media
        assert (line.port, line.direction, line.mid) == (30100, Direction.RECVONLY, "0")
        assert "IN IP4 192.0.2.9" in body

    def test_the_guard_outlives_all_our_own_timers(self) -> None:
        guard_s = Call.answered_early().actions.only(act.SuspendInvite).guard_s
        assert guard_s > SETTINGS.prack_s + MAX_UPDATE_ATTEMPTS * SETTINGS.update_s

    def test_a_missing_prack_will_be_noticed(self) -> None:
        due = Call.answered_early().actions.only(act.Schedule)
        assert (due.due, due.delay_s) == (ev.Due.PRACK_TIMEOUT, SETTINGS.prack_s)

    def test_the_machines_wait_for_the_prack(self) -> None:
        record = Call.answered_early().record
        assert (record.dialog, record.media_state) == (Dialog.EARLY, Media.GATED)
        assert record.awaiting_prack
        assert not record.forwarded

    def test_a_reservation_cannot_come_twice(self) -> None:
        call = Call.answered_early()
        with pytest.raises(LocalProtocolError):
            call.reserved()


class TestPrack:
    """RFC 3262 §3, §7.2: RAck names the response that is acknowledged."""

    def test_the_matching_prack_gets_200_and_starts_the_update(self) -> None:
        call = Call.answered_early()
        actions = call.on(call.prack(1))
        assert actions.names == ["SendReply", "Unschedule", "SendRequest"]
        assert actions.reply == (200, "OK")

    @pytest.mark.parametrize(
        "rack",
        [
            pytest.param("2 1 INVITE", id="another RSeq"),
            pytest.param("1 2 INVITE", id="another CSeq"),
            pytest.param("1 1 UPDATE", id="another method"),
            pytest.param("1 1", id="no method"),
            pytest.param("", id="empty"),
            pytest.param("x y z", id="no numbers"),
        ],
    )
    def test_a_prack_for_something_else_gets_481(self, rack: str) -> None:
        call = Call.answered_early()
        assert call.on(call.prack(0, rack=rack)).reply[0] == 481
        assert call.record.awaiting_prack

    def test_a_prack_without_rack_gets_481(self) -> None:
        call = Call.answered_early()
        assert call.on(call.wic_request("PRACK")).reply[0] == 481

    def test_spaces_in_rack_do_not_matter(self) -> None:
        call = Call.answered_early()
        assert call.on(call.prack(0, rack="  1   1  INVITE ")).reply[0] == 200

    def test_a_second_prack_for_the_same_response_gets_481(self) -> None:
        call = Call.updating()
        assert call.on(call.prack(1, cseq=3)).reply[0] == 481
        assert call.record.updating

    def test_an_offer_in_the_prack_is_refused_and_the_response_stays_unacknowledged(self) -> None:
        call = Call.answered_early()
        assert call.on(call.prack(1, body=sdp.chromium("audio-sendonly"))).reply[0] == 488
        assert call.record.awaiting_prack

    def test_without_lines_to_add_the_call_goes_on_at_once(self) -> None:
        call = Call.answered_early(sdp.chromium(TWO_WAY))
        assert call.on(call.prack(1)).names == ["SendReply", "Unschedule", "ResumeInvite"]

    def test_a_prack_that_never_comes_ends_the_invite_with_504(self) -> None:
        call = Call.answered_early()
        assert call.on(ev.TimerFired(ev.Due.PRACK_TIMEOUT)).names == ["ResumeInvite"]
        actions = call.on(ev.InviteResumed())
        assert actions.reply == (504, "Server Time-out")
        assert actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]
        assert call.record.ended

    def test_the_timer_after_the_prack_does_nothing(self) -> None:
        call = Call.updating()
        assert call.on(ev.TimerFired(ev.Due.PRACK_TIMEOUT)) == []


class TestUpdate:
    """RFC 3311 §5.1: our offer inside the early dialog; we are the callee of that dialog."""

    def test_the_update_belongs_to_the_pages_dialog(self) -> None:
        sent = Call.updating().actions.only(act.SendRequest)
        lines = dict(line.split(": ", 1) for line in sent.headers)
        assert (sent.to, sent.method, sent.report) == (Side.WIC, "UPDATE", True)
        assert lines["From"] == f"<{BOB}>;tag={GATEWAY_TAG}"
        assert lines["To"] == f"<sip:alice@ims.example>;tag={WIC_TAG}"
        assert lines["CSeq"] == "1 UPDATE"
        assert lines["Call-ID"] == "call-1"
        assert lines["Contact"] == f"<{SETTINGS.wic_contact}>"

    def test_it_goes_to_the_pages_contact_over_the_pages_own_connection(self) -> None:
        sent = Call.updating().actions.only(act.SendRequest)
        assert sent.request_uri == "sip:x@page.invalid;transport=ws"
        assert sent.next_hop == "sip:127.0.0.1:40000;transport=ws"

    @pytest.mark.parametrize(
        ("case", "lines", "grouped"),
        [
            pytest.param("audio-sendonly", [("audio", "0"), ("audio", "r0")], True, id="voice, shared"),
            pytest.param(
                "av-sendonly",
                [("audio", "0"), ("video", "1"), ("audio", "r0"), ("video", "r1")],
                False,
                id="video, split",
            ),
        ],
    )
    def test_it_offers_one_added_line_for_each_medium(
        self, case: str, lines: list[tuple[str, str]], grouped: bool
    ) -> None:
        body = Call.updating(sdp.chromium(case)).actions.only(act.SendRequest).body
        offer = sdp_from_text(body)
        assert [(media.kind, media.mid) for media in offer.media] == lines
        half = len(lines) // 2
        assert [media.direction for media in offer.media] == [
            *[Direction.RECVONLY] * half,
            *[Direction.SENDONLY] * half,
        ]
        assert ("a=group:BUNDLE 0 r0" in body) is grouped

    def test_the_version_of_our_description_rises(self) -> None:
        call = Call.answered_early()
        first = call.actions.only(act.SendReply).body
        second = call.on(call.prack(1)).only(act.SendRequest).body
        origins = [line.split() for text in (first, second) for line in text.splitlines() if line[:2] == "o="]
        assert [origin[2] for origin in origins] == ["1", "2"]
        assert origins[0][1] == origins[1][1]


class TestUpdateAnswered:
    """RFC 3311 §5.1, §5.2 and RFC 3261 §14.1: every way the page may answer."""

    def test_a_good_answer_on_a_shared_transport_resumes_the_invite(self) -> None:
        call = Call.updating()
        actions = call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        assert actions.names == ["ResumeInvite"]
        assert actions.only(act.ResumeInvite).transaction == (11, 22)

    def test_a_good_answer_on_split_transports_goes_to_the_relay_first(self) -> None:
        call = Call.updating(sdp.chromium("av-sendonly"))
        actions = call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        accept = actions.only(act.AcceptReverse)
        assert [medium.kind for medium in accept.media] == ["audio", "video"]
        assert all("a=recvonly" in (medium.reverse_answer or "") for medium in accept.media)
        assert call.on(ev.ReverseAccepted()).names == ["ResumeInvite"]

    def test_a_refused_line_is_left_out_and_the_call_goes_on(self) -> None:
        call = Call.updating(sdp.chromium("av-sendonly"))
        body = sdp.page_answer(call.record.update_offer, refuse=("r1",))
        accept = call.on(ev.UpdateAnswered(200, body)).only(act.AcceptReverse)
        assert [medium.kind for medium in accept.media] == ["audio"]
        assert [medium.reverse for medium in call.record.media] == [True, False]

    def test_the_far_end_hears_of_a_refused_line_when_the_call_is_answered(self) -> None:
        call = Call.updating()
        call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer, refuse=("r0",))))
        invite = call.on(ev.InviteResumed()).only(act.ForwardInvite)
        assert "a=sendrecv" in (invite.edits.body or "")
        call.answer()
        told = call.on(call.wic_request("ACK", cseq=1)).all(act.SendRequest)
        assert [(one.to, line.direction) for one in told for line in sdp_from_text(one.body).media] == [
            (Side.IMS, Direction.SENDONLY)
        ]

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param("", id="no description"),
            pytest.param("rubbish", id="no SDP"),
            pytest.param(sdp.core_answer(), id="another number of lines"),
        ],
    )
    def test_a_200_without_a_usable_answer_ends_the_invite_with_488(self, body: str) -> None:
        call = Call.updating()
        assert call.on(ev.UpdateAnswered(200, body)).names == ["ResumeInvite"]
        actions = call.on(ev.InviteResumed())
        assert actions.reply == (488, "Not Acceptable Here")
        assert any(line.startswith("Warning: 399 ") for line in actions.only(act.SendReply).headers)

    @pytest.mark.parametrize(
        ("status", "final"),
        [
            pytest.param(488, 488, id="488"),
            pytest.param(415, 488, id="415"),
            pytest.param(403, 488, id="403 in an early dialog"),
            pytest.param(603, 488, id="603"),
            pytest.param(408, 504, id="408 or never answered"),
            pytest.param(481, 481, id="481"),
            pytest.param(501, 500, id="501"),
        ],
    )
    def test_a_refusal_ends_the_invite_with_a_status_the_caller_understands(
        self, status: int, final: int
    ) -> None:
        call = Call.updating()
        call.on(ev.UpdateAnswered(status))
        actions = call.on(ev.InviteResumed())
        assert actions.reply[0] == final
        assert actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]

    @pytest.mark.parametrize("status", [pytest.param(491, id="491 glare"), pytest.param(500, id="500 busy")])
    def test_glare_and_a_busy_page_are_tried_again_within_two_seconds(self, status: int) -> None:
        call = Call.updating()
        due = call.on(ev.UpdateAnswered(status, jitter=0.999)).only(act.Schedule)
        assert due.due is ev.Due.UPDATE_RETRY
        assert 0 <= due.delay_s <= 2.0
        again = call.on(ev.TimerFired(ev.Due.UPDATE_RETRY)).only(act.SendRequest)
        assert "CSeq: 2 UPDATE" in again.headers
        assert again.body == call.record.update_offer

    @pytest.mark.parametrize(
        ("retry_after_s", "delay_s"),
        [
            pytest.param(3.0, 3.0, id="as the page says"),
            pytest.param(0.0, 0.0, id="at once"),
            pytest.param(600.0, SETTINGS.update_s, id="no longer than an UPDATE may take"),
        ],
    )
    def test_retry_after_is_honoured(self, retry_after_s: float, delay_s: float) -> None:
        call = Call.updating()
        due = call.on(ev.UpdateAnswered(500, retry_after_s=retry_after_s, jitter=0.5)).only(act.Schedule)
        assert due.delay_s == delay_s

    def test_a_page_that_stays_busy_ends_the_call_after_three_attempts(self) -> None:
        call = Call.updating()
        for _ in range(MAX_UPDATE_ATTEMPTS - 1):
            call.on(ev.UpdateAnswered(491))
            call.on(ev.TimerFired(ev.Due.UPDATE_RETRY))
        assert call.on(ev.UpdateAnswered(491)).names == ["ResumeInvite"]
        assert call.on(ev.InviteResumed()).reply == (500, "Session Update Refused")
        again = {2: "twice"}[MAX_UPDATE_ATTEMPTS - 1]
        page = (REPOSITORY / "docs" / "flow.md").read_text(encoding="utf-8")
        assert f"| UPDATE refused with 491 or 500 | asked again, {again}; then 500 |" in page

    def test_an_answer_that_comes_after_the_call_went_on_is_ignored(self) -> None:
        call = Call.forwarded()
        assert call.on(ev.UpdateAnswered(200, "late")) == []
        assert call.on(ev.UpdateAnswered(491)) == []

    def test_a_reverse_accepted_after_the_end_resumes_nothing(self) -> None:
        call = Call.updating(sdp.chromium("av-sendonly"))
        call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        call.on(ev.CancelReceived())
        assert call.on(ev.ReverseAccepted()) == []


class TestForwardedInvite:
    """What the core sees (TS 24.229 §5.2.6.3; TS 23.228 §U.1.1: no media multiplexing inside IMS)."""

    def test_it_follows_the_service_route_and_hides_the_page(self) -> None:
        forward = Call.forwarded().actions.only(act.ForwardInvite)
        edits = forward.edits
        assert edits.request_uri == BOB
        assert edits.next_hop == "sip:orig@scscf.ims.example:6060;lr"
        assert "Route: <sip:orig@scscf.ims.example:6060;lr>" in edits.insert
        assert f"Contact: <sip:{GATEWAY_TAG}@192.0.2.1:5060>;{ICSI_REF};audio" in edits.insert
        assert edits.to_tag == ""  # the tag we wrote for local replies is taken away again
        assert {"Contact", "Route", *FROM_PAGE} <= set(edits.remove)

    def test_it_asserts_the_registered_identity_and_starts_charging(self) -> None:
        insert = Call.forwarded().actions.only(act.ForwardInvite).edits.insert
        assert 'P-Asserted-Identity: "Alice" <sip:alice@ims.example>' in insert
        assert any(line.startswith("P-Charging-Vector: icid-value=") for line in insert)

    @pytest.mark.conformance("S-05", "S-06")
    def test_it_asks_for_multimedia_telephony(self) -> None:
        insert = Call.forwarded().actions.only(act.ForwardInvite).edits.insert
        assert "P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel" in insert
        assert f"Accept-Contact: *;{ICSI_REF}" in insert
        assert not any(line.startswith("P-Asserted-Service") for line in insert)

    @pytest.mark.conformance("S-06")
    def test_an_accept_contact_of_the_pages_own_stays_the_only_one(self) -> None:
        headers = {**FULL_SUPPORT, "Accept-Contact": [f"*;require;{ICSI_REF}"]}
        call = Call.forwarded(headers=headers)
        insert = call.actions.only(act.ForwardInvite).edits.insert
        assert not any(line.startswith("Accept-Contact") for line in insert)

    @pytest.mark.conformance("S-04")
    def test_parameters_of_the_network_leave_its_from(self) -> None:
        headers = {
            **FULL_SUPPORT,
            "From": [f'"A;cpc=x" <{ALICE};cpc=payphone>;tag=page;verstat=TN-Validation-Passed'],
        }
        edits = Call.forwarded(headers=headers).actions.only(act.ForwardInvite).edits
        assert edits.from_value == f'"A;cpc=x" <{ALICE}>;tag=page'

    @pytest.mark.conformance("R-03", "R-12")
    def test_of_its_credentials_a_clean_digest_passes_and_a_token_does_not(self) -> None:
        digest = 'Digest username="a", integrity-protected="auth-done", response="0a"'
        headers = {**FULL_SUPPORT, "Proxy-Authorization": [digest], "Authorization": ["Bearer abc"]}
        edits = Call.forwarded(headers=headers).actions.only(act.ForwardInvite).edits
        assert 'Proxy-Authorization: Digest username="a", response="0a"' in edits.insert
        assert not any("abc" in line for line in edits.insert)

    @pytest.mark.conformance("S-03", "R-14")
    def test_nobody_calls_as_somebody_else(self) -> None:
        request = invite()
        request.from_uri = "sip:president@ims.example"
        with pytest.raises(SipReject) as caught:
            Call(request)
        assert caught.value.status == 403

    @pytest.mark.parametrize(
        ("case", "kinds"),
        [
            pytest.param("audio-sendonly", ["audio"], id="voice"),
            pytest.param("av-sendonly", ["audio", "video"], id="video"),
        ],
    )
    def test_it_offers_one_two_way_line_for_each_kind(self, case: str, kinds: list[str]) -> None:
        body = Call.forwarded(sdp.chromium(case)).actions.only(act.ForwardInvite).edits.body
        assert body is not None
        offer = sdp_from_text(body)
        assert [media.kind for media in offer.media] == kinds
        assert all(media.direction is Direction.SENDRECV for media in offer.media)
        assert not any(word in body for word in ("BUNDLE", "ice-", "fingerprint", "SAVP"))

    def test_it_carries_the_cores_timeouts(self) -> None:
        forward = Call.forwarded().actions.only(act.ForwardInvite)
        assert (forward.response_timeout_s, forward.answer_timeout_s) == (
            SETTINGS.ims_response_s,
            SETTINGS.ims_answer_s,
        )

    def test_descriptions_that_are_no_longer_needed_are_dropped_from_the_record(self) -> None:
        record = Call.forwarded().record
        assert (record.ims_offer, record.update_offer) == ("", "")
        assert record.forwarded

    def test_without_service_route_it_goes_to_the_default_hop(self) -> None:
        call = Call.updating()
        call.record.service_route = []
        call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        edits = call.on(ev.InviteResumed()).only(act.ForwardInvite).edits
        assert edits.next_hop is None
        assert not any(line.startswith("Route:") for line in edits.insert)

    def test_it_is_never_sent_twice(self) -> None:
        call = Call.forwarded()
        with pytest.raises(LocalProtocolError):
            call.on(ev.InviteResumed())


class TestPagesWithoutReliableResponses:
    """RFC 3261 §13.2.1: without 100rel the answer is repeated in the 2xx."""

    def test_the_183_is_not_reliable_and_the_invite_goes_on_at_once(self) -> None:
        call = Call.answered_early(sdp.chromium(TWO_WAY), NO_100REL)
        assert call.actions.names == ["SendReply", "ForwardInvite"]
        sent = call.actions.only(act.SendReply)
        assert not any(line.startswith(("Require", "RSeq")) for line in sent.headers)

    def test_the_2xx_repeats_the_same_answer(self) -> None:
        call = Call.answered_early(sdp.chromium(TWO_WAY), NO_100REL)
        early = call.actions.only(act.SendReply).body
        assert call.answer().only(act.ForwardReply).edits.body == early


class TestRelayTrouble:
    """No media, no call: 503 while the set-up is still ours."""

    ERROR = MediaUnavailable("relay 192.0.2.9:2223 does not answer")

    def test_a_failed_reservation_is_answered_in_the_invite_itself(self) -> None:
        call = Call.offered()
        actions = call.on(ev.MediaFailed(self.ERROR))
        assert actions.reply == (503, "Media Relay Unavailable")
        assert actions.names == ["SendReply", "ForgetCall"]  # nothing was reserved, nothing is released
        assert call.record.ended

    def test_a_failure_with_the_reverse_lines_ends_the_suspended_invite(self) -> None:
        call = Call.updating(sdp.chromium("av-sendonly"))
        call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        assert call.on(ev.MediaFailed(self.ERROR)).names == ["ResumeInvite"]
        actions = call.on(ev.InviteResumed())
        assert actions.reply[0] == 503
        assert actions.only(act.ReleaseMedia).kinds == ("audio", "video")


class TestGuard:
    """Our last line: tm is about to give the suspended INVITE up."""

    @pytest.mark.parametrize("stage", ["answered_early", "updating"])
    def test_a_stuck_set_up_gets_504_and_gives_everything_back(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        actions = call.on(ev.InviteGuardExpired())
        assert actions.reply[0] == 504
        assert actions.names == ["SendReply", "ReleaseMedia", "ForgetCall"]

    def test_it_means_nothing_once_the_invite_went_on(self) -> None:
        call = Call.forwarded()
        assert call.on(ev.InviteGuardExpired()) == []
        assert call.record.ims_offer_answer is OfferAnswer.OFFER_SENT
