"""A page that answers an offer of the core when nobody waits for that any more."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call
from tests.unit.core.call.test_core_offer import HOLD, cseq_of, with_body


@pytest.mark.parametrize("status", [408, 487])
def test_a_page_that_answers_after_the_core_was_told_that_it_does_not_gets_its_ack(status: int) -> None:
    """Without one it would end the call 32 s later (RFC 3261 §13.3.1.4)."""
    call = Call.confirmed()
    asked = call.on(call.ims_request("INVITE", body=HOLD))
    call.on(ev.ChangeFailed(Side.WIC, "INVITE", status))
    answer = sdp.page_answer(asked.only(act.ForwardRequest).edits.body or "")
    late = call.on(with_body(call.wic_reply(200, method="INVITE", cseq=cseq_of(asked)), answer))
    assert late.names == ["DropReply", "SendRequest"]
    assert late.only(act.SendRequest).method == "ACK"
    again = call.on(call.ims_request("INVITE", cseq=30, body=HOLD))
    assert again.only(act.ForwardRequest).change
