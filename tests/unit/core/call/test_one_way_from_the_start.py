"""What begins one-way or on hold: the relay is told of no direction, and its gate of every one.

rtpengine from 12 on heeds the direction it was told first, and is not told the next one; 10 heeds none.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.media.session import medium_change
from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import CALLER_TAG, Incoming, invite, offer
from tests.unit.core.call.ladder import NO_100REL, Actions, Call

ONE_WAY = ("sendonly", "recvonly", "inactive")
MIRRORED = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive", "sendrecv": "sendrecv"}


def turned(text: str, direction: str, kind: str = "audio") -> str:
    """Return a description whose line of this kind has another direction."""
    head, line, rest = text.partition(f"\r\nm={kind} ")
    return head + line + rest.replace("a=sendrecv", f"a={direction}", 1)


def directions(text: str | None) -> list[str]:
    return [line.direction.value for line in sdp_from_text(text or "").media]


def gates(actions: Actions) -> list[act.MediumGate]:
    return [gate for one in actions.all(act.GateMedia) for gate in one.media]


def gate(kind: str, direction: str) -> act.MediumGate:
    """Return the gate of a page's direction."""
    sends, receives = direction in ("sendonly", "sendrecv"), direction in ("recvonly", "sendrecv")
    return act.MediumGate(kind, wic_to_ims=sends, ims_to_wic=receives)


class TestTheCoreCalls:
    @pytest.mark.parametrize("direction", ONE_WAY)
    def test_what_the_page_answers_is_told_by_the_gate_alone(self, direction: str) -> None:
        call = Incoming.ringing(invite(offer(video=True)))
        answer = turned(call.page_answer(), direction, "video")
        connect = call.on(call.wic_reply(200, body=answer)).only(act.ConnectIncoming)
        assert [directions(line) for line in connect.media.values()] == [["sendrecv"], ["sendrecv"]]
        told = call.on(call.connected(connect))
        assert gates(told) == [gate("video", direction)]
        assert told.names.index("GateMedia") < told.names.index("ForwardReply")
        assert directions(told.only(act.ForwardReply).edits.body) == ["sendrecv", direction]

    @pytest.mark.parametrize("direction", ONE_WAY)
    def test_so_is_what_the_core_offers_and_a_resumption_finds_both_lines_open(self, direction: str) -> None:
        held = turned(offer(), direction)
        call = Incoming(invite(held))
        reserve = call.actions.only(act.ReserveIncoming)
        assert directions(reserve.media["audio"]) == ["sendrecv"]
        call = Incoming.ringing(invite(held))
        assert directions(call.record.wic_description) == [direction]
        answered = call.answer()
        assert gates(answered) == [gate("audio", MIRRORED[direction])]
        assert directions(answered.only(act.ForwardReply).edits.body) == [MIRRORED[direction]]
        call.on(call.ims_request("ACK", cseq=5))
        asked = call.on(call.ims_request("INVITE", body=offer())).only(act.ForwardRequest).edits
        page = call.wic_reply(200, cseq=asked.cseq or 0, body=sdp.page_answer(asked.body or ""))
        (change,) = call.on(page).only(act.ReofferFromIms).media
        assert (directions(change.wic_line), directions(change.ims_line)) == (["sendrecv"], ["sendrecv"])
        assert (change.wic_to_ims, change.ims_to_wic) == (True, True)

    def test_what_passes_both_ways_needs_no_gate(self) -> None:
        assert Incoming.ringing(invite(offer(video=True))).answer().all(act.GateMedia) == []

    def test_a_gate_that_fails_is_told_again_and_does_not_end_the_call(self) -> None:
        call = Incoming.ringing()
        told = call.answer(turned(call.page_answer(), "recvonly"))
        failed = call.on(ev.MediaFailed(MediaUnavailable("gone"), bearer=told.only(act.GateMedia).bearer))
        (change,) = failed.only(act.RenewMedia).media
        assert (change.wic_to_ims, change.ims_to_wic) == (False, True)
        assert call.record.confirmed_tag == CALLER_TAG

    @pytest.mark.parametrize("theirs", ["sendrecv", "sendonly"])
    def test_video_that_the_core_adds(self, theirs: str) -> None:
        call = Incoming.confirmed()
        added = turned(offer(video=True), theirs, "video")
        reserve = call.on(call.ims_request("INVITE", body=added)).only(act.ReserveIncoming)
        assert directions(reserve.media["video"]) == ["sendrecv"]
        given = ev.IncomingReserved({"video": sdp.relay_answer("video")}, reserve.edits, reserve.bearer)
        asked = call.on(given).only(act.ForwardRequest).edits
        body = turned(sdp.page_answer(asked.body or ""), "recvonly", "video")
        connect = call.on(call.wic_reply(200, cseq=asked.cseq or 0, body=body)).only(act.ConnectIncoming)
        assert directions(connect.media["video"]) == ["sendrecv"]
        answers = {"video": sdp.relay_offer("video")}
        told = call.on(ev.IncomingConnected(answers, connect.reply, connect.bearer))
        assert (told.names, gates(told)) == (["GateMedia", "ReofferFromIms"], [gate("video", "recvonly")])
        call.on(ev.MediaGated(told.only(act.GateMedia).bearer))
        again = told.only(act.ReofferFromIms)
        done = call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, again.bearer))
        assert directions(done.only(act.ForwardReply).edits.body) == ["sendrecv", "recvonly"]


class TestThePageCalls:
    def test_a_camera_that_comes_later_needs_no_more_than_the_gate(self) -> None:
        body = sdp.chromium("av-sendrecv")
        call = Call.offered(turned(body, "recvonly", "video"), NO_100REL)
        call.reserved()
        answer = sdp.core_answer("audio", "video")
        event = call.ims_reply(200, body=turned(answer, "sendonly", "video"))
        taken = call.on(event)
        connect = taken.only(act.ConnectMedia)
        assert [directions(medium.ims_answer) for medium in connect.media] == [["sendrecv"], ["sendrecv"]]
        assert gate("video", "recvonly") in gates(taken)
        call.on(ev.MediaConnected(event.reply))
        call.on(call.wic_request("ACK", cseq=1))
        asked = call.on(call.wic_request("INVITE", cseq=2, body=body)).only(act.ForwardRequest).edits
        assert directions(asked.body) == ["sendrecv", "sendrecv"]
        assert gates(call.on(call.ims_reply(200, cseq=2, body=answer))) == [
            gate("audio", "sendrecv"),
            gate("video", "sendrecv"),
        ]


@pytest.mark.parametrize("direction", ONE_WAY)
def test_a_call_of_the_release_before_is_healed_by_the_next_change(direction: str) -> None:
    """Its lines were kept with their directions."""
    (medium,) = Call.confirmed().record.media
    line = f"v=0\r\nm=audio 9 RTP/AVP 8\r\na={direction}\r\n"
    change = medium_change(replace(medium, ims_answer=line, wic_offer=line))
    assert change.wic_line == change.ims_line == "v=0\r\nm=audio 9 RTP/AVP 8\r\na=sendrecv\r\n"
