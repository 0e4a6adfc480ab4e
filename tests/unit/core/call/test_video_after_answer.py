"""Two-way pages without early UPDATE: once they have acknowledged they are told what became of their video."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import NO_100REL, Actions, Call, invite
from tests.unit.core.call.test_reverse_line import SIP_JS, SIP_JS_100REL, acknowledged

AV = sdp.chromium("av-sendrecv")


def offers(actions: Actions) -> list[act.SendRequest]:
    """What the page is sent."""
    return [action for action in actions if isinstance(action, act.SendRequest)]


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        pytest.param(SIP_JS, "INVITE", id="SIP.js"),
        pytest.param(SIP_JS_100REL, "INVITE", id="SIP.js with 100rel"),
        pytest.param(NO_100REL, "UPDATE", id="JsSIP"),
    ],
)
def test_video_that_the_far_end_does_not_take_is_switched_off(
    headers: dict[str, list[str]], method: str
) -> None:
    _, actions = acknowledged(headers, AV, sdp.core_answer("audio", "video", refuse=("video",)))
    (sent,) = offers(actions)
    assert sent.method == method
    assert [line.port > 0 for line in sdp_from_text(sent.body).media] == [True, False]


def test_a_right_guess_needs_no_word() -> None:
    _, actions = acknowledged(SIP_JS, AV, sdp.core_answer("audio", "video"))
    assert offers(actions) == []


REFUSED = sdp.core_answer("audio", "video", refuse=("video",))


def told_to_the_core(actions: Actions) -> list[act.SendRequest]:
    """What the far end is sent once the page has taken what it was offered."""
    return [action for action in actions.all(act.SendRequest) if action.to is Side.IMS]


def test_a_far_end_that_leaves_the_video_line_out_has_refused_it_and_may_offer_so() -> None:
    """RFC 3264 §6 and §8 want the line; what it means is plain."""
    call, actions = acknowledged(NO_100REL, AV, sdp.core_answer("audio"))
    (sent,) = offers(actions)
    assert [line.port > 0 for line in sdp_from_text(sent.body).media] == [True, False]
    told = sdp_from_text(call.record.ims_description).media
    assert ([line.port > 0 for line in told], call.record.doomed) == ([True, False], "")
    call.on(ev.UpdateAnswered(200, sdp.page_answer(sent.body), cseq=call.record.gateway_cseq))
    asked = call.on(call.ims_request("INVITE", cseq=5, body=sdp.core_answer("audio", port=42000)))
    done = call.on(
        ev.ImsReoffered({"audio": sdp.relay_offer("audio")}, asked.only(act.ReofferFromIms).bearer)
    )
    answer = done.only(act.SendReply)
    assert (answer.status, len(sdp_from_text(answer.body).media)) == (200, 1)
    call.on(call.ims_request("ACK", cseq=5))
    wanted = call.on(call.wic_request("INVITE", cseq=9, body=AV)).only(act.ReserveMedia)
    assert [one.kind for one in wanted.media] == ["video"]
    given = ev.Reserved(sdp.relay_offer("video", 30500), sdp.relay_answer("video", 30600), None)
    more = call.on(ev.MediaReserved({"video": given}, wanted.context)).only(act.ForwardRequest)
    assert [(line.kind, line.port > 0) for line in sdp_from_text(more.edits.body or "").media] == [
        ("audio", True),
        ("video", True),
    ]


@pytest.mark.parametrize("early", [False, True])
def test_a_far_end_that_has_refused_video_is_not_told_so(early: bool) -> None:
    """What it hears of a re-INVITE that nobody needs may end the call (RFC 3261 §12.2.1.2)."""
    call = Call(invite(AV, NO_100REL))
    call.on(ev.TransactionCreated(1, 2))
    call.reserved()
    if early:
        progress = call.ims_reply(183, body=REFUSED)
        call.on(progress)
        call.on(ev.MediaConnected(progress.reply))
        assert sdp_from_text(call.record.ims_description).media[1].port  # another fork may take it
    call.answer(body=REFUSED)
    (update,) = [one for one in call.on(call.wic_request("ACK", cseq=1)).all(act.SendRequest) if one.body]
    answer = sdp.page_answer(update.body)
    assert told_to_the_core(call.on(ev.UpdateAnswered(200, answer, cseq=call.record.gateway_cseq))) == []
    assert call.record.wic_description == update.body
    assert [line.port > 0 for line in sdp_from_text(call.record.ims_description).media] == [True, False]
    call.record.core_behind = True  # as after an ICE restart, or a restart of the gateway
    assert call.on(ev.TimerFired(ev.Due.TELL_CORE)).all(act.SendRequest) == []
