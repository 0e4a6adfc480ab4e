"""JsSIP's ACK of a re-INVITE may have another number than its INVITE: it is taken for what it can only be."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call.record import Exchange, Offerer
from kemi.core.call.renegotiation.own_offer import is_idle
from kemi.core.messages import Side
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call
from tests.unit.core.call.test_page_offer import HOLD, TWO_WAY, asked, done, reply, running

NUMBERS = [
    pytest.param(7, id="its own"),
    pytest.param(1, id="the first INVITE's"),
    pytest.param(4711, id="any"),
]
"""3.10.9 writes the second one in calls of its own, the third one in others."""


def held(call: Call, cseq: int, ims_cseq: int) -> None:
    """The page has held the call, and has its answer."""
    asked(call, cseq=cseq)
    done(call, reply(call, 200, sdp.core_answer(), cseq=ims_cseq).only(act.GateMedia))
    assert call.record.ack_awaited == cseq


@pytest.mark.parametrize("number", NUMBERS)
def test_of_a_change_that_was_answered_here(number: int) -> None:
    call = running()
    call.on(call.wic_request("INVITE", cseq=7, body=offer_again(TWO_WAY)))
    assert call.on(call.wic_request("ACK", cseq=number)).names == []
    assert is_idle(call.record)


@pytest.mark.parametrize("number", NUMBERS)
def test_of_a_change_that_the_core_has_answered(number: int) -> None:
    call = running()
    call.record.ims_cseq = 10
    held(call, 7, 11)
    ack = call.on(call.wic_request("ACK", cseq=number)).only(act.ForwardRequest)
    assert (ack.to, ack.edits.cseq, ack.edits.to_tag) == (Side.IMS, 11, "core1")
    assert is_idle(call.record)


def test_of_a_second_try_after_491() -> None:
    """All versions, up to 3.13.8: the number of the first try."""
    call = running()
    call.record.exchange = Exchange(Offerer.GATEWAY_TO_IMS, "INVITE", 50)
    assert call.on(call.wic_request("INVITE", cseq=7, body=HOLD)).reply[0] == 491
    call.record.exchange = None
    held(call, 8, 8)
    ack = call.on(call.wic_request("ACK", cseq=7)).only(act.ForwardRequest)
    assert ack.edits.cseq == 8
    assert is_idle(call.record)
