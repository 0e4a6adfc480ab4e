"""A response whose call is over, and forgotten while the relay is told what it says."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.answer import MAY_CROSS_S
from kemi.core.call.lifetime.ending import answered_too_late
from kemi.core.call.states import Dialog
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
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


@pytest.mark.parametrize("before", ["nothing", "early BYE", "CANCEL", "flow closed"])
def test_who_answers_just_as_we_give_up_is_hung_up(before: str) -> None:
    """RFC 3261 §9.1, §13.2.2.4: the answer crosses the CANCEL, and no transaction is left to pass it on."""
    call = Call.ringing()
    if before == "early BYE":
        call.on(call.wic_request("BYE", cseq=4))
    elif before != "nothing":
        call.on(ev.CancelReceived() if before == "CANCEL" else ev.FlowClosed())
    failed = ev.ImsFailed(408, local=before == "nothing", timed_out=True)
    forget = call.on(failed).only(act.Schedule)
    assert (forget.due, forget.delay_s) == (ev.Due.FORGET, MAY_CROSS_S)
    actions = call.on(call.ims_reply(200, "core1", body=sdp.core_answer()))
    assert actions.names == ["DropReply", "SendRequest", "SendRequest"]
    assert [(one.method, one.to) for one in actions.all(act.SendRequest)] == [
        ("ACK", Side.IMS),
        ("BYE", Side.IMS),
    ]
    assert (call.record.dialog, call.record.confirmed_tag) == (Dialog.TERMINATED, "")
    again = call.on(call.ims_reply(200, "core1", body=sdp.core_answer()))
    assert again.names == ["DropReply", "SendRequest"]
    assert again.only(act.SendRequest).method == "ACK"
    assert call.on(call.ims_reply(200, method="BYE", cseq=2)).names == ["ForwardReply"]
