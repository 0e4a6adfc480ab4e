"""A page that answers an offer of the core, or one of ours, when nobody waits for that any more; so after a restart."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.lifetime.revival import revive
from kemi.core.messages import Side
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Actions, Call
from tests.unit.core.call.test_core_offer import HOLD, MOVED, WITH_VIDEO, cseq_of, relay_knows, with_body

OFFERS = [pytest.param(HOLD, id="hold"), pytest.param(WITH_VIDEO, id="video added")]
METHODS = ["INVITE", "UPDATE"]


RESTART = 0
"""In place of the status by which the core hears that the page does not answer."""


def unanswered(call: Call, method: str, offer: str, cseq: int = 1, status: int = 408) -> Actions:
    """The core offers, and hears that the page does not answer, or nothing more: the gateway is restarted."""
    asked = call.on(call.ims_request(method, body=offer, cseq=cseq))
    if reserve := asked.all(act.ReserveIncoming):
        offers = {kind: sdp.relay_reverse_offer(kind, 31000) for kind in reserve[0].media}
        asked = call.on(ev.IncomingReserved(offers, reserve[0].edits, reserve[0].bearer))
    if status == RESTART:
        assert revive(call.record)
    else:
        call.on(ev.ChangeFailed(Side.WIC, method, status))
    return asked


def taken(call: Call, method: str, asked: Actions) -> Actions:
    """The page takes it after that."""
    answer = sdp.page_answer(asked.only(act.ForwardRequest).edits.body or "")
    return call.on(with_body(call.wic_reply(200, method=method, cseq=cseq_of(asked)), answer))


def lines_of(description: str) -> list[tuple[str, bool, str]]:
    return [(line.kind, not line.rejected, str(line.direction)) for line in sdp_from_text(description).media]


class TestOfTheCore:
    """The core's request is over; what the page has taken is undone."""

    @pytest.mark.parametrize("status", [408, 487, RESTART])
    def test_a_re_invite_gets_its_ack(self, status: int) -> None:
        """Without one the page would end the call 32 s later (RFC 3261 §13.3.1.4)."""
        call = Call.confirmed()
        late = taken(call, "INVITE", unanswered(call, "INVITE", HOLD, status=status))
        assert late.names[:2] == ["DropReply", "SendRequest"]
        assert late.all(act.SendRequest)[0].method == "ACK"

    @pytest.mark.parametrize("offer", OFFERS)
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("status", [408, RESTART])
    def test_the_page_is_offered_what_holds(self, method: str, offer: str, status: int) -> None:
        call = Call.confirmed()
        call.on(call.wic_request("ACK", cseq=1))
        before = lines_of(call.record.wic_description)
        asked = unanswered(call, method, offer, status=status)
        offered = lines_of(asked.only(act.ForwardRequest).edits.body or "")
        again = taken(call, method, asked).all(act.SendRequest)[-1]
        assert (again.to, again.method, again.report) == (Side.WIC, "UPDATE", True)
        added = [(kind, False, "inactive") for kind, _, _ in offered[len(before) :]]
        assert lines_of(again.body) == [*before, *added]
        call.on(ev.UpdateAnswered(200, sdp.page_answer(again.body), cseq=call.record.gateway_cseq))
        assert (call.record.exchange, call.record.page_behind) == (None, False)
        assert lines_of(call.record.wic_description) == [*before, *added]

    @pytest.mark.parametrize("method", METHODS)
    def test_repeated_it_changes_nothing_more(self, method: str) -> None:
        call = Call.confirmed()
        asked = unanswered(call, method, HOLD)
        (again,) = (one for one in taken(call, method, asked).all(act.SendRequest) if one.body)
        assert not [one for one in taken(call, method, asked).all(act.SendRequest) if one.body]
        call.on(ev.UpdateAnswered(200, sdp.page_answer(again.body), cseq=call.record.gateway_cseq))
        assert not [one for one in taken(call, method, asked).all(act.SendRequest) if one.body]

    @pytest.mark.parametrize("method", METHODS)
    def test_one_that_the_core_has_made_again_is_what_holds(self, method: str) -> None:
        call = Call.confirmed()
        first = unanswered(call, method, HOLD)
        second = call.on(call.ims_request(method, body=HOLD, cseq=2))
        assert not [one for one in taken(call, method, first).all(act.SendRequest) if one.body]
        answered = taken(call, method, second)
        done = relay_knows(call, answered)
        assert done.all(act.ForwardReply)
        assert not done.all(act.SendRequest)  # the page has it
        assert call.record.medium("audio").ims_direction == "sendonly"  # type: ignore[union-attr]

    @pytest.mark.parametrize("method", METHODS)
    def test_a_refusal_leaves_the_page_as_it_was(self, method: str) -> None:
        call = Call.confirmed()
        asked = unanswered(call, method, HOLD)
        before = call.record.wic_description
        late = call.on(call.wic_reply(488, method=method, cseq=cseq_of(asked)))
        assert not late.all(act.SendRequest)
        assert (call.record.wic_description, call.record.overdue) == (before, {})

    def test_only_the_newest_are_remembered(self) -> None:
        call = Call.confirmed()
        asked = [unanswered(call, "INVITE", HOLD, cseq=cseq) for cseq in range(1, 8)]
        assert list(call.record.overdue) == [str(cseq_of(one)) for one in asked[-4:]]


class TestOfOurs:
    """A re-INVITE of our own: its ACK is ours, whoever still knows its transaction."""

    def silent(self, status: int = 408) -> tuple[Call, act.SendRequest, int]:
        """A page without UPDATE does not answer our offer of what the core has changed."""
        call = Call.confirmed()
        call.on(call.wic_request("ACK", cseq=1))
        call.record.wic_takes_update = False
        own = relay_knows(call, call.on(call.ims_request("UPDATE", cseq=3, body=HOLD))).only(act.SendRequest)
        cseq = call.record.gateway_cseq
        if status == RESTART:
            assert revive(call.record)
        else:
            call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, status, jitter=0.5))
        return call, own, cseq

    def answered(self, call: Call, own: act.SendRequest, cseq: int) -> Actions:
        reply = with_body(call.wic_reply(200, method="INVITE", cseq=cseq), sdp.page_answer(own.body)).reply
        assert call.on(ev.WicReply(reply)).names == []  # tm has to see it, if it knows it
        return call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, 200, reply))

    def test_it_is_acknowledged_as_often_as_it_comes(self) -> None:
        call, own, cseq = self.silent()
        for _ in range(2):
            late = self.answered(call, own, cseq)
            assert [(one.method, one.body) for one in late.all(act.SendRequest)] == [("ACK", "")]
            assert f"CSeq: {cseq} ACK" in late.only(act.SendRequest).headers

    @pytest.mark.parametrize("status", [408, RESTART])
    def test_what_the_far_end_has_changed_since_is_offered_after_the_ack(self, status: int) -> None:
        call, own, cseq = self.silent(status)
        resumed = relay_knows(call, call.on(call.ims_request("UPDATE", cseq=4, body=MOVED)))
        assert resumed.names == ["SendReply"]  # the page was told nothing else, as far as we know
        late = self.answered(call, own, cseq).all(act.SendRequest)
        assert [one.method for one in late] == ["ACK", "INVITE"]
        assert lines_of(late[-1].body)[0] == ("audio", True, "recvonly")
