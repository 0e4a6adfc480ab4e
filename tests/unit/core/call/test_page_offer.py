"""Offers of the page in a running session: what each side is told and when, and what a refusal leaves."""

from __future__ import annotations

import re

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.record import CallRecord, Exchange, Offerer
from kemi.core.errors import MediaUnavailable
from kemi.core.messages import Side
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import CORE_CONTACT, GATEWAY_TAG, Actions, Call

TWO_WAY = sdp.chromium("audio-sendrecv")
VIDEO = sdp.chromium("av-sendrecv")[sdp.chromium("av-sendrecv").index("m=video") :]
HOLD = offer_again(TWO_WAY, {"0": "sendonly"})
RESTART = offer_again(TWO_WAY, ice="fresh")
ADDED = offer_again(TWO_WAY, added=[VIDEO])


def running() -> Call:
    """A call with one two-way line."""
    return Call.confirmed(body=TWO_WAY)


def state(record: CallRecord) -> tuple[object, ...]:
    """What a refusal must leave as it was."""
    media = [(m.kind, m.active, m.wic_direction, m.ims_direction, m.wic_offer) for m in record.media]
    return media, record.wic_description, record.ims_description, record.exchange, record.dialog


def done(call: Call, action: act.Action) -> Actions:
    """The relay has done what it was asked."""
    if isinstance(action, act.ReserveMedia):
        given = {m.kind: ev.Reserved(sdp.relay_offer(m.kind), sdp.relay_answer(m.kind)) for m in action.media}
        return call.on(ev.MediaReserved(given, action.context))
    if isinstance(action, act.RenewMedia):
        renewed = {
            m.kind: ev.Renewed(sdp.relay_offer(m.kind), sdp.relay_answer(m.kind)) for m in action.media
        }
        return call.on(ev.MediaRenewed(renewed, action.bearer))
    if isinstance(action, act.ConnectMedia):
        return call.on(ev.MediaConnected(action.reply, action.bearer))
    assert isinstance(action, act.GateMedia)
    return call.on(ev.MediaGated(action.bearer))


def failed(call: Call, action: act.Action) -> Actions:
    """The relay has not."""
    bearer = action.context if isinstance(action, act.ReserveMedia) else getattr(action, "bearer", None)
    return call.on(ev.MediaFailed(MediaUnavailable("no port"), None, bearer))


def asked(call: Call, body: str = HOLD, method: str = "INVITE", cseq: int = 7) -> act.ForwardRequest:
    """The page's offer, on its way to the core."""
    return call.on(call.wic_request(method, cseq=cseq, body=body)).only(act.ForwardRequest)


def reply(call: Call, status: int, body: str = "", method: str = "INVITE", cseq: int = 7) -> Actions:
    """The core responds."""
    return call.on(call.ims_reply(status, method=method, cseq=cseq, body=body))


class TestAnsweredHere:
    """What the far end need not know."""

    def test_the_relay_hears_of_another_certificate_once(self) -> None:
        call = running()
        (former,) = (line for line in RESTART.splitlines() if line.startswith("a=fingerprint:"))
        moved = RESTART.replace(former, "a=fingerprint:sha-256 " + ":".join(["CD"] * 32))
        renew = call.on(call.wic_request("INVITE", cseq=7, body=moved)).only(act.RenewMedia)
        assert [change.another_association for change in renew.media] == [True]
        done(call, renew)
        call.on(call.wic_request("ACK", cseq=7))
        again = offer_again(moved, ice="again")
        renew = call.on(call.wic_request("INVITE", cseq=8, body=again)).only(act.RenewMedia)
        assert [change.another_association for change in renew.media] == [False]

    def test_new_ice_credentials_are_the_relays_business(self) -> None:
        call = running()
        renew = call.on(call.wic_request("INVITE", cseq=7, body=RESTART)).only(act.RenewMedia)
        (change,) = renew.media
        assert sdp_from_text(change.wic_line).media[0].ice_ufrag == "fresh"
        assert (change.wic_to_ims, change.ims_to_wic) == (True, True)
        assert not change.another_association
        answer = done(call, renew).only(act.SendReply)
        assert answer.status == 200
        assert sdp_from_text(answer.body).media[0].ice_ufrag == "relay1"
        assert sdp_from_text(call.record.media[0].wic_offer).media[0].ice_ufrag == "fresh"
        assert call.record.exchange is None

    def test_the_same_once_more_asks_nobody(self) -> None:
        call = running()
        actions = call.on(call.wic_request("UPDATE", cseq=7, body=offer_again(TWO_WAY)))
        assert actions.names == ["SendReply"]
        assert actions.only(act.SendReply).body == call.record.wic_description

    def test_its_ack_ends_here(self) -> None:
        call = running()
        call.on(call.wic_request("INVITE", cseq=7, body=offer_again(TWO_WAY)))
        assert call.record.ack_awaited == 7
        assert call.on(call.wic_request("ACK", cseq=7)).names == []
        assert call.record.ack_awaited is None

    def test_a_relay_that_fails_refuses_it(self) -> None:
        call = running()
        before = state(call.record)
        renew = call.on(call.wic_request("INVITE", cseq=7, body=RESTART)).only(act.RenewMedia)
        assert failed(call, renew).reply[0] == 503
        assert state(call.record) == before

    def test_a_call_that_ended_meanwhile(self) -> None:
        call = running()
        renew = call.on(call.wic_request("INVITE", cseq=7, body=RESTART)).only(act.RenewMedia)
        call.on(call.ims_request("BYE", cseq=9))
        assert done(call, renew).reply[0] == 481


class TestAskedOfTheCore:
    """The same method, our description, the core's dialog."""

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_hold(self, method: str) -> None:
        call = running()
        forward = asked(call, method=method)
        assert (forward.to, forward.change) == (Side.IMS, True)
        assert (forward.edits.request_uri, forward.edits.to_tag) == (CORE_CONTACT, "core1")
        offer = sdp_from_text(forward.edits.body or "")
        assert [line.direction.value for line in offer.media] == ["sendonly"]
        gate = reply(call, 200, sdp.core_answer(), method).only(act.GateMedia)
        assert gate.media == (act.MediumGate("audio", wic_to_ims=True, ims_to_wic=False),)
        back = done(call, gate).only(act.ForwardReply).edits
        assert back.to_tag == GATEWAY_TAG
        assert "a=recvonly" in (back.body or "")
        assert call.record.ims_description == forward.edits.body
        assert call.record.exchange is None

    def test_extensions_that_end_here_do_not_reach_it(self) -> None:
        call = running()
        headers = {"Supported": ["timer, replaces, 100rel"], "Session-Expires": ["90"]}
        event = call.wic_request("INVITE", cseq=7, body=HOLD, headers=headers)
        edits = call.on(event).only(act.ForwardRequest).edits
        assert {"Supported", "Require", "Session-Expires", "Min-SE"} <= set(edits.remove)
        assert "Supported: replaces, timer" in edits.insert  # of these the timer is our own, towards the core

    def test_no_reliable_provisional_response_is_asked_for(self) -> None:
        """Provisional responses to it end here, so nobody would acknowledge one (RFC 3262 §3)."""
        call = running()
        headers = {"Supported": ["100rel"], "Require": ["100rel"]}
        event = call.wic_request("INVITE", cseq=7, body=HOLD, headers=headers)
        edits = call.on(event).only(act.ForwardRequest).edits
        said = [line for line in edits.insert if line.startswith(("Supported:", "Require:"))]
        assert said == ["Supported: timer"]

    def test_an_answer_with_another_address_renews_the_relay(self) -> None:
        call = running()
        asked(call)
        renew = reply(call, 200, sdp.core_answer(port=41000)).only(act.RenewMedia)
        (change,) = renew.media
        assert "m=audio 41000" in change.ims_line
        assert (change.wic_to_ims, change.ims_to_wic) == (True, False)

    def test_an_answer_with_feedback_renews_the_relay(self) -> None:
        call = running()
        asked(call)
        answered = reply(call, 200, sdp.core_answer().replace("RTP/AVP", "RTP/AVPF"))
        (change,) = answered.only(act.RenewMedia).media
        assert "RTP/AVPF 8" in change.ims_line

    def test_its_ack_has_the_number_of_the_cores_invite(self) -> None:
        call = running()
        call.record.ims_cseq = 20  # we have sent requests of our own there
        forward = asked(call)
        assert forward.edits.cseq == 21
        gate = reply(call, 200, sdp.core_answer(), cseq=21).only(act.GateMedia)
        assert done(call, gate).only(act.ForwardReply).edits.cseq == 7
        assert call.on(call.wic_request("ACK", cseq=7)).only(act.ForwardRequest).edits.cseq == 21

    def test_a_provisional_response_says_nothing_to_the_page(self) -> None:
        call = running()
        asked(call)
        assert reply(call, 183).names == ["DropReply"]

    @pytest.mark.parametrize("status", [400, 405, 488, 491, 503, 603])
    def test_a_refusal_leaves_everything_as_it_was(self, status: int) -> None:
        call = running()
        before = state(call.record)
        asked(call)
        assert reply(call, status).names == ["ForwardReply"]
        assert state(call.record) == before

    @pytest.mark.parametrize("status", [408, 481])
    def test_a_lost_dialog_ends_the_call_on_both_sides(self, status: int) -> None:
        call = running()
        asked(call)
        sent = reply(call, status).all(act.SendRequest)
        assert [(request.to, request.method) for request in sent] == [(Side.IMS, "BYE"), (Side.WIC, "BYE")]

    @pytest.mark.parametrize(
        ("status", "goodbyes"),
        [pytest.param(408, 2, id="silence"), pytest.param(487, 0, id="given up by the page")],
    )
    def test_no_answer(self, status: int, goodbyes: int) -> None:
        call = running()
        before = state(call.record)[:4]
        asked(call)
        actions = call.on(ev.ChangeFailed(Side.IMS, "INVITE", status))
        assert len(actions.all(act.SendRequest)) == goodbyes
        assert state(call.record)[:4] == before

    @pytest.mark.parametrize(
        "body", ["", "hello", sdp.core_answer("audio", "video"), sdp.core_answer("audio", refuse=("audio",))]
    )
    def test_an_answer_that_cannot_be_used_is_refused_in_the_cores_name(self, body: str) -> None:
        call = running()
        before = call.record.wic_description
        asked(call)
        actions = reply(call, 200, body)
        assert actions.names == ["DropReply", "SendRequest", "AnswerForCore"]
        assert actions.only(act.SendRequest).method == "ACK"
        assert actions.only(act.AnswerForCore).status == 488
        back = reply(call, 488)  # as it comes in again
        assert back.names == ["ForwardReply", "SendRequest"]
        (line,) = sdp_from_text(back.only(act.SendRequest).body).media
        assert line.direction is Direction.SENDRECV  # it believes in the hold
        assert call.record.wic_description == before

    def test_a_relay_that_cannot_follow_the_answer_keeps_what_was(self) -> None:
        call = running()
        asked(call)
        renew = reply(call, 200, sdp.core_answer(port=41000)).only(act.RenewMedia)
        actions = failed(call, renew)
        assert actions.names == ["DropReply", "SendRequest", "AnswerForCore"]
        (back,) = reply(call, 488).only(act.RenewMedia).media
        assert "m=audio 40000" in back.ims_line
        assert (back.wic_to_ims, back.ims_to_wic) == (True, True)

    def test_an_answer_that_comes_again_is_acknowledged_by_us(self) -> None:
        call = running()
        asked(call)
        done(call, reply(call, 200, sdp.core_answer()).only(act.GateMedia))
        again = reply(call, 200, sdp.core_answer())
        assert again.names == ["DropReply", "SendRequest"]
        assert "CSeq: 7 ACK" in again.only(act.SendRequest).headers


class TestVideo:
    """RFC 3264 §8.1, §8.2."""

    def add(self, call: Call, answer: str) -> Actions:
        """Add video; the relay has done everything up to the page's answer."""
        reserve = call.on(call.wic_request("INVITE", cseq=7, body=ADDED)).only(act.ReserveMedia)
        assert [medium.kind for medium in reserve.media] == ["video"]
        done(call, reserve).only(act.ForwardRequest)
        actions = reply(call, 200, answer)
        while not actions.all(act.ForwardReply):
            actions = done(call, next(action for action in actions if not isinstance(action, act.Note)))
        return actions

    def test_is_added_once_the_far_end_has_it(self) -> None:
        call = running()
        actions = self.add(call, sdp.core_answer("audio", "video"))
        answer = sdp_from_text(actions.only(act.ForwardReply).edits.body or "")
        assert [(line.kind, line.rejected) for line in answer.media] == [("audio", False), ("video", False)]
        video = call.record.medium("video")
        assert video is not None
        assert (video.active, video.line, video.ims_line, video.codec) == (True, 1, 1, "vp8")

    def test_is_given_back_where_the_far_end_has_none(self) -> None:
        call = running()
        actions = self.add(call, sdp.core_answer("audio", "video", refuse=("video",)))
        assert actions.only(act.ReleaseMedia).kinds == ("video",)
        answer = sdp_from_text(actions.only(act.ForwardReply).edits.body or "")
        assert [line.rejected for line in answer.media] == [False, True]

    @pytest.mark.parametrize("how", ["refused", "unanswered"])
    def test_is_given_back_with_the_offer(self, how: str) -> None:
        call = running()
        before = state(call.record)
        reserve = call.on(call.wic_request("INVITE", cseq=7, body=ADDED)).only(act.ReserveMedia)
        done(call, reserve)
        actions = reply(call, 488) if how == "refused" else call.on(ev.ChangeFailed(Side.IMS, "INVITE", 487))
        assert actions.only(act.ReleaseMedia).kinds == ("video",)
        assert state(call.record) == before

    def test_is_given_back_with_the_call(self) -> None:
        call = running()
        done(call, call.on(call.wic_request("INVITE", cseq=7, body=ADDED)).only(act.ReserveMedia))
        actions = call.on(call.wic_request("BYE", cseq=8))
        assert actions.only(act.ReleaseMedia).kinds == ("audio", "video")

    def test_without_a_port_it_is_refused(self) -> None:
        call = running()
        reserve = call.on(call.wic_request("INVITE", cseq=7, body=ADDED)).only(act.ReserveMedia)
        assert failed(call, reserve).reply[0] == 503
        assert call.record.exchange is None

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            pytest.param((" VP8/90000", " AV2/90000"), "has lost VP8", id="lost"),
            # as a new connection of the browser numbers it; the relay translates no payload type of video
            pytest.param((r"\b96\b(?! typ)", "55"), "VP8 under another payload type", id="another number"),
        ],
    )
    def test_without_the_far_ends_codec_is_refused(self, changed: tuple[str, str], why: str) -> None:
        call = running()
        self.add(call, sdp.core_answer("audio", "video"))
        before = state(call.record)
        lines = offer_again(ADDED).splitlines(keepends=True)
        codecs = ("m=video", "a=rtpmap", "a=fmtp", "a=rtcp-fb")
        offer = "".join(re.sub(*changed, line) if line.startswith(codecs) else line for line in lines)
        sent = call.on(call.wic_request("INVITE", cseq=8, body=offer)).only(act.SendReply)
        assert sent.status == 488
        assert any(why in line for line in sent.headers)
        assert state(call.record) == before

    def test_is_switched_off(self) -> None:
        call = running()
        self.add(call, sdp.core_answer("audio", "video"))
        call.on(call.wic_request("ACK", cseq=7))
        off = offer_again(ADDED, off=["1"])
        forward = asked(call, off, cseq=8)
        assert [line.port == 0 for line in sdp_from_text(forward.edits.body or "").media] == [False, True]
        gate = reply(call, 200, sdp.core_answer("audio", "video", refuse=("video",)), cseq=8).only(
            act.GateMedia
        )
        assert done(call, gate).only(act.ReleaseMedia).kinds == ("video",)


class TestLateOffer:
    """RFC 3261 §14.2: the page asks for an offer and answers in its ACK."""

    def test_it_gets_what_it_was_told_last(self) -> None:
        call = running()
        actions = call.on(call.wic_request("INVITE", cseq=7))
        assert actions.names == ["Schedule", "SendReply"]
        offer = actions.only(act.SendReply).body
        assert sdp_from_text(offer).media[0].setup == "actpass"
        acked = call.on(call.wic_request("ACK", cseq=7, body=sdp.page_answer(offer)))
        for action in acked.all(act.RenewMedia) + acked.all(act.GateMedia):
            done(call, action)
        assert call.record.exchange is None
        assert call.record.wic_description == offer

    def test_video_that_the_page_refuses_in_it_is_given_back_and_the_core_hears_of_it(self) -> None:
        call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
        offer = call.on(call.wic_request("INVITE", cseq=7)).only(act.SendReply).body
        video = tuple(line.mid or "" for line in sdp_from_text(offer).media if line.kind == "video")
        actions = call.on(call.wic_request("ACK", cseq=7, body=sdp.page_answer(offer, refuse=video)))
        while actions.all(act.RenewMedia) + actions.all(act.GateMedia):
            (action,) = actions.all(act.RenewMedia) + actions.all(act.GateMedia)
            actions = done(call, action)
        assert actions.only(act.ReleaseMedia).kinds == ("video",)
        told = actions.only(act.SendRequest)
        assert told.to is Side.IMS
        assert [line.kind for line in sdp_from_text(told.body).media if line.rejected] == ["video"]

    @pytest.mark.parametrize("body", ["", "hello"])
    def test_a_bad_answer_changes_nothing(self, body: str) -> None:
        call = running()
        before = state(call.record)
        call.on(call.wic_request("INVITE", cseq=7))
        assert call.on(call.wic_request("ACK", cseq=7, body=body)).names == ["Unschedule"]
        assert state(call.record) == before

    def test_without_an_ack_it_is_void(self) -> None:
        call = running()
        before = state(call.record)
        call.on(call.wic_request("INVITE", cseq=7))
        call.on(ev.TimerFired(ev.Due.ANSWER_TIMEOUT))
        assert state(call.record) == before

    def test_a_page_that_goes_on_without_an_ack_is_heard(self) -> None:
        call = running()
        call.on(call.wic_request("INVITE", cseq=7))
        assert asked(call, cseq=8).change


class TestRefusedHere:
    """What is no offer we can take now."""

    def test_while_another_is_open(self) -> None:
        call = running()
        call.record.exchange = Exchange(Offerer.IMS, "UPDATE", 3, offer="v=0")
        assert call.on(call.wic_request("INVITE", cseq=7, body=HOLD)).reply[0] == 491

    @pytest.mark.parametrize("stage", ["answered_early", "updating", "forwarded", "ringing"])
    def test_before_the_call_is_answered(self, stage: str) -> None:
        call: Call = getattr(Call, stage)()
        assert call.on(call.wic_request("UPDATE", cseq=7, body=HOLD)).reply[0] == 491

    def test_once_the_call_is_over(self) -> None:
        call = running()
        call.on(call.ims_request("BYE", cseq=9))
        assert call.on(call.wic_request("INVITE", cseq=7, body=HOLD)).reply[0] == 481

    def test_an_extension_nobody_knows(self) -> None:
        call = running()
        event = call.wic_request("INVITE", cseq=7, body=HOLD, headers={"Require": ["time-travel, timer"]})
        sent = call.on(event).only(act.SendReply)
        assert (sent.status, sent.headers[0]) == (420, "Unsupported: time-travel")

    def test_a_broken_one(self) -> None:
        call = running()
        before = state(call.record)
        assert call.on(call.wic_request("INVITE", cseq=7, body="v=0\r\nhello")).reply[0] == 400
        assert state(call.record) == before


def test_a_page_that_is_the_dtls_server_stays_it() -> None:
    """RFC 8842 §5.5: it offers any role (JSEP), and the answer is not to turn that of the association that runs."""
    call = Incoming.ringing()
    call.answer(call.page_answer().replace("a=setup:active", "a=setup:passive"))
    call.on(call.ims_request("ACK", cseq=5))
    offer = sdp.page_answer(call.record.wic_description).replace("a=setup:active", "a=setup:actpass")
    for cseq in (1, 2, 3):
        answer = call.on(call.wic_request("INVITE", cseq=cseq, body=offer)).only(act.SendReply)
        assert [line.setup for line in sdp_from_text(answer.body).media] == ["active"]
        assert "a=setup:passive" in call.record.media[0].wic_offer
        call.on(call.wic_request("ACK", cseq=cseq))
