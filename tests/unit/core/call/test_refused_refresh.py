"""What an offer that is refused leaves of session and target: all of it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call
from tests.unit.core.call.sessions import PAGE, answered, waits
from tests.unit.core.call.test_page_offer import HOLD, TWO_WAY


class TestRefused:
    """Only a 2xx refreshes a session or moves its far end (RFC 4028 §7.2, RFC 6141 §3.4)."""

    FAX: Final = sdp.core_answer().replace("m=audio", "m=image").replace("RTP/AVP 8", "udptl t38")
    MOVES: Final = "<sip:bob@203.0.113.9>"
    WITH_SESSION: Final = MappingProxyType(
        {"Supported": ["timer"], "Session-Expires": ["1800;refresher=uac"]}
    )

    @pytest.mark.parametrize("fields", [{}, WITH_SESSION])
    def test_an_offer_that_is_not_taken_changes_nothing(self, fields: Mapping[str, list[str]]) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(call.wic_request("ACK", cseq=1))
        before = (call.record.ims_session, call.record.legs["core1"].contact)
        refused = call.on(call.ims_request("INVITE", body=self.FAX, contact=self.MOVES, headers=fields))
        assert (refused.reply[0], refused.names) == (488, ["SendReply"])
        assert (call.record.ims_session, call.record.legs["core1"].contact) == before
        assert call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)

    def test_nor_does_one_that_the_page_does_not_take(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(call.wic_request("ACK", cseq=1))
        before = (deepcopy(call.record.ims_session), call.record.legs["core1"].contact)
        hold = sdp.core_answer().replace("a=sendrecv", "a=sendonly")
        asked = call.on(call.ims_request("INVITE", body=hold, contact=self.MOVES, headers=self.WITH_SESSION))
        cseq = asked.only(act.ForwardRequest).edits.cseq
        assert cseq
        assert waits(asked) == {}
        again = {"session_refresh": 1.0}  # it depends on the page's answer
        assert waits(call.on(ev.TimerFired(ev.Due.SESSION_REFRESH))) == again
        assert waits(call.on(call.wic_reply(491, method="INVITE", cseq=cseq))) == {}
        assert (call.record.ims_session, call.record.legs["core1"].contact) == before
        assert call.on(ev.TimerFired(ev.Due.SESSION_REFRESH)).only(act.SendRequest)

    @pytest.mark.parametrize(("status", "clock"), [(200, {"session_expired": 1768.0}), (488, {})])
    def test_nor_does_a_name_that_the_page_does_not_take(self, status: int, clock: dict[str, float]) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(call.wic_request("ACK", cseq=1))
        before = call.record.ims_session
        names = call.ims_request("UPDATE", headers=self.WITH_SESSION)
        asked = call.on(replace(names, request=replace(names.request, from_uri="sip:carol@ims.example")))
        cseq = asked.only(act.ForwardRequest).edits.cseq
        assert cseq
        assert waits(asked) == {}
        assert waits(call.on(call.wic_reply(status, method="UPDATE", cseq=cseq))) == clock
        assert (call.record.ims_session == before) is (status != 200)

    def test_the_clock_of_a_page_is_set_with_its_200(self) -> None:
        mine = {**PAGE, "Session-Expires": ["600"]}
        call = Call.confirmed(body=TWO_WAY)
        hold = call.wic_request("INVITE", cseq=5, body=HOLD, headers=mine)
        asked = call.on(hold).only(act.ForwardRequest)
        assert waits(call.actions) == {}
        assert waits(call.on(ev.TimerFired(ev.Due.PAGE_SESSION_EXPIRED))) == {"page_session_expired": 1.0}
        cseq = asked.edits.cseq or 5
        held = sdp.core_answer().replace("a=sendrecv", "a=recvonly")
        taken = call.on(call.ims_reply(200, method="INVITE", cseq=cseq, body=held))
        taken = call.on(ev.MediaGated(taken.only(act.GateMedia).bearer))
        assert taken.only(act.ForwardReply).edits.body
        assert waits(taken) == {"page_session_expired": 568.0}

    def test_nor_does_one_of_the_page(self) -> None:
        mine = {**PAGE, "Session-Expires": ["600"]}
        call = answered({}, page=mine)
        call.on(call.wic_request("ACK", cseq=1))
        before = (call.record.wic_session, call.record.wic_contact)
        assert before[0] is not None
        bad = call.wic_request("INVITE", cseq=5, body="no description")
        assert call.on(bad).reply[0] == 400
        assert (call.record.wic_session, call.record.wic_contact) == before

    def test_one_that_is_taken_does(self) -> None:
        call = answered({"Session-Expires": ["1800;refresher=uac"]})
        call.on(call.wic_request("ACK", cseq=1))
        moved = sdp.core_answer(port=41000)
        asked = call.on(call.ims_request("INVITE", body=moved, contact=self.MOVES, headers=self.WITH_SESSION))
        bearer = asked.only(act.ReofferFromIms).bearer
        assert waits(asked) == {}
        taken = call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, bearer))
        assert waits(taken) == {"session_expired": 1768.0}
        assert call.record.legs["core1"].contact == "sip:bob@203.0.113.9"
        session = call.record.ims_session
        assert session is not None
        assert not session.we_refresh

    def test_so_does_an_update_of_the_page_without_an_offer(self) -> None:
        call = Call.confirmed()
        moved = "<sip:y@page.invalid;transport=ws>"
        assert call.on(call.wic_request("UPDATE", contact=moved)).reply[0] == 200
        assert call.record.wic_contact == "sip:y@page.invalid;transport=ws"
