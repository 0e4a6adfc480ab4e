"""RFC 4028 on each side, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.record import Exchange, Offerer
from kemi.core.errors import SipReject
from kemi.core.messages import Reply, Side
from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import CALLER_TAG, Incoming
from tests.unit.core.call.incoming_ladder import invite as core_invite
from tests.unit.core.call.ladder import Call, header_reader, invite
from tests.unit.core.call.sessions import PAGE, Fields, answered, lines, own_answer, waits


def version(description: SessionDescription) -> int:
    """Return how often it was changed."""
    return int(description.session.values("o")[0].split()[2])


class TestWithTheCore:
    """Calls of pages."""

    @pytest.mark.parametrize(
        ("session", "expected"),
        [
            pytest.param([], {}, id="none"),
            pytest.param(["1800;refresher=uac"], {"session_refresh": 900.0}, id="ours"),
            pytest.param(["1800;refresher=uas"], {"session_expired": 1768.0}, id="theirs"),
            pytest.param(["90;refresher=uas"], {"session_expired": 60.0}, id="theirs, short"),
            pytest.param(["0;refresher=uas"], {"session_expired": 60.0}, id="theirs, too short"),
            pytest.param(["0;refresher=uac"], {"session_refresh": 45.0}, id="ours, too short"),
            pytest.param(["soon"], {}, id="unreadable"),
        ],
    )
    def test_the_answer_decides_who_refreshes_and_when(
        self, session: list[str], expected: dict[str, float]
    ) -> None:
        call = answered({"Session-Expires": session})
        assert {due: wait for due, wait in waits(call.actions).items() if due != "too_long"} == expected

    def test_the_page_s_own_session_stays_with_us(self) -> None:
        page = {**PAGE, "Session-Expires": ["90"], "Min-SE": ["90"]}
        call = Call(invite(sdp.chromium("audio-sendrecv"), page))
        call.on(ev.TransactionCreated(1, 2))
        edits = call.reserved().only(act.ForwardInvite).edits
        assert {"Session-Expires", "Min-SE", "Supported", "Require"} <= set(edits.remove)
        assert lines(edits, "Session-Expires") == ["1800"]
        assert lines(edits, "Min-SE") == ["90"]
        assert lines(edits, "Supported") == ["100rel, outbound, timer"]

    def test_no_session_where_the_site_wants_none(self) -> None:
        call = Call(invite(sdp.chromium("audio-sendrecv"), PAGE))
        call.settings = replace(call.settings, session_expires_s=0)
        call.on(ev.TransactionCreated(1, 2))
        assert lines(call.reserved().only(act.ForwardInvite).edits, "Session-Expires") == []

    @pytest.mark.parametrize(
        ("allow", "method"),
        [
            pytest.param(["INVITE, UPDATE"], "UPDATE", id="UPDATE"),
            pytest.param(["INVITE"], "INVITE", id="re-INVITE"),
        ],
    )
    def test_a_refresh_changes_nothing(self, allow: list[str], method: str) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"], "Allow": allow})
        request = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)
        assert (request.method, request.report) == (method, True)
        assert request.body == (call.record.ims_description if method == "INVITE" else "")
        assert "Session-Expires: 1800;refresher=uac" in request.headers
        ours = {"Session-Expires": ["1800;refresher=uac"]}
        assert waits(call.on(own_answer(call, 200, ours))) == {"session_refresh": 900.0}

    def test_a_refresh_without_session_expires_in_its_answer_was_the_last(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        ack = call.on(own_answer(call, 200)).only(act.SendRequest)  # with a branch of its own (§17.1.1.3)
        assert (ack.method, call.actions.names) == ("ACK", ["SendRequest"])
        assert call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).names == []

    def test_the_far_end_may_take_the_refreshes_over(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        theirs = own_answer(call, 200, {"Session-Expires": ["1800;refresher=uas"]})
        assert waits(call.on(theirs)) == {"session_expired": 1768.0}

    @pytest.mark.parametrize("status", [408, 481])
    def test_a_call_the_far_end_does_not_know_is_over(self, status: int) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        ended = call.on(own_answer(call, status))
        assert [request.method for request in ended.all(act.SendRequest)][-2:] == ["BYE", "BYE"]

    def test_refused_refreshes_are_repeated_until_time_is_up(self) -> None:
        call = answered({"Session-Expires": ["90;refresher=uac"], "Allow": ["UPDATE"]})
        for _ in range(4):
            call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
            assert waits(call.on(own_answer(call, 500))) == {"session_refresh": 3.0}
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        assert "BYE" in [request.method for request in call.on(own_answer(call, 500)).all(act.SendRequest)]

    @pytest.mark.parametrize("status", [400, 403, 415, 488, 500])
    def test_a_far_end_that_refuses_update_without_a_description_gets_an_invite(self, status: int) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"], "Allow": ["UPDATE"]})
        first = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)
        assert waits(call.on(own_answer(call, status))) == {"session_refresh": 173.6}
        sent = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)
        assert (first.method, sent.method, sent.body) == ("UPDATE", "INVITE", call.record.ims_description)
        ours = {"Session-Expires": ["1800;refresher=uac"]}
        assert waits(call.on(own_answer(call, 200, ours))) == {"session_refresh": 900.0}

    @pytest.mark.parametrize("busy", [(491, None), (500, 2), (503, 2)])
    def test_one_that_is_busy_gets_the_same_again(self, busy: tuple[int, int | None]) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"], "Allow": ["UPDATE"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        call.on(replace(own_answer(call, busy[0]), retry_after_s=busy[1]))
        assert call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest).method == "UPDATE"

    def test_after_glare_a_moment_is_waited(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        assert waits(call.on(own_answer(call, 491))) == {"session_refresh": 3.05}

    @pytest.mark.parametrize(
        ("body", "port"),
        [(sdp.core_answer(), ""), (sdp.core_answer(port=50000), "50000"), ("no description", "")],
    )
    def test_the_answer_may_move_the_far_ends_media(self, body: str, port: str) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        event = own_answer(call, 200)
        assert event.reply is not None
        event.reply.body, event.reply.content_type = body, "application/sdp"
        changes = [change for one in call.on(event).all(act.ReofferFromIms) for change in one.media]
        assert [f"m=audio {port} " in change.ims_line for change in changes] == ([True] if port else [])
        assert call.record.media[0].active

    @pytest.mark.parametrize(
        "change",
        [("a=sendrecv", "a=sendonly"), ("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0")],
        ids=["as written", "as RFC 2543 had it"],
    )
    def test_an_answer_that_holds_is_told_the_page(self, change: tuple[str, str]) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(call.wic_request("ACK", cseq=1))
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        event = own_answer(call, 200)
        assert event.reply is not None
        event.reply.body = sdp.core_answer().replace(*change)
        event.reply.content_type = "application/sdp"
        done = call.on(event)
        assert not done.all(act.ReofferFromIms)  # the relay would begin its SRTP index anew
        sent = done.all(act.SendRequest)
        assert [(one.to, one.method) for one in sent] == [(Side.IMS, "ACK"), (Side.WIC, "UPDATE")]

    @pytest.mark.parametrize("told", [True, False])
    def test_an_answer_that_takes_less_video_is_told_the_page(self, told: bool) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]}, kinds=("audio", "video"))
        call.on(call.wic_request("ACK", cseq=1))
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        event = own_answer(call, 200)
        assert event.reply is not None
        less = "b=AS:128\r\na=rtpmap:96" if told else "a=rtpmap:96"
        event.reply.body = sdp.core_answer("audio", "video", port=41000).replace("a=rtpmap:96", less)
        event.reply.content_type = "application/sdp"
        done = call.on(event)
        assert done.only(act.ReofferFromIms)
        to_page = [one for one in done.all(act.SendRequest) if one.to is Side.WIC]
        assert ["b=AS:128" in one.body for one in to_page] == ([True] if told else [])

    def test_the_answer_may_move_the_far_end(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        event = own_answer(call, 200)
        assert event.reply is not None
        event.reply.contact = "<sip:bob@203.0.113.9>"
        call.on(event)
        bye = call.on(call.wic_request("BYE")).only(act.ForwardRequest)
        assert bye.edits.request_uri == "sip:bob@203.0.113.9"

    def test_too_short_a_session_is_prolonged(self) -> None:
        call = answered({"Session-Expires": ["90;refresher=uac"], "Allow": ["UPDATE"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        again = call.on(own_answer(call, 422, {"Min-SE": ["600"]})).only(act.SendRequest)
        assert {"Session-Expires: 600;refresher=uac", "Min-SE: 600"} <= set(again.headers)

    def test_an_update_that_is_not_taken_becomes_a_reinvite(self) -> None:
        call = answered({"Session-Expires": ["90;refresher=uac"], "Allow": ["UPDATE"]})
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        assert call.on(own_answer(call, 501)).only(act.SendRequest).method == "INVITE"

    def test_a_call_that_has_ended_is_not_refreshed(self) -> None:
        call = answered({"Session-Expires": ["90;refresher=uac"]})
        call.on(call.wic_request("BYE"))
        assert call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).names == []
        assert call.on(ev.TimerFired(ev.Due.SESSION_EXPIRED)).names == []


class TestFromTheCore:
    """Calls towards pages."""

    @pytest.mark.parametrize(
        ("fields", "expected", "due"),
        [
            pytest.param({"Supported": ["timer"]}, "1800;refresher=uac", "session_expired", id="supported"),
            pytest.param(
                {"Supported": ["timer"], "Min-SE": ["7200;x=1"]},
                "7200;refresher=uac",
                "session_expired",
                id="no shorter than its least",
            ),
            pytest.param(
                {"Supported": ["timer"], "Min-SE": ["90"]},
                "1800;refresher=uac",
                "session_expired",
                id="its least is less",
            ),
            pytest.param(
                {"Supported": ["timer"], "Session-Expires": ["600"]},
                "600;refresher=uac",
                "session_expired",
                id="asked for",
            ),
            pytest.param(
                {"Require": ["timer"], "Session-Expires": ["600;refresher=uas"]},
                "600;refresher=uas",
                "session_refresh",
                id="left to us",
            ),
            pytest.param(
                {"Supported": [], "Session-Expires": ["60"]},
                "90;refresher=uas",
                "session_refresh",
                id="asked for by a proxy",
            ),
        ],
    )
    def test_what_is_agreed(self, fields: Fields, expected: str, due: str) -> None:
        call = Incoming.ringing(core_invite(headers=fields))
        call.answer()
        edits = call.actions.only(act.ForwardReply).edits
        assert lines(edits, "Session-Expires") == [expected]
        assert lines(edits, "Require") == (["timer"] if "uac" in expected else [])
        assert due in waits(call.actions)

    def test_a_caller_without_it_gets_none(self) -> None:
        call = Incoming.ringing(core_invite(headers={"Supported": ["100rel"]}))
        call.answer()
        assert lines(call.actions.only(act.ForwardReply).edits, "Session-Expires") == []

    def test_too_short_is_refused_with_what_we_want(self) -> None:
        with pytest.raises(SipReject) as refusal:
            Incoming(core_invite(headers={"Session-Expires": ["89"]}))
        assert (refusal.value.status, refusal.value.lines) == (422, ("Min-SE: 90",))

    def test_a_refresh_starts_the_clock_anew_and_keeps_the_parts(self) -> None:
        call = Incoming.confirmed(core_invite(headers={"Session-Expires": ["600;refresher=uas"]}))
        timer = {"Supported": ["timer"], "Session-Expires": ["900"]}
        done = call.on(call.ims_request("UPDATE", headers=timer))
        assert "Session-Expires: 900;refresher=uas" in done.only(act.SendReply).headers
        assert waits(done) == {"session_refresh": 450.0}
        assert not done.all(act.ReofferFromIms)

    def test_the_page_answers_with_a_session_of_its_own_which_stays_here(self) -> None:
        call = Incoming.ringing(core_invite(headers={"Supported": []}))
        event = call.wic_reply(
            200, body=call.page_answer(), headers={"Session-Expires": ["90;refresher=uas"]}
        )
        call.on(call.connected(call.on(event).only(act.ConnectIncoming)))
        assert "Session-Expires" in call.actions.only(act.ForwardReply).edits.remove

    def test_a_refresh_is_an_offer_whatever_was_answered(self) -> None:
        """RFC 3264 §8: other words have another version, and the same ones have the same."""
        there = "a=curr:qos local sendrecv\r\na=des:qos mandatory local sendrecv\r\n"
        fields = {"Session-Expires": ["600;refresher=uas"], "Require": ["precondition"]}
        call = Incoming.confirmed(core_invite(core_invite().body + there, fields))
        told = sdp_from_text(call.record.ims_description)
        assert told.media[0].attributes("des")
        first = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)
        offer = sdp_from_text(first.body)
        assert not {"a=curr", "a=des"} & {line.partition(":")[0] for line in offer.media[0].body}
        assert version(offer) == version(told) + 1
        assert call.record.far_checksum == ""
        assert call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest).body == first.body

    def test_our_reinvite_is_not_taken_for_the_page_s_answer(self) -> None:
        call = Incoming.confirmed(core_invite(headers={"Session-Expires": ["600;refresher=uas"]}))
        request = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)
        assert (request.method, request.to) == ("INVITE", Side.IMS)
        reply = Reply(Side.IMS, "INVITE", call.record.call_id, "gw-in-1", CALLER_TAG, 1, status=200)
        assert call.on(ev.ImsReply(reply)).names == []


class TestWithADescription:
    """A re-INVITE that says what was said before is a refresh: the relay and the page never hear of it."""

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_in_a_call_the_page_made(self, method: str) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uas"]})
        call.on(call.wic_request("ACK", cseq=1))
        done = call.on(call.ims_request(method, body=sdp.core_answer()))
        assert "ReofferFromIms" not in done.names
        assert done.only(act.SendReply).body == call.record.ims_description

    def test_in_a_call_the_page_answered(self) -> None:
        call = Incoming.confirmed()
        same = call.on(call.ims_request("INVITE", body=core_invite().body))
        assert same.only(act.SendReply).body == call.record.ims_description
        assert not same.all(act.ReofferFromIms)

    def test_another_description_is_an_offer(self) -> None:
        call = Incoming.confirmed()
        held = core_invite().body.replace("a=sendrecv", "a=sendonly")
        assert not call.on(call.ims_request("INVITE", body=held)).all(act.SendReply)


class TestWhileAnOfferIsOpen:
    """Our refresh and our own offers do not take each other's answers."""

    def test_the_core_s_answer_to_our_refresh_is_not_the_page_s_to_our_offer(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"], "Allow": ["UPDATE"]})
        call.on(call.wic_request("ACK", cseq=1))
        call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        done = own_answer(call, 200, {"Session-Expires": ["1800;refresher=uac"]})
        call.record.exchange = Exchange(Offerer.GATEWAY_TO_WIC, "UPDATE", done.cseq)
        assert call.on(done).names == ["Schedule"]
        assert call.record.exchange is not None

    def test_a_refresh_by_reinvite_waits_for_the_end_of_an_exchange(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.record.exchange = Exchange(Offerer.WIC, "INVITE", 9)
        waiting = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))
        assert waiting.names == ["Schedule"]

    def test_the_core_s_answer_to_our_refresh_is_not_its_answer_to_the_page(self) -> None:
        """Though both have one number where they come from: of a page that was called the first request has 1."""
        request = core_invite(headers={"Session-Expires": ["600;refresher=uas"], "Allow": ["UPDATE"]})
        call = Incoming.confirmed(request)
        refresh = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)
        assert "CSeq: 1 UPDATE" in refresh.headers
        hold = sdp.page_answer(call.record.wic_description).replace("a=sendrecv", "a=sendonly")
        call.on(call.wic_request("UPDATE", cseq=1, body=hold.replace("a=setup:active", "a=setup:actpass")))
        assert call.actions.only(act.ForwardRequest).edits.cseq == 2
        reply = Reply(Side.IMS, "UPDATE", call.record.call_id, "gw-in-1", CALLER_TAG, 1, status=200)
        assert call.on(ev.ImsReply(reply)).names == []
        assert call.record.exchange is not None

    def test_a_page_s_offer_to_the_core_waits_for_our_reinvite(self) -> None:
        """RFC 3261 §14.1: one INVITE at a time."""
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(call.wic_request("ACK", cseq=1))
        assert call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest).method == "INVITE"
        done = own_answer(call, 200, {"Session-Expires": ["1800;refresher=uac"]})
        hold = sdp.page_answer(call.record.wic_description).replace("a=sendrecv", "a=sendonly")
        assert call.on(call.wic_request("UPDATE", cseq=9, body=hold)).reply[0] == 491
        call.on(done)
        assert call.on(call.wic_request("UPDATE", cseq=10, body=hold)).only(act.ForwardRequest)

    def test_a_reinvite_of_the_core_does_not_cross_ours(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(call.wic_request("ACK", cseq=1))
        refresh = call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)
        assert refresh.method == "INVITE"
        done = own_answer(call, 200, {"Session-Expires": ["1800;refresher=uac"]})
        other = sdp.core_answer(port=41000)
        assert call.on(call.ims_request("INVITE", body=other)).reply[0] == 491
        call.on(done)
        assert not call.on(call.ims_request("INVITE", cseq=2, body=other)).all(act.SendReply)


class TestWithThePage:
    """A page that asks for a session refreshes it."""

    def test_it_is_told_to_refresh_and_missed_when_it_does_not(self) -> None:
        call = answered({}, page={**PAGE, "Session-Expires": ["90"]})
        edits = call.actions.only(act.ForwardReply).edits
        assert lines(edits, "Session-Expires") == ["90;refresher=uac"]
        assert lines(edits, "Require") == ["timer"]
        assert waits(call.actions)["page_session_expired"] == 60.0
        fields = {"Session-Expires": ["90;refresher=uac"], "Supported": ["timer"]}
        done = call.on(call.wic_request("UPDATE", headers=fields))
        assert "Session-Expires: 90;refresher=uac" in done.only(act.SendReply).headers
        assert waits(done) == {"page_session_expired": 60.0}
        ended = call.on(ev.TimerFired(ev.Due.PAGE_SESSION_EXPIRED))
        assert {request.to for request in ended.all(act.SendRequest)} == {Side.IMS, Side.WIC}

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"Supported": ["outbound"], "Session-Expires": ["90"]}, id="not its extension"),
            pytest.param({"Session-Expires": ["90;refresher=uas"]}, id="we were to refresh"),
            pytest.param({}, id="nothing asked"),
        ],
    )
    def test_others_get_none(self, fields: Fields) -> None:
        call = answered({}, page={**PAGE, **fields})
        assert lines(call.actions.only(act.ForwardReply).edits, "Session-Expires") == []
        assert "page_session_expired" not in waits(call.actions)


class TestTooShortForTheCore:
    """RFC 4028 §7.3: 422 to the INVITE."""

    @staticmethod
    def refused(min_se: str, *, ringing: bool = False) -> Call:
        """The core refuses our INVITE."""
        call = Call.ringing() if ringing else Call.forwarded()
        reply = call.ims_reply(422).reply
        reply.headers = header_reader({"Min-SE": [min_se]})
        call.on(ev.ImsReply(reply))
        call.on(ev.ImsFailed(422))
        return call

    def test_tried_again_with_what_it_wants(self) -> None:
        call = self.refused("3600")
        again = call.actions.only(act.ForwardInvite)
        assert (again.again, again.edits.cseq, again.edits.body) == (True, 2, call.record.ims_description)
        assert lines(again.edits, "Session-Expires") == lines(again.edits, "Min-SE") == ["3600"]
        ringing = call.on(call.ims_reply(180, cseq=2)).only(act.ForwardReply)
        assert ringing.edits.cseq == 1
        event = call.ims_reply(200, body=sdp.core_answer(), cseq=2)
        call.on(event)
        call.on(ev.MediaConnected(event.reply))
        assert call.on(call.wic_request("ACK", cseq=1)).only(act.ForwardRequest).edits.cseq == 2
        assert (
            call.record.acknowledged
        )  # what waits for it goes on: hanging up, lost media, lines that are due

    @pytest.mark.parametrize("min_se", ["600", "soon", ""])
    def test_not_for_less_than_we_offered(self, min_se: str) -> None:
        assert self.refused(min_se).actions.names == ["ReleaseMedia", "ForgetCall"]

    def test_once_only(self) -> None:
        call = self.refused("3600")
        assert call.on(ev.ImsFailed(422)).names == ["ReleaseMedia", "ForgetCall"]

    def test_not_once_somebody_rang(self) -> None:
        assert self.refused("3600", ringing=True).actions.names == ["ReleaseMedia", "ForgetCall"]
