"""After the far end's answer: an UPDATE puts the page's video right (RFC 3311 §5.1), and never costs the call."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.setup import MAX_UPDATE_ATTEMPTS
from kemi.core.messages import Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Actions, Call

AV = sdp.chromium("av-sendonly")


def answered_without_video() -> tuple[Call, Actions]:
    call = Call.forwarded(AV)
    return call, call.answer(body=sdp.core_answer("audio", "video", refuse=("video",)))


def test_the_page_hears_of_the_answer_before_it_is_asked_again() -> None:
    _, actions = answered_without_video()
    assert actions.names == ["ForwardReply", "SendRequest"]


def test_the_correction_takes_the_video_lines_back_and_keeps_the_audio() -> None:
    _, actions = answered_without_video()
    sent = actions.only(act.SendRequest)
    assert (sent.to, sent.method, sent.report) == (Side.WIC, "UPDATE", True)
    assert "CSeq: 2 UPDATE" in sent.headers
    offer = sdp_from_text(sent.body)
    assert len(offer.media) == 4  # RFC 3264 §8: lines never go away
    assert not any(
        line.direction.sends or line.direction.receives for line in offer.media if line.kind == "video"
    )
    assert all(line.port for line in offer.media if line.kind == "audio")


def test_the_version_rises_from_one_description_to_the_next() -> None:
    _, actions = answered_without_video()
    origin = next(line for line in actions.only(act.SendRequest).body.splitlines() if line.startswith("o="))
    assert origin.split()[2] == "3"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        pytest.param(sdp.chromium("audio-sendonly"), sdp.core_answer(), id="voice only"),
        pytest.param(AV, sdp.core_answer("audio", "video"), id="the far end took everything"),
    ],
)
def test_what_was_guessed_right_is_not_corrected(offer: str, answer: str) -> None:
    assert Call.forwarded(offer).answer(body=answer).names == ["ForwardReply"]


def test_a_good_answer_ends_it() -> None:
    call, _ = answered_without_video()
    assert call.on(ev.UpdateAnswered(200, sdp.page_answer(call.record.update_offer))).names == []
    assert not call.record.updating
    assert call.record.update_offer == ""


@pytest.mark.parametrize("status", [408, 481, 488, 501])
def test_a_page_that_refuses_keeps_its_call(status: int) -> None:
    call, _ = answered_without_video()
    actions = call.on(ev.UpdateAnswered(status))
    assert actions.names == []
    assert actions.only(act.Note).event == "correction_refused"
    assert not call.record.ended


def test_glare_is_tried_again_a_few_times_and_then_left() -> None:
    call, _ = answered_without_video()
    for _ in range(MAX_UPDATE_ATTEMPTS - 1):
        due = call.on(ev.UpdateAnswered(491, jitter=0.5)).only(act.Schedule)
        assert due.due is ev.Due.UPDATE_RETRY
        assert call.on(ev.TimerFired(due.due)).only(act.SendRequest).method == "UPDATE"
    assert call.on(ev.UpdateAnswered(491)).names == []
    assert not call.record.ended


def test_a_page_that_is_away_hears_of_it_once_it_is_back() -> None:
    call, _ = answered_without_video()
    call.on(call.wic_request("ACK", cseq=1))
    call.on(ev.UpdateAnswered(491))
    sent = call.on(ev.TimerFired(ev.Due.UPDATE_RETRY, flow_alive=False)).only(act.SendRequest)
    assert call.on(ev.UpdateAnswered(408)).only(act.Schedule).due is ev.Due.TELL_PAGE  # as the executor says
    assert not call.record.updating
    assert call.on(ev.TimerFired(ev.Due.TELL_PAGE, flow_alive=False)).only(act.Schedule)
    again = call.on(ev.TimerFired(ev.Due.TELL_PAGE)).only(act.SendRequest)
    assert [request.method for request in (sent, again)] == ["UPDATE", "UPDATE"]
    assert not any(
        line.direction.sends or line.direction.receives
        for line in sdp_from_text(again.body).media
        if line.kind == "video"
    )


def test_what_the_far_end_wants_meanwhile_is_not_undone_by_it() -> None:
    call, _ = answered_without_video()
    call.on(call.wic_request("ACK", cseq=1))
    call.on(ev.UpdateAnswered(500, retry_after_s=5.0))
    hold = sdp.core_answer("audio", "video", refuse=("video",)).replace("a=sendrecv", "a=sendonly")
    asked = call.on(call.ims_request("INVITE", body=hold)).only(act.ForwardRequest)
    assert asked.edits.body
    assert asked.edits.cseq
    reply = call.wic_reply(200, method="INVITE", cseq=asked.edits.cseq)
    reply.reply.body, reply.reply.content_type = sdp.page_answer(asked.edits.body), "application/sdp"
    tell = call.on(reply).only(act.ReofferFromIms)
    call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, tell.bearer))
    assert call.on(ev.TimerFired(ev.Due.UPDATE_RETRY)) == []
    assert sdp_from_text(call.record.wic_description).media[0].direction is not Direction.SENDRECV


def test_an_answer_after_the_end_means_nothing() -> None:
    call, _ = answered_without_video()
    call.on(call.wic_request("ACK", cseq=1))
    call.on(call.wic_request("BYE"))
    assert call.on(ev.UpdateAnswered(200, "late")) == []
    assert call.on(ev.TimerFired(ev.Due.UPDATE_RETRY)) == []
