"""Where a page is reached: its newest Contact, in requests and in 2xx (RFC 3261 §12.2, RFC 3311 §5.1)."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call

OTHER = "sip:other@page.invalid;transport=ws"
HOLD = sdp.core_answer().replace("a=sendrecv", "a=sendonly")


def test_an_update_without_a_description_moves_it() -> None:
    call = Call.confirmed()
    call.on(call.wic_request("UPDATE", cseq=5, contact=f"<{OTHER}>"))
    assert call.on(call.ims_request("BYE")).only(act.ForwardRequest).edits.request_uri == OTHER


@pytest.mark.parametrize(("status", "moves"), [(200, True), (488, False)])
def test_its_answer_to_an_update_of_ours_may(status: int, moves: bool) -> None:
    call = Call.confirmed()
    before = call.record.wic_contact
    call.on(ev.UpdateAnswered(status, contact=f"<{OTHER}>"))
    assert call.record.wic_contact == (OTHER if moves else before)


def test_so_may_that_to_a_re_invite_of_ours_whose_ack_goes_there() -> None:
    call = Call.confirmed()
    call.record.wic_takes_update = False
    asked = call.on(call.ims_request("UPDATE", body=HOLD)).only(act.ReofferFromIms)
    told = call.on(ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, asked.bearer)).only(act.SendRequest)
    cseq = call.record.gateway_cseq
    reply = call.wic_reply(200, method="INVITE", cseq=cseq, contact=f"<{OTHER}>").reply
    reply.body, reply.content_type = sdp.page_answer(told.body), "application/sdp"
    done = call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, 200, reply))
    assert done.only(act.SendRequest).request_uri == OTHER


def test_and_that_to_a_re_invite_of_the_core() -> None:
    call = Call.confirmed()
    cseq = call.on(call.ims_request("INVITE", body=HOLD)).only(act.ForwardRequest).edits.cseq
    assert cseq
    taken = call.wic_reply(200, method="INVITE", cseq=cseq, contact=f"<{OTHER}>")
    call.on(taken)
    assert call.record.wic_contact == OTHER
