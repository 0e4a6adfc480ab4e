"""Offers of the core in a running session: answered here where the page has nothing to do, else asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.record import Offerer
from kemi.core.call.renegotiation.own_offer import MAX_ATTEMPTS
from kemi.core.call.states import Dialog
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from kemi.core.registration import Flow
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Actions, Call

HOLD = sdp.core_answer().replace("a=sendrecv", "a=sendonly")
MOVED = sdp.core_answer(port=41000)
WITH_VIDEO = sdp.core_answer("audio", "video", port=41000)
MISSING = "a=curr:qos local none\r\na=des:qos mandatory local sendrecv\r\n"
THERE = MISSING.replace("none", "sendrecv")
LESS_VIDEO = WITH_VIDEO.replace("a=rtpmap:96", "b=AS:128\r\na=rtpmap:96")


def relay_knows(call: Call, asked: Actions, port: int = 30000) -> Actions:
    """The relay takes the core's offer."""
    action = asked.only(act.ReofferFromIms)
    answers = {medium.kind: sdp.relay_offer(medium.kind, port) for medium in action.media}
    return call.on(ev.ImsReoffered(answers, action.bearer))


def page_answers(call: Call, asked: Actions, cseq: int, *, refuse: tuple[str, ...] = ()) -> Actions:
    """The page takes what it was offered."""
    body = asked.only(act.ForwardRequest).edits.body
    assert body
    return call.on(
        with_body(call.wic_reply(200, method="INVITE", cseq=cseq), sdp.page_answer(body, refuse=refuse))
    )


def with_body(event: ev.WicReply, body: str) -> ev.WicReply:
    event.reply.body, event.reply.content_type = body, "application/sdp"
    return event


def cseq_of(asked: Actions) -> int:
    cseq = asked.only(act.ForwardRequest).edits.cseq
    assert cseq
    return cseq


class TestPreconditions:
    """RFC 3312: of a session that runs, no change waits for resources."""

    REQUIRED = MappingProxyType({"Require": ["precondition"]})

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_a_change_that_has_to_wait_is_refused(self, method: str) -> None:
        call = Call.confirmed()
        before = call.record.media
        refused = call.on(call.ims_request(method, body=HOLD + MISSING, headers=self.REQUIRED))
        assert (refused.names, refused.reply) == (["SendReply"], (420, "Bad Extension"))
        assert "Unsupported: precondition" in refused.only(act.SendReply).headers
        assert (call.record.media, call.record.exchange) == (before, None)

    @pytest.mark.parametrize(
        ("lines", "headers"),
        [
            pytest.param(THERE, REQUIRED, id="nothing is missing"),
            pytest.param(MISSING, {}, id="not required"),
            pytest.param("", REQUIRED, id="none in the description"),
        ],
    )
    def test_any_other_is_not(self, lines: str, headers: Mapping[str, list[str]]) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request("INVITE", body=MOVED + lines, headers=headers))
        assert asked.names == ["ReofferFromIms"]


class TestAnsweredHere:
    @pytest.mark.parametrize(("method", "body"), [("UPDATE", ""), ("UPDATE", MOVED), ("INVITE", MOVED)])
    def test_a_target_that_moves_is_followed(self, method: str, body: str) -> None:
        """RFC 3261 §12.2.2: whoever stands at the far end now hears of the goodbye."""
        call = Call.confirmed()
        asked = call.on(call.ims_request(method, body=body, contact="<sip:bob@203.0.113.9:5070>"))
        if body:
            relay_knows(call, asked)
        bye = call.on(call.wic_request("BYE")).only(act.ForwardRequest)
        assert bye.edits.request_uri == "sip:bob@203.0.113.9:5070"

    def test_the_page_never_hears_of_another_address(self) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request("INVITE", body=MOVED))
        assert asked.names == ["ReofferFromIms"]
        change = asked.only(act.ReofferFromIms).media[0]
        assert "m=audio 41000 " in change.ims_line
        assert (change.wic_to_ims, change.ims_to_wic) == (True, True)
        answered = relay_knows(call, asked)
        reply = answered.only(act.SendReply)
        assert (reply.status, answered.names) == (200, ["SendReply"])
        assert "m=audio 30000 " in reply.body
        assert call.record.exchange is None
        assert call.record.medium("audio").ims_answer == change.ims_line  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("answer", "lines"),
        [
            (sdp.core_answer("audio", "video", refuse=("video",)), [("audio", False, "sendrecv"), ("video", True, "")]),
            (HOLD.replace("sendonly", "recvonly"), [("audio", False, "sendonly")]),
        ],
        ids=["video refused", "listens only"],
    )  # fmt: skip
    def test_a_refresh_of_what_was_taken_in_part_gets_an_answer_to_it(
        self, answer: str, lines: list[tuple[str, bool, str]]
    ) -> None:
        """RFC 3264 §6: our offer of then would not be one."""
        call = Call.forwarded(sdp.chromium("av-sendonly") if len(lines) > 1 else None)
        call.answer("core1", answer)
        if call.record.update_offer:  # the page is told that there is no video
            call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer)))
        call.on(call.wic_request("ACK", cseq=1))
        asked = call.on(call.ims_request("INVITE", body=answer))
        told = sdp_from_text(relay_knows(call, asked).only(act.SendReply).body).media
        said = [(line.kind, line.rejected, "" if line.rejected else line.direction.value) for line in told]
        assert said == lines
        assert all(line.connection for line in told)  # RFC 8866 §5.7: also of one that is not used

    def test_the_version_rises_and_the_id_stays(self) -> None:
        call = Call.confirmed()
        before = sdp_from_text(call.record.ims_description).session.values("o")[0].split()
        relay_knows(call, call.on(call.ims_request("INVITE", body=MOVED)))
        after = sdp_from_text(call.record.ims_description).session.values("o")[0].split()
        assert (after[1], int(after[2])) == (before[1], int(before[2]) + 1)

    def test_a_relay_that_fails_leaves_the_session_as_it_was(self) -> None:
        call = Call.confirmed()
        told = call.record.ims_description
        asked = call.on(call.ims_request("INVITE", body=MOVED))
        failed = call.on(ev.MediaFailed(MediaUnavailable("no"), None, asked.only(act.ReofferFromIms).bearer))
        assert failed.reply[0] == 503
        assert (call.record.exchange, call.record.ims_description) == (None, told)
        assert "40000" in call.record.medium("audio").ims_answer  # type: ignore[union-attr]
        assert "m=audio 40000 " in failed.only(act.RenewMedia).media[0].ims_line


class TestAskedOfThePage:
    def test_a_hold_stops_the_pages_line_and_leaves_the_other(self) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request("INVITE", body=HOLD))
        forward = asked.only(act.ForwardRequest)
        assert (forward.to, forward.change) == (Side.WIC, True)
        offer = sdp_from_text(forward.edits.body or "")
        assert [line.direction for line in offer.media] == ["inactive", "sendonly"]
        told = page_answers(call, asked, cseq_of(asked))
        change = told.only(act.ReofferFromIms).media[0]
        assert (change.wic_to_ims, change.ims_to_wic) == (False, True)
        back = relay_knows(call, told).only(act.ForwardReply)
        assert "a=recvonly" in (back.edits.body or "")
        assert call.record.exchange is None

    def test_the_page_is_not_offered_reliable_provisional_responses(self) -> None:
        """The core's PRACK would find nothing to acknowledge (RFC 3262 §3)."""
        call = Call.confirmed()
        fields = {"Supported": ["100rel, made-up"], "Require": ["100rel"]}
        edits = call.on(call.ims_request("INVITE", body=HOLD, headers=fields)).only(act.ForwardRequest).edits
        assert {"Supported", "Require"} <= set(edits.remove)
        shown = [line for line in edits.insert if line.startswith(("Supported:", "Require:"))]
        assert shown == ["Supported: made-up"]

    def test_the_ack_goes_to_the_page_with_the_number_of_its_invite(self) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request("INVITE", cseq=7, body=HOLD))
        relay_knows(call, page_answers(call, asked, cseq_of(asked)))
        ack = call.on(call.ims_request("ACK", cseq=7)).only(act.ForwardRequest)
        assert ack.edits.cseq == cseq_of(asked)
        assert not call.record.outstanding

    def test_an_ack_that_the_next_invite_has_overtaken_goes_there_too(self) -> None:
        call = Call.confirmed()
        first = call.on(call.ims_request("INVITE", cseq=7, body=HOLD))
        relay_knows(call, page_answers(call, first, cseq_of(first)))
        second = call.on(call.ims_request("INVITE", cseq=8, body=sdp.core_answer()))
        for cseq, asked in ((7, first), (8, second), (8, second)):
            ack = call.on(call.ims_request("ACK", cseq=cseq)).only(act.ForwardRequest)
            assert ack.edits.cseq == cseq_of(asked)
        assert call.on(call.ims_request("ACK", cseq=6)) == []
        assert not call.record.outstanding

    @pytest.mark.parametrize("status", [488, 491, 603])
    def test_a_refusal_is_passed_on_and_changes_nothing(self, status: int) -> None:
        call = Call.confirmed()
        told = call.record.wic_description
        asked = call.on(call.ims_request("INVITE", body=HOLD))
        refused = call.on(call.wic_reply(status, method="INVITE", cseq=cseq_of(asked)))
        assert refused.names == ["ForwardReply"]
        assert (call.record.exchange, call.record.wic_description) == (None, told)
        assert call.record.medium("audio").ims_direction == "sendrecv"  # type: ignore[union-attr]

    def test_less_video_is_told_once(self) -> None:
        """TS 26.114 §6.2.7: the page sends no more than the far end takes; where that is, it need not know."""
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        asked = call.on(call.ims_request("INVITE", cseq=7, body=LESS_VIDEO))
        offer = sdp_from_text(asked.only(act.ForwardRequest).edits.body or "")
        assert [line.bandwidth for line in offer.media] == [{}, {"AS": 128}]
        relay_knows(call, page_answers(call, asked, cseq_of(asked)))
        moved = LESS_VIDEO.replace("m=video 41002", "m=video 42002")
        asked = call.on(call.ims_request("INVITE", cseq=8, body=moved))
        assert asked.names == ["ReofferFromIms"]

    def test_what_the_page_does_already_is_not_asked_of_it(self) -> None:
        """Its line has one format: that the far end has another level of it changes nothing."""
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        other = WITH_VIDEO.replace("VP8/90000", "VP8/90000\r\na=fmtp:96 max-fr=15")
        answered = relay_knows(call, call.on(call.ims_request("INVITE", body=other)))
        assert answered.names == ["SendReply"]
        assert call.record.exchange is None

    def test_video_is_reserved_first_and_stands_in_new_lines(self) -> None:
        call = Call.confirmed()
        reserve = call.on(call.ims_request("INVITE", body=WITH_VIDEO)).only(act.ReserveIncoming)
        assert list(reserve.media) == ["video"]
        offers = {"video": sdp.relay_answer("video", 30300)}
        asked = call.on(ev.IncomingReserved(offers, reserve.edits, reserve.bearer))
        offer = sdp_from_text(asked.only(act.ForwardRequest).edits.body or "")
        assert [line.kind for line in offer.media] == ["audio", "audio", "video", "video"]
        assert [line.direction for line in offer.media][2:] == ["recvonly", "sendonly"]
        assert offer.bundle_groups[-1] == tuple(line.mid for line in offer.media[2:])
        connect = page_answers(call, asked, cseq_of(asked)).only(act.ConnectIncoming)
        told = call.on(
            ev.IncomingConnected({"video": sdp.relay_offer("video", 30400)}, connect.reply, connect.bearer)
        )
        body = relay_knows(call, told).only(act.ForwardReply).edits.body or ""
        assert [line.port for line in sdp_from_text(body).media] == [30000, 30400]

    def test_video_that_gives_way_to_other_video_takes_two_offers(self) -> None:
        """In one it would be off: the relay has one call for video."""
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        stopped = sdp.core_answer("audio", "video", port=41000, refuse=("video",))
        refused = call.on(
            call.ims_request("INVITE", body=stopped + WITH_VIDEO[WITH_VIDEO.index("m=video") :])
        )
        assert refused.only(act.SendReply).status == 488
        assert "another one begins" in "".join(refused.only(act.SendReply).headers)
        assert [medium.active for medium in call.record.media] == [True, True]

    def test_refused_video_gives_its_ports_back(self) -> None:
        call = Call.confirmed()
        reserve = call.on(call.ims_request("INVITE", body=WITH_VIDEO)).only(act.ReserveIncoming)
        offers = {"video": sdp.relay_answer("video", 30300)}
        asked = call.on(ev.IncomingReserved(offers, reserve.edits, reserve.bearer))
        refused = call.on(call.wic_reply(488, method="INVITE", cseq=cseq_of(asked)))
        assert refused.names == ["ForwardReply", "ReleaseMedia"]
        assert refused.only(act.ReleaseMedia).kinds == ("video",)

    def test_ports_that_come_after_the_end_are_given_back_and_the_page_is_not_asked(self) -> None:
        call = Call.confirmed()
        reserve = call.on(call.ims_request("INVITE", body=WITH_VIDEO)).only(act.ReserveIncoming)
        call.on(call.wic_request("BYE"))
        offers = {"video": sdp.relay_answer("video", 30300)}
        late = call.on(ev.IncomingReserved(offers, reserve.edits, reserve.bearer, call.record.node))
        assert late.names == ["ReleaseMedia", "SendReply"]
        assert (late.only(act.ReleaseMedia).kinds, late.reply[0]) == (("video",), 487)

    def test_a_page_that_never_answers_leaves_nothing_open(self) -> None:
        call = Call.confirmed()
        call.on(call.ims_request("INVITE", body=HOLD))
        call.on(ev.ChangeFailed(Side.WIC, "INVITE"))
        assert call.record.exchange is None


class TestToldAfterwards:
    """A page that takes no UPDATE is told by a re-INVITE of ours."""

    def held(self) -> tuple[Call, Actions]:
        call = Call.confirmed()
        call.record.wic_takes_update = False
        return call, relay_knows(call, call.on(call.ims_request("UPDATE", body=HOLD)))

    def test_the_core_is_answered_and_the_page_invited(self) -> None:
        call, actions = self.held()
        assert actions.names == ["SendReply", "SendRequest"]
        invite = actions.only(act.SendRequest)
        assert (invite.to, invite.method, invite.report) == (Side.WIC, "INVITE", True)
        assert call.record.exchange is not None
        assert call.record.exchange.offerer is Offerer.GATEWAY_TO_WIC

    def test_the_pages_answer_gates_the_relay(self) -> None:
        call, actions = self.held()
        answer = sdp.page_answer(actions.only(act.SendRequest).body)
        reply = with_body(call.wic_reply(200, method="INVITE", cseq=2), answer).reply
        taken = call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", 2, 200, reply))
        gate = taken.only(act.GateMedia).media[0]
        assert (gate.wic_to_ims, gate.ims_to_wic) == (False, True)
        assert call.record.exchange is None

    def test_after_glare_it_is_tried_again(self) -> None:
        call, _ = self.held()
        again = call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", 2, 491, jitter=0.5))
        due = again.only(act.Schedule)
        assert (due.due, due.delay_s) == (ev.Due.TELL_PAGE, 1.0)
        assert call.on(ev.TimerFired(due.due)).only(act.SendRequest).method == "INVITE"

    def test_a_page_that_is_away_is_told_when_it_is_back(self) -> None:
        call, _ = self.held()
        # Its connection is gone: the executor says so in the place of an answer.
        gone = call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", 2, 408))
        assert gone.only(act.Schedule).due is ev.Due.TELL_PAGE
        for _ in range(2 * MAX_ATTEMPTS):  # to look for it is no attempt
            looked = call.on(ev.TimerFired(ev.Due.TELL_PAGE, flow_alive=False))
            assert looked.names == ["Schedule"]
        back = Flow("8", "n0nce", "198.51.100.9", "127.0.0.1:40001")
        told = call.on(ev.TimerFired(ev.Due.TELL_PAGE, successor=back)).only(act.SendRequest)
        assert told.method == "INVITE"
        assert call.record.connection_id == "8"

    def test_a_page_that_never_answers_is_left_alone_some_time(self) -> None:
        call, actions = self.held()
        for attempt in range(MAX_ATTEMPTS):
            assert actions.only(act.SendRequest).method == "INVITE"
            later = call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", 2 + attempt, 408))
            if later.names == []:
                break
            actions = call.on(ev.TimerFired(ev.Due.TELL_PAGE))
        assert later.names == []
        assert call.record.dialog is Dialog.CONFIRMED

    def test_a_refusal_is_left_at_that(self) -> None:
        call, _ = self.held()
        assert call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", 2, 488)).names == []
        assert call.on(call.ims_request("INFO", cseq=9)).names == ["ForwardRequest"]

    def test_a_page_that_knows_no_such_call_ends_it(self) -> None:
        call, _ = self.held()
        ended = call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", 2, 481))
        assert ended.only(act.SendRequest).method == "BYE"
        assert call.record.ended


class TestLateOffer:
    def test_the_relays_whole_offer_and_the_answer_in_the_ack(self) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
        renewed = {"audio": ev.Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"))}
        offered = call.on(ev.MediaRenewed(renewed, asked.bearer))
        assert "opus" in offered.only(act.SendReply).body
        answered = call.on(call.ims_request("ACK", cseq=5, body=HOLD))
        change = answered.only(act.RenewMedia)
        assert (change.media[0].wic_to_ims, change.media[0].ims_to_wic) == (False, True)
        told = call.on(ev.MediaRenewed(renewed, change.bearer))
        assert told.only(act.SendRequest).method == "UPDATE"  # the page hears of the hold

    def test_another_video_codec_in_the_ack_is_told_the_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody transcodes video: the page would go on in the one that the far end has left."""
        both = ("96 102", "a=rtpmap:96 VP8/90000", "a=rtpmap:102 H264/90000")
        for codecs in (sdp.WEB_CODECS, sdp.CORE_CODECS):
            monkeypatch.setitem(codecs, "video", both)
        call = Call.forwarded(sdp.chromium("av-sendrecv"))
        call.answer(body=sdp.core_answer("audio", "video"))
        call.on(call.wic_request("ACK", cseq=1))
        told = call.record.exchange
        if told is not None:  # that it is VP8
            call.on(ev.UpdateAnswered(200, sdp.page_answer(told.wic_description)))
        assert call.record.media[1].codec == "vp8"
        asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
        renewed = {
            kind: ev.Renewed(sdp.relay_offer(kind), sdp.relay_answer(kind)) for kind in ("audio", "video")
        }
        call.on(ev.MediaRenewed(renewed, asked.bearer))
        answer = sdp.core_answer("audio", "video").replace("RTP/AVPF 96", "RTP/AVPF 102")
        answer = answer.replace("a=rtpmap:96 VP8", "a=rtpmap:102 H264")
        change = call.on(call.ims_request("ACK", cseq=5, body=answer)).only(act.RenewMedia)
        sent = call.on(ev.MediaRenewed(renewed, change.bearer)).only(act.SendRequest)
        assert (call.record.media[1].codec, sent.to, "VP8" in sent.body) == ("h264", Side.WIC, False)

    def test_less_video_in_the_ack_is_told_the_page(self) -> None:
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
        renewed = {
            kind: ev.Renewed(sdp.relay_offer(kind), sdp.relay_answer(kind)) for kind in ("audio", "video")
        }
        call.on(ev.MediaRenewed(renewed, asked.bearer))
        change = call.on(call.ims_request("ACK", cseq=5, body=LESS_VIDEO)).only(act.RenewMedia)
        sent = call.on(ev.MediaRenewed(renewed, change.bearer)).only(act.SendRequest)
        assert (sent.to, "b=AS:128" in sent.body) == (Side.WIC, True)

    @pytest.mark.parametrize("body", ["", "v=0\r\n"])
    def test_a_bad_answer_leaves_the_session_as_it_was(self, body: str) -> None:
        call = Call.confirmed()
        told = call.record.ims_description
        asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
        renewed = {"audio": ev.Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"))}
        call.on(ev.MediaRenewed(renewed, asked.bearer))
        call.on(call.ims_request("ACK", cseq=5, body=body))
        assert (call.record.exchange, call.record.ims_description) == (None, told)

    def test_an_ack_that_never_comes(self) -> None:
        call = Call.confirmed()
        asked = call.on(call.ims_request("INVITE", cseq=5)).only(act.RenewMedia)
        renewed = {"audio": ev.Renewed(sdp.relay_offer("audio"), sdp.relay_answer("audio"))}
        due = call.on(ev.MediaRenewed(renewed, asked.bearer)).only(act.Schedule)
        call.on(ev.TimerFired(due.due))
        assert call.record.exchange is None


class TestOneAtATime:
    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_the_cores_own_offer_is_open(self, method: str) -> None:
        call = Call.confirmed()
        call.on(call.ims_request("INVITE", body=HOLD))
        refused = call.on(call.ims_request(method, cseq=2, body=MOVED)).only(act.SendReply)
        assert refused.status == 500
        assert refused.headers[0].startswith("Retry-After: ")

    def test_ours_is_open(self) -> None:
        call, _ = TestToldAfterwards().held()
        assert call.on(call.ims_request("INVITE", cseq=2, body=MOVED)).reply[0] == 491

    def test_before_the_answer_there_is_no_second_invite(self) -> None:
        call = Call.ringing()
        assert call.on(call.ims_request("INVITE", body=MOVED)).reply[0] == 491
