"""A side changes its call, and the call ends while the relay is asked: nothing stays at the relay."""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.incoming_ladder import Incoming, offer
from tests.unit.core.call.ladder import Actions, Call


def ended(actions: Actions) -> None:
    """The request hears that it is over, and the relay's call goes."""
    assert actions.only(act.SendReply).status == 487
    assert "audio" in actions.only(act.ReleaseMedia).kinds
    assert not actions.all(act.Schedule), "what forgets the call would never come"


def renewed(asked: act.RenewMedia) -> ev.MediaRenewed:
    told = {m.kind: ev.Renewed(sdp.relay_offer(m.kind), sdp.relay_offer(m.kind), None) for m in asked.media}
    return ev.MediaRenewed(told, asked.bearer)


def test_an_offer_without_news_for_the_page() -> None:
    call = Incoming.confirmed()
    moved = offer().replace("m=audio 4", "m=audio 5")
    asked = call.on(call.ims_request("INVITE", cseq=8, body=moved)).only(act.ReofferFromIms)
    call.on(call.wic_request("BYE", cseq=3))
    answers = {medium.kind: sdp.relay_offer(medium.kind) for medium in asked.media}
    ended(call.on(ev.ImsReoffered(answers, asked.bearer)))
    assert call.record.ended


def test_an_invite_without_an_offer() -> None:
    call = Incoming.confirmed()
    asked = call.on(call.ims_request("INVITE", cseq=8, body="")).only(act.RenewMedia)
    call.on(call.wic_request("BYE", cseq=3))
    ended(call.on(renewed(asked)))


def test_an_answer_that_comes_after_the_end_is_not_taken_to_the_relay() -> None:
    call = Incoming.confirmed()
    asked = call.on(call.ims_request("INVITE", cseq=8, body="")).only(act.RenewMedia)
    call.on(renewed(asked))
    call.on(call.wic_request("BYE", cseq=3))
    assert call.on(call.ims_request("ACK", cseq=8, body=sdp.core_answer("audio"))).names == []


def test_an_answer_that_is_at_the_relay_when_the_call_ends() -> None:
    call = Incoming.confirmed()
    asked = call.on(call.ims_request("INVITE", cseq=8, body="")).only(act.RenewMedia)
    call.on(renewed(asked))
    asked = call.on(call.ims_request("ACK", cseq=8, body=sdp.core_answer("audio"))).only(act.RenewMedia)
    call.on(call.wic_request("BYE", cseq=3))
    assert call.on(renewed(asked)).names == ["ReleaseMedia"]


def test_a_change_of_the_page() -> None:
    call = Call.confirmed(body=sdp.chromium("audio-sendrecv"))
    restart = offer_again(sdp.chromium("audio-sendrecv"), ice="fresh")
    asked = call.on(call.wic_request("INVITE", cseq=7, body=restart)).only(act.RenewMedia)
    call.on(call.ims_request("BYE", cseq=3))
    late = call.on(renewed(asked))
    assert late.only(act.SendReply).status == 481
    assert late.only(act.ReleaseMedia).kinds == ("audio",)
