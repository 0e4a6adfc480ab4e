"""Which fork is heard, what is acknowledged for the page, what the gates do (RFC 3262 §4, RFC 5009 §8, RFC 6228)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.forks import MOST_FORKS
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import NO_100REL, SETTINGS, Call

SETTINGS_CLOSED = replace(SETTINGS, early_media_by_default=False)
OTHER = sdp.core_answer(port=42000)


def plain() -> Call:
    """A page without 100rel calls; its INVITE is with the core."""
    call = Call.offered(sdp.chromium("audio-sendrecv"), NO_100REL)
    call.reserved()
    return call


def progress(call: Call, tag: str, body: str = "", early_media: str = "", status: int = 183) -> list[str]:
    """A fork tells of its progress, the relay takes what it describes; the names of all actions."""
    event = call.ims_reply(status, tag, body=body, early_media=early_media)
    names = call.on(event).names
    if call.actions.all(act.ConnectMedia):
        names += call.on(ev.MediaConnected(event.reply)).names
    return names


class TestAcknowledgedForThePage:
    """100rel of the core where the page has none."""

    def test_the_first_and_the_next_in_order(self) -> None:
        call = plain()
        for rseq, cseq in ((500, 2), (501, 3)):
            call.on(call.ims_reply(180, rseq=rseq))
            prack = call.actions.only(act.SendRequest)
            assert (prack.to, prack.method) == (Side.IMS, "PRACK")
            assert {f"RAck: {rseq} 1 INVITE", f"CSeq: {cseq} PRACK"} <= set(prack.headers)
            edits = call.actions.only(act.ForwardReply).edits
            assert {"Require", "RSeq"} <= set(edits.remove)
            assert not any(line.startswith(("Require", "RSeq")) for line in edits.insert)

    @pytest.mark.parametrize("rseq", [pytest.param(500, id="again"), pytest.param(502, id="a gap")])
    def test_others_are_dropped(self, rseq: int) -> None:
        call = plain()
        call.on(call.ims_reply(180, rseq=500))
        assert call.on(call.ims_reply(180, rseq=rseq)).names == ["DropReply"]

    def test_forks_count_for_themselves(self) -> None:
        call = plain()
        for tag, rseq in (("core1", 7), ("core2", 900), ("core1", 8)):
            assert call.on(call.ims_reply(180, tag, rseq=rseq)).only(act.SendRequest).method == "PRACK"

    def test_a_page_acknowledges_one_that_has_given_up_meanwhile(self) -> None:
        call = Call.forwarded()
        call.on(call.ims_reply(180, rseq=500))
        rseq = next(iter(call.record.reliable))
        call.on(call.ims_reply(199))
        assert call.on(call.prack(int(rseq), cseq=3)).reply == (200, "OK")

    def test_the_pages_numbers_are_put_behind_ours(self) -> None:
        call = plain()
        call.on(call.ims_reply(180, rseq=500))
        assert call.on(call.wic_request("INFO", cseq=2)).only(act.ForwardRequest).edits.cseq == 3


class TestWhoIsHeard:
    """The newest that may be heard."""

    def test_the_newest_description(self) -> None:
        call = Call.forwarded()
        assert progress(call, "core1", sdp.core_answer()) == ["ConnectMedia", "ForwardReply"]
        assert progress(call, "core2", OTHER) == ["ConnectMedia", "ForwardReply"]
        assert progress(call, "core1", status=180) == ["ForwardReply"]

    def test_the_answer_of_a_fork_that_was_not_heard_last_brings_it_back(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer())
        progress(call, "core2", OTHER)
        connect = call.on(call.ims_reply(200, "core1")).only(act.ConnectMedia)
        assert connect.media[0].ims_answer is not None
        assert "m=audio 40000" in connect.media[0].ims_answer
        assert all(leg.answer == "" for leg in call.record.legs.values())

    def test_a_fork_that_gives_up_leaves_it_to_the_one_before(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer())
        progress(call, "core2", OTHER)
        assert progress(call, "core2", status=199) == ["ConnectMedia", "DropReply"]
        assert list(call.record.legs) == ["core1"]

    def test_when_none_is_left_nothing_passes_until_somebody_answers(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer())
        assert progress(call, "core1", status=199) == ["GateMedia", "DropReply"]
        event = call.ims_reply(200, "core2", body=OTHER)
        assert call.on(event).names == ["GateMedia", "ConnectMedia"]
        (gate,) = call.actions.only(act.GateMedia).media
        assert (gate.wic_to_ims, gate.ims_to_wic) == (True, True)

    def test_an_authorized_one_before_a_newer_one_that_is_not(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer(), "sendrecv")
        assert progress(call, "core2", OTHER, "inactive") == ["ForwardReply"]
        assert progress(call, "core2", early_media="sendonly", status=180) == [
            "GateMedia",
            "ConnectMedia",
            "ForwardReply",
        ]


MOVED = sdp.core_answer(port=43000)


def offers_anew(call: Call, tag: str, body: str = MOVED, early_media: str = "") -> list[str]:
    """A fork offers by UPDATE, the relay does what it is told; the names of all actions."""
    headers = {"P-Early-Media": [early_media]} if early_media else {}
    names = call.on(call.ims_request("UPDATE", body=body, tag=tag, headers=headers)).names
    for asked in call.actions.all(act.ReofferFromIms):
        offers = {
            one.kind: sdp.relay_offer(one.kind, 30000 + 2 * (one.kind == "video")) for one in asked.media
        }
        names += call.on(ev.ImsReoffered(offers, asked.bearer)).names
    return names


def two_forks() -> Call:
    """Two forks have described themselves; the second is heard."""
    call = Call.forwarded()
    progress(call, "core1", sdp.core_answer())
    progress(call, "core2", OTHER)
    return call


def audio_port(call: Call) -> str:
    """The far end's port that the relay is told."""
    line = call.actions.only(act.ConnectMedia).media[0].ims_answer
    assert line
    return line.partition("m=audio ")[2].partition(" ")[0]


class TestForksThatOfferAnew:
    """UPDATE with an offer, before anybody has answered the call (RFC 3311 §5.1)."""

    def test_one_that_is_not_heard_gets_its_answer_and_takes_no_media_away(self) -> None:
        call = two_forks()
        assert offers_anew(call, "core1") == ["SendReply"]
        reply = call.actions.only(act.SendReply)
        offered = call.record.ims_description
        ports = [text.partition("m=audio ")[2].split()[0] for text in (reply.body, offered)]
        assert (reply.status, ports[0]) == (200, ports[1])
        assert "m=audio 42000 " in call.record.media[0].ims_answer
        assert progress(call, "core2", OTHER) == ["ForwardReply"]

    @pytest.mark.parametrize("body", ["", sdp.core_answer()])
    def test_what_it_said_last_counts_when_it_answers_the_call(self, body: str) -> None:
        call = two_forks()
        offers_anew(call, "core1")
        call.on(call.ims_reply(200, "core1", body=body))
        assert audio_port(call) == "43000"

    def test_the_other_one_answers_what_our_invite_offered(self) -> None:
        """Whatever codecs the fork that was heard has left."""
        call = two_forks()
        only_pcmu = MOVED.replace(
            "m=audio 43000 RTP/AVP 8\r\na=rtpmap:8 PCMA", "m=audio 43000 RTP/AVP 0\r\na=rtpmap:0 PCMU"
        )
        assert only_pcmu != MOVED
        assert offers_anew(call, "core2", only_pcmu)[-1] == "SendReply"
        assert call.actions.only(act.SendReply).status == 200
        call.on(call.ims_reply(200, "core1"))
        assert audio_port(call) == "40000"

    def test_one_that_is_heard_is_heard_as_it_said_last(self) -> None:
        call = two_forks()
        assert offers_anew(call, "core2") == ["ReofferFromIms", "SendReply"]
        assert progress(call, "core2", OTHER) == ["ForwardReply"]  # the answer it gave first, once more
        progress(call, "core1", sdp.core_answer(port=40002))
        gone = call.ims_reply(199, "core1")
        call.on(gone)
        assert audio_port(call) == "43000"
        call.on(ev.MediaConnected(gone.reply))
        assert call.on(call.ims_reply(200, "core2", body=OTHER)).names == ["ForwardReply"]

    @pytest.mark.parametrize("status", [183, 200])
    def test_another_that_is_heard_while_the_relay_is_at_it_keeps_the_media(self, status: int) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer())
        asked = call.on(call.ims_request("UPDATE", body=MOVED)).only(act.ReofferFromIms)
        other = call.ims_reply(status, "core2", body=OTHER)
        call.on(other)
        call.on(ev.MediaConnected(other.reply))
        call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio", 30000)}, asked.bearer))
        assert call.actions.reply[0] == 500
        (change,) = call.actions.only(act.ReofferFromIms).media
        assert "m=audio 42000 " in change.ims_line
        assert (call.record.exchange, "m=audio 42000 " in call.record.media[0].ims_answer) == (None, True)

    def test_one_that_is_to_be_heard_from_now_on(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer(), "sendrecv")
        progress(call, "core2", OTHER, "inactive")
        assert offers_anew(call, "core2", early_media="sendrecv") == ["SendReply", "ConnectMedia"]
        assert audio_port(call) == "43000"

    def test_one_that_is_heard_may_close_its_gate_with_its_offer(self) -> None:
        call = two_forks()
        names = offers_anew(call, "core2", early_media="inactive")
        assert names == ["GateMedia", "ReofferFromIms", "SendReply"]

    def test_one_that_is_heard_opens_no_gate_by_it(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer(), "inactive")
        call.on(call.ims_request("UPDATE", body=MOVED))
        (change,) = call.actions.only(act.ReofferFromIms).media
        assert (change.wic_to_ims, change.ims_to_wic) == (False, False)

    def test_a_line_that_it_adds_is_refused_and_costs_nobody_its_answer(self) -> None:
        call = two_forks()
        assert offers_anew(call, "core1", sdp.core_answer("audio", "video", port=43000)) == ["SendReply"]
        call.on(call.ims_reply(200, "core1"))
        assert audio_port(call) == "43000"
        assert "m=video 0 " in call.record.ims_description

    def test_one_that_has_not_answered_our_offer_is_to_wait(self) -> None:
        call = two_forks()
        progress(call, "core3", status=180)
        offers_anew(call, "core3")
        assert call.actions.reply == (491, "Request Pending")

    @pytest.mark.parametrize(
        ("body", "status"),
        [("no description", 400), (MOVED.replace("m=audio 43000", "m=audio 0"), 488)],
    )
    def test_what_cannot_be_used_changes_nothing(self, body: str, status: int) -> None:
        call = two_forks()
        offers_anew(call, "core1", body)
        assert call.actions.reply[0] == status
        call.on(call.ims_reply(200, "core1"))
        assert audio_port(call) == "40000"

    def test_one_that_another_was_faster_than_is_over(self) -> None:
        call = two_forks()
        call.on(call.ims_reply(200, "core2"))
        offers_anew(call, "core1")
        assert call.actions.reply[0] == 481


AV = sdp.chromium("av-sendonly")
BOTH = sdp.core_answer("audio", "video", port=44000)
NO_VIDEO = sdp.core_answer("audio", "video", refuse=("video",))
SHUT = act.MediumGate("video", wic_to_ims=False, ims_to_wic=False)
OPEN = act.MediumGate("video", wic_to_ims=True, ims_to_wic=True)


def video_ports(call: Call) -> set[int]:
    """The ports of the page's video lines, as it was told last."""
    return {line.port for line in sdp_from_text(call.record.wic_description).media if line.kind == "video"}


class TestAMediumThatNotEveryForkTakes:
    """Each early dialog answers our INVITE for itself (RFC 3261 §13.2.2.4)."""

    @staticmethod
    def refused_early() -> Call:
        call = Call.forwarded(AV)
        event = call.ims_reply(183, body=NO_VIDEO)
        call.on(event)
        assert SHUT in call.actions.only(act.GateMedia).media
        assert [one.kind for one in call.actions.only(act.ConnectMedia).media] == ["audio"]
        assert call.on(ev.MediaConnected(event.reply)).names == ["ForwardReply"]
        assert 0 not in video_ports(call)
        return call

    def test_it_is_there_for_the_fork_that_answers(self) -> None:
        call = self.refused_early()
        event = call.ims_reply(200, "core2", body=BOTH)
        call.on(event)
        assert OPEN in call.actions.only(act.GateMedia).media
        answers = {one.kind: one.ims_answer for one in call.actions.only(act.ConnectMedia).media}
        assert "m=video 44002 " in (answers["video"] or "")
        assert call.on(ev.MediaConnected(event.reply)).names == ["ForwardReply"]
        assert 0 not in video_ports(call)

    @pytest.mark.parametrize("body", ["", NO_VIDEO])
    def test_it_is_given_back_when_that_fork_answers(self, body: str) -> None:
        call = self.refused_early()
        answer = call.ims_reply(200, body=body)
        assert call.on(answer).names == ["ForwardReply", "ReleaseMedia", "SendRequest"]
        assert call.actions.only(act.ReleaseMedia).kinds == ("video",)
        lines = sdp_from_text(call.actions.only(act.SendRequest).body).media
        assert {line.port for line in lines if line.kind == "video"} == {0}
        assert call.on(answer).names == ["ForwardReply"]  # once more: nothing is given back twice

    def test_it_is_given_back_when_the_fork_that_answers_refuses_it_too(self) -> None:
        call = self.refused_early()
        call.on(call.ims_reply(200, "core2", body=NO_VIDEO.replace("m=audio 40000", "m=audio 45000")))
        answers = {one.kind: one.ims_answer for one in call.actions.only(act.ConnectMedia).media}
        assert answers["video"] is None

    def test_one_that_an_update_switches_off_comes_back_with_another_fork(self) -> None:
        call = Call.forwarded(AV)
        progress(call, "core1", sdp.core_answer("audio", "video"))
        assert offers_anew(call, "core1", NO_VIDEO) == ["ReofferFromIms", "SendReply", "GateMedia"]
        assert call.actions.only(act.GateMedia).media == (SHUT,)
        call.on(call.ims_reply(200, "core2", body=BOTH))
        assert OPEN in call.actions.only(act.GateMedia).media
        assert all(one.ims_answer for one in call.actions.only(act.ConnectMedia).media)

    def test_one_that_an_update_switches_off_is_given_back_when_that_fork_answers(self) -> None:
        call = Call.forwarded(AV)
        progress(call, "core1", sdp.core_answer("audio", "video"))
        offers_anew(call, "core1", NO_VIDEO)
        assert call.on(call.ims_reply(200)).only(act.ReleaseMedia).kinds == ("video",)


class TestGates:
    """P-Early-Media as seen from the far end."""

    @pytest.mark.parametrize(
        ("word", "to_ims", "to_page"),
        [
            pytest.param("inactive", False, False, id="inactive"),
            pytest.param("sendonly", False, True, id="sendonly"),
            pytest.param("recvonly", True, False, id="recvonly"),
            pytest.param("RecvOnly , gated", True, False, id="other spelling, gated"),
        ],
    )
    def test_close_before_the_relay_is_connected(self, word: str, to_ims: bool, to_page: bool) -> None:
        call = Call.forwarded()
        call.on(call.ims_reply(183, body=sdp.core_answer(), early_media=word))
        assert call.actions.names == ["GateMedia", "ConnectMedia"]
        assert call.actions.only(act.GateMedia).media == (act.MediumGate("audio", to_ims, to_page),)
        assert call.on(ev.MediaGated()).names == []

    @pytest.mark.parametrize("word", ["", "supported", "gated", "sendrecv", "sendrecv, sendrecv"])
    def test_stay_open(self, word: str) -> None:
        call = Call.forwarded()
        assert progress(call, "core1", sdp.core_answer(), word) == ["ConnectMedia", "ForwardReply"]

    def test_the_site_may_want_a_request_before_anybody_is_heard(self) -> None:
        call = Call.forwarded()
        call.settings = SETTINGS_CLOSED
        assert progress(call, "core1", sdp.core_answer())[0] == "GateMedia"

    def test_one_word_for_each_line_and_the_last_for_all_that_follow(self) -> None:
        call = Call.forwarded(sdp.chromium("av-sendonly"))
        both = sdp.core_answer("audio", "video")
        call.on(call.ims_reply(183, body=both, early_media="sendrecv, inactive"))
        assert call.actions.only(act.GateMedia).media == (
            act.MediumGate("audio", True, True),
            act.MediumGate("video", False, False),
        )

    @pytest.mark.parametrize(
        ("says", "to_ims", "to_page"), [("sendonly", False, True), ("inactive", False, False)]
    )
    @pytest.mark.parametrize("status", [183, 200])
    def test_what_the_far_end_describes_holds_from_its_first_answer(
        self, status: int, says: str, to_ims: bool, to_page: bool
    ) -> None:
        call = plain()
        held = sdp.core_answer().replace("a=sendrecv", f"a={says}")
        assert call.on(call.ims_reply(status, body=held)).names == ["GateMedia", "ConnectMedia"]
        assert call.actions.only(act.GateMedia).media == (act.MediumGate("audio", to_ims, to_page),)

    def test_early_media_may_not_pass_where_the_description_has_none(self) -> None:
        call = plain()
        progress(call, "core1", sdp.core_answer(), "sendonly")
        progress(call, "core1", sdp.core_answer().replace("a=sendrecv", "a=recvonly"), "sendonly")
        assert call.record.media[0].ims_direction is Direction.RECVONLY
        call.on(call.ims_reply(200))
        assert call.actions.only(act.GateMedia).media == (act.MediumGate("audio", True, False),)

    @pytest.mark.parametrize("word", ["sendonly", "sendrecv"])
    def test_a_page_that_has_not_been_offered_the_far_ends_stream_does_not_get_it(self, word: str) -> None:
        call = Call.offered(sdp.chromium("audio-sendonly"), {"Allow": ["INVITE, ACK, CANCEL, BYE"]})
        first = call.reserved().only(act.GateMedia).media
        assert call.record.media[0].reverse_wanted
        assert first == (act.MediumGate("audio", wic_to_ims=True, ims_to_wic=False),)
        event = call.ims_reply(183, body=sdp.core_answer(), early_media=word)
        gates = call.on(event).all(act.GateMedia)
        call.on(ev.MediaConnected(event.reply))
        gates += call.on(call.ims_reply(200)).all(act.GateMedia)
        assert not any(medium.ims_to_wic for gate in gates for medium in gate.media)

    def test_a_relay_that_does_not_gate_does_not_end_the_call(self) -> None:
        call = Call.forwarded()
        gate = call.on(call.ims_reply(183, body=sdp.core_answer(), early_media="inactive")).only(
            act.GateMedia
        )
        failed = ev.MediaFailed(MediaUnavailable("gone"), bearer=gate.bearer)
        assert call.on(failed).names == []
        assert not call.record.ended

    def test_an_update_of_a_fork_that_rings_opens_them(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer(), "inactive")
        update = call.ims_request("UPDATE")
        update.request.headers = lambda name: ["sendrecv"] if name == "P-Early-Media" else []
        assert call.on(update).names == ["SendReply", "GateMedia"]

    def test_so_may_one_that_names_another_far_end(self) -> None:
        call = Call.forwarded()
        progress(call, "core1", sdp.core_answer(), "inactive")
        said = {"P-Early-Media": ["sendrecv"], "P-Asserted-Identity": ["<tel:+4930123>"]}
        update = call.ims_request("UPDATE", headers=said)
        assert call.on(update).names == ["ForwardRequest", "GateMedia"]


class TestHowMany:
    """Who is called does not say what a call costs."""

    def test_one_more_than_a_call_may_have_is_not_learnt(self) -> None:
        call = Call.forwarded()
        for number in range(MOST_FORKS):
            assert call.on(call.ims_reply(180, f"core{number}")).names == ["ForwardReply"]
        assert call.on(call.ims_reply(183, "core16", body=OTHER, rseq=500)).names == ["DropReply"]
        assert call.on(call.ims_reply(180, "core3")).names == ["ForwardReply"]
        call.on(call.ims_reply(199, "core3"))
        assert call.on(call.ims_reply(180, "core16")).names == ["ForwardReply"]
        assert len(call.record.legs) == MOST_FORKS

    def test_it_may_answer(self) -> None:
        call = Call.forwarded()
        for number in range(MOST_FORKS):
            call.on(call.ims_reply(180, f"core{number}"))
        call.answer("late")
        assert call.record.confirmed_tag == "late"
        assert call.on(call.wic_request("ACK", cseq=1)).only(act.ForwardRequest).edits.to_tag == "late"

    def test_each_further_answer_gets_its_due_and_no_place(self) -> None:
        call = Call.confirmed()
        for number in range(2 * MOST_FORKS):
            call.on(call.ims_reply(200, f"more{number}", body=OTHER))
            assert [one.method for one in call.actions.all(act.SendRequest)] == ["ACK", "BYE"]
        assert len(call.record.legs) == MOST_FORKS
        assert "core1" in call.record.legs
