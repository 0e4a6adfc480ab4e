"""Offers of the page and responses of the core that are none to them, come again, or ask too much of the relay."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Reply, Side
from kemi.core.sdp.text import sdp_from_text
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Actions, Call
from tests.unit.core.call.test_page_offer import ADDED, HOLD, TWO_WAY, asked, done, failed, reply, running

WITHOUT = offer_again(ADDED, off=["1"])


def directions(text: str) -> list[str]:
    """How the lines of a description are told, "off" for one with port 0."""
    return [line.direction.value if line.port else "off" for line in sdp_from_text(text).media]


def changing(call: Call, body: str, cseq: int) -> Actions:
    """The page's change has reached the core, which takes it: what is asked of the relay then."""
    actions = call.on(call.wic_request("INVITE", cseq=cseq, body=body))
    if actions.all(act.ReserveMedia):
        actions = done(call, actions.only(act.ReserveMedia))
    lines = sdp_from_text(actions.only(act.ForwardRequest).edits.body or "").media
    refuse = tuple(line.kind for line in lines if not line.port)
    return reply(call, 200, sdp.core_answer(*(line.kind for line in lines), refuse=refuse), cseq=cseq)


def test_an_answer_to_an_offer_before_the_last_is_acknowledged_too() -> None:
    call = running()
    done(call, changing(call, HOLD, 7)[0])
    call.on(call.wic_request("ACK", cseq=7))  # is lost on its way to the core
    asked(call, TWO_WAY, cseq=8)
    for _ in range(2):
        again = reply(call, 200, sdp.core_answer(), cseq=7)
        assert again.names == ["DropReply", "SendRequest"]
        assert "CSeq: 7 ACK" in again.only(act.SendRequest).headers
    done(call, reply(call, 200, sdp.core_answer(), cseq=8)[0]).only(act.ForwardReply)
    assert reply(call, 200, sdp.core_answer(), cseq=7).names == ["DropReply", "SendRequest"]


def test_an_answer_to_a_request_of_ours_with_the_pages_number_is_none() -> None:
    call = running()
    call.record.ims_cseq = 6
    ours = call.record.next_ims_cseq()  # a refresh, whose ACK is lost
    forward = asked(call, cseq=ours)
    assert forward.edits.cseq == ours + 1
    again = reply(call, 200, sdp.core_answer(), cseq=ours)
    assert again.names == ["DropReply", "SendRequest"]  # which acknowledges it
    assert call.record.exchange is not None and not call.record.exchange.settling
    gate = reply(call, 200, sdp.core_answer(), cseq=ours + 1).only(act.GateMedia)
    assert done(call, gate).only(act.ForwardReply).edits.cseq == ours


@pytest.mark.parametrize(
    ("before", "body", "told", "still"),
    [
        pytest.param(TWO_WAY, HOLD, ["sendonly"], ["sendrecv"], id="hold"),
        pytest.param(HOLD, TWO_WAY, ["sendrecv"], ["sendonly"], id="resume"),
        pytest.param(TWO_WAY, ADDED, ["sendrecv", "sendrecv"], ["sendrecv", "off"], id="video added"),
        pytest.param(ADDED, WITHOUT, ["sendrecv", "off"], ["sendrecv", "sendrecv"], id="removed"),
    ],
)
def test_a_far_end_that_has_taken_what_the_relay_cannot_hears_what_still_holds(
    before: str, body: str, told: list[str], still: list[str]
) -> None:
    call = running()
    if before != TWO_WAY:
        actions = changing(call, before, 6)
        while not actions.all(act.ForwardReply):
            actions = done(call, actions[0])
        call.on(call.wic_request("ACK", cseq=6))
    errand = changing(call, body, 7)[0]
    assert call.record.exchange is not None
    assert directions(call.record.exchange.ims_description) == told
    failed(call, errand)
    own = reply(call, 488).only(act.SendRequest)
    assert (own.to, own.method, directions(own.body)) == (Side.IMS, "INVITE", still)


def test_a_response_to_an_invite_of_our_own_is_not_the_pages() -> None:
    call = running()
    response = Reply(Side.IMS, "INVITE", "call-1", "page", "core1", 99, status=200)
    assert call.on(ev.ImsReply(response)).names == []
