"""A page that refreshes its session begins to count anew whenever somebody offers it something (RFC 4028 §7.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.messages import Side
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Actions, Call, header_reader
from tests.unit.core.call.sessions import PAGE, answered, waits

JSSIP = "90;refresher=uas"
"""Session-Expires of each of its 2xx."""
HOLD = sdp.core_answer(port=41000).replace("a=sendrecv", "a=sendonly")
PAGE_CLOCK = {"page_session_expired": 60.0}


def running(*, takes_update: bool = False) -> Call:
    """A call whose page refreshes its session."""
    call = answered({}, page={**PAGE, "Session-Expires": ["90"]})
    call.on(call.wic_request("ACK", cseq=1))
    call.record.wic_takes_update = takes_update
    return call


def replied(
    call: Call, method: str, cseq: int, session: str, body: str = "", status: int = 200
) -> ev.WicReply:
    """The page responds."""
    event = call.wic_reply(status, method=method, cseq=cseq)
    headers = header_reader({"Session-Expires": [session]} if session else {})
    kind = "application/sdp" if body else ""
    return ev.WicReply(replace(event.reply, body=body, content_type=kind, headers=headers))


def held(call: Call, session: str, status: int = 200) -> Actions:
    """The far end holds by a re-INVITE, and the page responds."""
    forward = call.on(call.ims_request("INVITE", body=HOLD, cseq=2)).only(act.ForwardRequest)
    cseq, body = forward.edits.cseq, forward.edits.body
    assert cseq and body
    return call.on(
        replied(call, "INVITE", cseq, session, sdp.page_answer(body) if status == 200 else "", status)
    )


def answers(call: Call, asked: act.SendRequest, session: str) -> Actions:
    """The page takes an offer of ours."""
    answer, cseq = sdp.page_answer(asked.body), call.record.gateway_cseq
    if asked.method == "UPDATE":
        return call.on(ev.UpdateAnswered(200, answer, session_expires=session))
    reply = replied(call, "INVITE", cseq, session, answer).reply
    return call.on(ev.OwnRequestAnswered(Side.WIC, "INVITE", cseq, 200, reply))


def told(call: Call, session: str) -> Actions:
    """The far end holds by an UPDATE, which the gateway answers; it tells the page itself."""
    asked = call.on(call.ims_request("UPDATE", body=HOLD, cseq=2)).only(act.ReofferFromIms)
    given = {"audio": sdp.relay_offer("audio")}
    return answers(call, call.on(ev.ImsReoffered(given, asked.bearer)).only(act.SendRequest), session)


def test_an_offer_of_the_far_end_refreshes_it() -> None:
    assert waits(held(running(), JSSIP)) == PAGE_CLOCK


def test_so_does_one_of_ours() -> None:
    assert waits(told(running(), JSSIP)) == PAGE_CLOCK


def test_so_does_another_identity() -> None:
    call = running(takes_update=True)
    event = call.ims_request("UPDATE", cseq=2)
    named = replace(event, request=replace(event.request, from_uri="sip:carol@ims.example"))
    cseq = call.on(named).only(act.ForwardRequest).edits.cseq
    assert cseq
    assert waits(call.on(replied(call, "UPDATE", cseq, JSSIP))) == PAGE_CLOCK


@pytest.mark.parametrize("takes_update", [False, True])
def test_so_does_a_move_to_another_media_node(takes_update: bool) -> None:
    call = running(takes_update=takes_update)
    move = call.on(ev.NodeLost(call.record.node)).only(act.MoveMedia)
    moved = {"audio": ev.MovedMedium(sdp.relay_offer("audio", 31000), sdp.relay_answer("audio", 31100))}
    asked = call.on(ev.MediaMoved("192.0.2.10:2223", moved, move.bearer)).all(act.SendRequest)
    (to_page,) = (request for request in asked if request.to is Side.WIC)
    assert (to_page.method == "UPDATE") == takes_update
    assert waits(answers(call, to_page, JSSIP)) == PAGE_CLOCK


def test_a_refusal_does_not() -> None:
    call = running()
    assert waits(held(call, "", 488)) == {}
    assert call.on(ev.TimerFired(ev.Due.PAGE_SESSION_EXPIRED)).all(act.SendRequest)


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        pytest.param("1800;refresher=uas", {"page_session_expired": 1768.0}, id="longer"),
        pytest.param("20", PAGE_CLOCK, id="shorter than what is accepted"),
        pytest.param("90;refresher=uac", {}, id="we are to refresh"),
        pytest.param("", {}, id="none any more"),
        pytest.param("soon", {}, id="unreadable"),
    ],
)
def test_the_page_says_for_how_long(session: str, expected: dict[str, float]) -> None:
    call = running()
    assert waits(held(call, session)) == expected
    ended = call.on(ev.TimerFired(ev.Due.PAGE_SESSION_EXPIRED)).all(act.SendRequest)
    assert bool(ended) == bool(expected)


def test_a_page_that_never_had_one_gets_none() -> None:
    call = answered({}, page=PAGE)
    call.on(call.wic_request("ACK", cseq=1))
    call.record.wic_takes_update = False
    assert waits(told(call, JSSIP)) == {}
    assert call.record.wic_session is None
