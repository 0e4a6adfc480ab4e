"""Digits that wait in the relay as somebody holds the call are dropped: a gate would keep them until the resume."""

from __future__ import annotations

import copy
import re

import pytest

from kemi.core.call import actions as act
from kemi.core.call.media.far_answer import follow_far_end
from kemi.core.sdp.model import Direction
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import SETTINGS, Call
from tests.unit.core.call.test_core_offer import HOLD, MOVED, cseq_of, page_answers
from tests.unit.core.call.test_page_offer import TWO_WAY, asked, done, reply, running


@pytest.mark.parametrize(
    ("armed", "direction", "told"),
    [(True, "inactive", "RenewMedia"), (True, "sendonly", "GateMedia"), (False, "inactive", "GateMedia")],
)
def test_the_page_holds(armed: bool, direction: str, told: str) -> None:
    call = running()
    call.record.digits_armed = armed
    asked(call, offer_again(TWO_WAY, {"0": direction}))
    actions = reply(call, 200, sdp.core_answer())
    assert actions.names == [told]
    for renew in actions.all(act.RenewMedia):
        assert renew.new_encoder
        assert [change.wic_to_ims for change in renew.media] == [False]
        assert done(call, renew).only(act.ForwardReply)


def test_the_page_holds_and_the_far_end_answers_from_elsewhere() -> None:
    call = running()
    call.record.digits_armed = True
    asked(call, offer_again(TWO_WAY, {"0": "inactive"}))
    elsewhere = re.sub(r"m=audio \d+", "m=audio 45678", sdp.core_answer())
    renew = reply(call, 200, elsewhere).only(act.RenewMedia)
    assert renew.new_encoder
    assert [change.wic_to_ims for change in renew.media] == [False]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_far_end_holds_by_its_answer_to_us(elsewhere: bool) -> None:
    call = Call.confirmed()
    call.record.digits_armed = True
    before = copy.deepcopy(call.record.media)
    medium = call.record.media[0]
    medium.ims_direction = Direction.INACTIVE
    if elsewhere:
        medium.ims_answer = re.sub(r"m=audio \d+", "m=audio 45678", medium.ims_answer)
    (first,) = follow_far_end(call.record, before, SETTINGS)
    assert isinstance(first, act.ReofferFromIms if elsewhere else act.RenewMedia)
    assert first.new_encoder
    (again,) = follow_far_end(call.record, copy.deepcopy(call.record.media), SETTINGS)
    assert isinstance(again, act.GateMedia), "once is enough"


@pytest.mark.parametrize(("armed", "body"), [(True, HOLD), (True, MOVED), (False, HOLD)])
def test_the_far_end_holds(armed: bool, body: str) -> None:
    call = Call.confirmed()
    call.record.digits_armed = armed
    offered = call.on(call.ims_request("INVITE", body=body))
    if body == HOLD:
        offered = page_answers(call, offered, cseq_of(offered))
    assert offered.only(act.ReofferFromIms).new_encoder is (armed and body == HOLD)
