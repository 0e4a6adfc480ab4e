"""The core was answered before the page was asked, and the page wants less: the core is told."""

from __future__ import annotations

import re

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.renegotiation.core_told import MAX_ATTEMPTS
from kemi.core.call.states import Dialog, OfferAnswer
from kemi.core.messages import Reply, Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import (
    CALL_ID,
    CALLER_TAG,
    KEY,
    PAGE_CONTACT,
    TAG,
    Incoming,
    invite,
    offer,
)
from tests.unit.core.call.ladder import Actions, Call, header_reader

MISSING = "a=curr:qos local none\r\na=des:qos mandatory local sendrecv\r\n"
ALLOWS = {"Allow": ["INVITE, ACK, UPDATE"]}


def answered(*, takes_update: bool = True, page: str = "video refused") -> Incoming:
    """A call whose caller had preconditions; the page has answered, the caller has not acknowledged that yet."""
    headers = {"Require": ["precondition"], **(ALLOWS if takes_update else {})}
    request = invite(offer(video=True) + MISSING, headers)
    call = Incoming(request)
    call.on(ev.TransactionCreated(1, 2))
    media = {"audio": "", "video": ""}
    call.on(call.answered_ahead(act.AnswerAhead(KEY, "", media)))
    call.on(call.ims_request("PRACK", cseq=6, headers={"RAck": ["1 5 INVITE"]}))
    there = offer(video=True) + MISSING.replace("none", "sendrecv")
    ahead = call.on(call.ims_request("UPDATE", cseq=7, body=there)).only(act.AnswerAhead)
    call.on(call.answered_ahead(ahead))
    call.on(ev.InviteResumed(request))
    refuse = ("1",) if page == "video refused" else ()
    answer = call.page_answer(refuse=refuse)
    if page == "sends no video":
        head, line, video = answer.partition("m=video")
        answer = head + line + video.replace("a=sendrecv", "a=recvonly")
    call.answer(answer)
    return call


def acknowledged(call: Incoming) -> act.SendRequest:
    """The caller's ACK, and our offer that follows it."""
    return call.on(call.ims_request("ACK", cseq=5)).only(act.SendRequest)


def response(call: Incoming, sent: act.SendRequest, status: int, body: str = "", **more: float) -> Actions:
    """The core's response to our offer."""
    reply = Reply(Side.IMS, sent.method, CALL_ID, TAG, CALLER_TAG, call.record.own_ims_offer, status=status)
    reply.body, reply.content_type, reply.headers = body, "application/sdp", header_reader({})
    event = ev.OwnRequestAnswered(
        Side.IMS, sent.method, call.record.own_ims_offer, status, reply, jitter=more.get("jitter", 0.0)
    )
    return call.on(event)


def notes(actions: Actions) -> list[str]:
    return [note.event for note in actions.all(act.Note)]


@pytest.mark.parametrize("takes_update", [True, False])
def test_video_that_the_page_refused_is_taken_back_after_the_ack(takes_update: bool) -> None:
    call = answered(takes_update=takes_update)
    assert call.actions.all(act.SendRequest) == []
    sent = acknowledged(call)
    assert (sent.to, sent.method, sent.report) == (Side.IMS, "UPDATE" if takes_update else "INVITE", True)
    audio, video = sdp_from_text(sent.body).media
    assert (audio.direction, video.port) == (Direction.SENDRECV, 0)
    assert audio.port > 0
    actions = response(call, sent, 200, sdp.core_answer("audio", "video", refuse=("video",)))
    acks = [one.method for one in actions.all(act.SendRequest)]
    assert acks == ([] if takes_update else ["ACK"])
    renewed = actions.only(act.ReofferFromIms).media  # the far end has left codecs out
    assert [one.kind for one in renewed] == ["audio"]
    assert call.record.ims_description == sent.body
    assert (call.record.exchange, call.record.ims_offer_answer) == (None, OfferAnswer.STABLE)
    assert call.on(call.ims_reply(200, method=sent.method, cseq=call.record.own_ims_offer)) == []


def test_a_far_end_that_answers_from_elsewhere_is_followed() -> None:
    """RFC 3264 §8: an answer may be another one each time."""
    call = answered()
    sent = acknowledged(call)
    response(call, sent, 200, sdp.core_answer("audio", "video", port=50000, refuse=("video",)))
    (change,) = call.actions.only(act.ReofferFromIms).media
    assert "m=audio 50000 " in change.ims_line


def test_a_far_end_that_stays_is_gated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sdp.CORE_CODECS, "video", ("99", "a=rtpmap:99 VP8/90000"))  # as the caller has it
    call = answered(page="sends no video")
    sent = acknowledged(call)
    there = "".join(
        medium.ims_answer[medium.ims_answer.index("m=") :] if number else medium.ims_answer
        for number, medium in enumerate(call.record.media)
    )
    response(call, sent, 200, there)
    assert [gate.kind for gate in call.actions.only(act.GateMedia).media] == ["audio", "video"]


def test_what_the_far_end_wants_meanwhile_counts_when_the_relay_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is open while the relay is told where its video is now, and its hold is another process's."""
    monkeypatch.setitem(sdp.CORE_CODECS, "video", ("99", "a=rtpmap:99 VP8/90000"))  # as the caller has it
    call = answered(page="sends no video")
    sent = acknowledged(call)
    audio, video = (medium.ims_answer for medium in call.record.media)
    there = audio + re.sub(r"^.*?m=video \d+", "m=video 44000", video, flags=re.DOTALL)
    first = response(call, sent, 200, there).only(act.ReofferFromIms)
    assert [change.kind for change in first.media] == ["video"]
    hold = there.replace("a=sendrecv", "a=sendonly", 1)
    told = call.on(call.ims_request("UPDATE", cseq=8, body=hold)).only(act.ReofferFromIms)
    offers = {kind: sdp.relay_offer(kind) for kind in ("audio", "video")}
    call.on(ev.ImsReoffered(offers, told.bearer))
    assert call.record.medium("audio").ims_direction is Direction.SENDONLY  # type: ignore[union-attr]
    gate = call.on(ev.ImsReoffered({}, first.bearer)).only(act.GateMedia)
    assert gate.media == (act.MediumGate("audio", wic_to_ims=False, ims_to_wic=True),)


def test_a_direction_the_page_does_not_want_is_taken_back() -> None:
    call = answered(page="sends no video")
    audio, video = sdp_from_text(acknowledged(call).body).media
    assert (audio.direction, video.direction) == (Direction.SENDRECV, Direction.RECVONLY)


def test_a_page_that_takes_all_leaves_nothing_to_say() -> None:
    call = answered(page="takes all")
    assert call.on(call.ims_request("ACK", cseq=5)).all(act.SendRequest) == []


def test_nobody_else_may_offer_meanwhile() -> None:
    call = answered()
    acknowledged(call)
    assert call.on(call.ims_request("INVITE", cseq=8, body=offer())).reply[0] == 491
    assert call.on(call.wic_request("INVITE", cseq=2, body=sdp.chromium("av-sendonly"))).reply[0] == 491


@pytest.mark.parametrize("status", [405, 501])
def test_a_far_end_that_names_update_and_refuses_it_gets_an_invite(status: int) -> None:
    call = answered()
    first = acknowledged(call)
    (sent,) = response(call, first, status).all(act.SendRequest)
    assert (first.method, sent.method) == ("UPDATE", "INVITE")
    assert [line.port > 0 for line in sdp_from_text(sent.body).media] == [True, False]
    assert notes(response(call, sent, status)) == ["own_offer_to_core_refused"]


def test_what_another_fork_takes_says_nothing_of_the_one_that_has_the_call() -> None:
    call = Call.forwarded()
    early = call.ims_reply(183, "mrf", body=sdp.core_answer(), headers=ALLOWS)
    call.on(early)
    call.on(ev.MediaConnected(early.reply))
    last = call.ims_reply(
        200, "pstn", body=sdp.core_answer(port=42000), headers={"Allow": ["INVITE, ACK, BYE"]}
    )
    call.on(last)
    call.on(ev.MediaConnected(last.reply))
    call.on(call.wic_request("ACK", cseq=1))
    call.record.core_behind, call.record.media[0].wic_direction = True, Direction.SENDONLY
    sent = call.on(ev.TimerFired(ev.Due.TELL_CORE)).only(act.SendRequest)
    assert (sent.to, sent.method) == (Side.IMS, "INVITE")


def test_glare_is_tried_again_and_given_up_in_the_end() -> None:
    call = answered()
    sent = acknowledged(call)
    for _ in range(MAX_ATTEMPTS - 1):
        later = response(call, sent, 491, jitter=0.5).only(act.Schedule)
        assert (later.due, later.delay_s) == (ev.Due.TELL_CORE, 1.0)
        sent = call.on(ev.TimerFired(ev.Due.TELL_CORE)).only(act.SendRequest)
    assert notes(response(call, sent, 491)) == ["own_offer_to_core_refused"]
    assert call.record.dialog is Dialog.CONFIRMED


def test_a_refusal_changes_nothing_and_a_lost_dialog_ends_the_call() -> None:
    call = answered()
    assert notes(response(call, acknowledged(call), 488)) == ["own_offer_to_core_refused"]
    assert not call.record.ended
    call = answered()
    response(call, acknowledged(call), 481)
    assert call.record.ended


def test_an_answer_that_cannot_be_read_changes_nothing() -> None:
    call = answered()
    before = call.record.ims_description
    assert notes(response(call, acknowledged(call), 200, "v=0\r\n")) == ["own_offer_misunderstood"]
    assert (call.record.ims_description, call.record.exchange) == (before, None)


def from_page(call: Incoming, cseq: int, body: str = "") -> Actions:
    """The page's 200 to a re-INVITE of ours."""
    reply = Reply(Side.WIC, "INVITE", CALL_ID, TAG, "page", cseq, status=200, contact=f"<{PAGE_CONTACT}>")
    reply.body, reply.content_type = body or call.page_answer(), "application/sdp"
    return call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, 200, reply))


def from_core(call: Incoming, cseq: int, body: str) -> Actions:
    """The core's 200 to a re-INVITE of ours."""
    reply = Reply(Side.IMS, "INVITE", CALL_ID, TAG, CALLER_TAG, cseq, status=200)
    reply.body, reply.content_type, reply.headers = body, "application/sdp", header_reader({})
    return call.on(ev.OwnRequestAnswered(Side.IMS, "INVITE", cseq, 200, reply))


class TestOnceMore:
    """A 2xx to an INVITE comes until its ACK does (RFC 3261 §13.3.1.4), perhaps while another offer of ours is out."""

    @pytest.mark.parametrize("takes_update", [True, False])
    def test_that_of_the_page_is_no_answer_of_the_core(self, takes_update: bool) -> None:
        call = answered(takes_update=takes_update)
        sent = acknowledged(call)
        before, exchange = call.record.legs[CALLER_TAG].contact, call.record.exchange
        (ack,) = from_page(call, call.record.own_ims_offer).all(
            act.SendRequest
        )  # though both sides count alike
        assert (ack.to, ack.method) == (Side.WIC, "ACK")
        assert call.actions.names == ["SendRequest"]
        assert (call.record.legs[CALLER_TAG].contact, call.record.exchange) == (before, exchange)
        response(call, sent, 200, sdp.core_answer("audio", "video", refuse=("video",)))
        assert call.record.exchange is None
        assert call.record.ims_description == sent.body

    def test_that_of_the_core_is_acknowledged_and_no_answer_of_the_page(self) -> None:
        """The far end takes less in its answer, which the page is told at once."""
        call = answered(takes_update=False, page="sends no video")
        acknowledged(call)
        cseq, body = call.record.own_ims_offer, sdp.core_answer("audio", "video", refuse=("video",))
        call.record.wic_takes_update = False
        told = from_core(call, cseq, body).all(act.SendRequest)
        assert [(one.to, one.method) for one in told] == [(Side.IMS, "ACK"), (Side.WIC, "INVITE")]
        assert call.record.exchange is not None
        ours = call.record.exchange.cseq
        (ack,) = from_core(call, cseq, body).all(act.SendRequest)
        assert (ack.to, ack.method, f"CSeq: {cseq} ACK" in ack.headers) == (Side.IMS, "ACK", True)
        assert call.actions.names == ["SendRequest"]
        from_page(call, ours, sdp.page_answer(told[1].body))
        assert call.record.wic_description == told[1].body

    def test_that_to_the_offer_before_is_none_to_the_next_one(self) -> None:
        call = answered(takes_update=False)
        sent = acknowledged(call)
        first = call.record.own_ims_offer
        response(call, sent, 491)
        call.on(ev.TimerFired(ev.Due.TELL_CORE))
        from_core(call, first, sdp.core_answer("audio", "video", refuse=("video",)))
        assert call.record.exchange is not None


@pytest.mark.parametrize("takes_update", [True, False])
def test_a_late_answer_to_an_update_of_ours_is_none_to_the_next_offer(takes_update: bool) -> None:
    call = answered(page="sends no video")
    call.record.wic_takes_update = takes_update
    sent = acknowledged(call)
    response(call, sent, 200, sdp.core_answer("audio", "video", refuse=("video",)))
    before = call.record.exchange
    assert before is not None
    call.on(ev.UpdateAnswered(200, call.page_answer(), cseq=before.cseq - 1))
    assert call.record.exchange == before


class TestAOneWayCallThatIsOpened:
    """The page takes no UPDATE: the far end's is answered by what the page has said so far; then the page is asked."""

    @staticmethod
    def opened(first: str, then: str) -> Actions:
        """The caller goes from one direction to another; the page takes what it is offered."""
        call = Incoming.confirmed(invite(device_offer(DeviceMedia(direction=first)), ALLOWS))
        body = device_offer(DeviceMedia(direction=then, version=2))
        told = call.on(call.ims_request("UPDATE", cseq=6, body=body)).only(act.ReofferFromIms)
        asked = call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, told.bearer))
        assert "a=sendrecv" not in asked.only(act.SendReply).body
        sent = asked.only(act.SendRequest)
        assert (sent.to, sent.method) == (Side.WIC, "INVITE")
        cseq = call.record.gateway_cseq
        reply = Reply(Side.WIC, "INVITE", CALL_ID, TAG, "page", cseq, status=200)
        reply.body, reply.content_type = sdp.page_answer(sent.body), "application/sdp"
        return call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, 200, reply))

    @pytest.mark.parametrize("first", ["sendonly", "inactive"])
    def test_the_core_hears_that_the_page_speaks(self, first: str) -> None:
        sent = self.opened(first, "sendrecv").all(act.SendRequest)[-1]
        (audio,) = sdp_from_text(sent.body).media
        assert (sent.to, sent.method, audio.direction) == (Side.IMS, "UPDATE", Direction.SENDRECV)

    def test_what_it_knows_already_is_not_told_again(self) -> None:
        sent = self.opened("sendonly", "inactive").all(act.SendRequest)
        assert {one.to for one in sent} == {Side.WIC}
