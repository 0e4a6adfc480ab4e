"""A response whose call is over and forgotten while the relay is told what it says."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call.lifetime.ending import answered_too_late
from tests.unit.core.call.incoming_ladder import Incoming
from tests.unit.core.call.ladder import Call


@pytest.mark.parametrize(("method", "status"), [("INVITE", 487), ("UPDATE", 481)])
def test_a_page_that_waits_is_refused_in_the_core_s_name(method: str, status: int) -> None:
    call = Call.confirmed()
    actions = answered_too_late(call.record.key, call.ims_reply(200, method=method, cseq=3).reply)
    assert [type(one) for one in actions] == [act.DropReply, act.AnswerForCore]
    refusal = actions[-1]
    assert isinstance(refusal, act.AnswerForCore)
    assert refusal.status == status


def test_what_is_no_final_response_is_dropped() -> None:
    assert answered_too_late("call-1", Call.forwarded().ims_reply(183).reply) == [act.DropReply()]


def test_so_is_what_a_page_says() -> None:
    """Its caller has had a final response."""
    assert answered_too_late("call-1", Incoming.ringing().wic_reply(200).reply) == [act.DropReply()]
