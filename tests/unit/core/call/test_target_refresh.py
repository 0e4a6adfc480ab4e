"""A call that has come from another gateway: the far end hears where it is, whoever refreshes its session, if any."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.lifetime import refresh
from kemi.core.call.lifetime.revival import revive
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import CORE_CONTACT, Call
from tests.unit.core.call.sessions import answered, lines, own_answer, waits
from tests.unit.core.call.test_forks import plain
from tests.unit.core.call.test_page_offer import RESTART, asked, done, running

MOVED = ev.TimerFired(ev.Due.TARGET_REFRESH)
NONE, THEIRS, OURS = "", "1800;refresher=uas", "1800;refresher=uac"


def call_with(session: str, *allow: str) -> Call:
    """Return an answered call whose far end has agreed on this session."""
    agreed = {"Session-Expires": [session]} if session else {}
    return answered({**agreed, "Allow": list(allow)})


@pytest.mark.parametrize(
    ("session", "clock"),
    [(NONE, {}), (THEIRS, {"session_expired": 1768.0}), (OURS, {"session_refresh": 900.0})],
)
@pytest.mark.parametrize(("allow", "method"), [("INVITE, UPDATE", "UPDATE"), ("INVITE", "INVITE")])
def test_it_is_told_and_all_else_stays(
    session: str, clock: dict[str, float], allow: str, method: str
) -> None:
    call = call_with(session, allow)
    before = call.record.ims_session
    request = call.on(MOVED).only(act.SendRequest)
    assert (request.method, request.report) == (method, True)
    assert request.body == (call.record.ims_description if method == "INVITE" else "")
    assert any(line.startswith("Contact: <sip:ours@192.0.2.1:5060>") for line in request.headers)
    said = [line for line in request.headers if line.startswith("Session-Expires:")]
    assert said == ([f"Session-Expires: {session}"] if session else [])
    assert waits(call.on(own_answer(call, 200, {"Session-Expires": [session]} if session else {}))) == clock
    assert [one.method for one in call.actions.all(act.SendRequest)] == ["ACK"] * (method == "INVITE")
    assert call.record.ims_session == before


def test_the_answer_may_agree_on_a_session() -> None:
    call = call_with(NONE, "UPDATE")
    call.on(MOVED)
    assert waits(call.on(own_answer(call, 200, {"Session-Expires": [OURS]}))) == {"session_refresh": 900.0}


@pytest.mark.parametrize(("session", "clock"), [(NONE, {}), (THEIRS, {"session_expired": 1768.0})])
def test_a_far_end_that_will_not_hear_it_keeps_its_call(session: str, clock: dict[str, float]) -> None:
    call = call_with(session, "UPDATE")
    before = replace(call.record.ims_session) if call.record.ims_session else None
    for method in ("UPDATE", "INVITE", "INVITE", "INVITE"):
        assert call.on(MOVED).only(act.SendRequest).method == method
        assert waits(call.on(own_answer(call, 500))) == {"target_refresh": 10.0}
    call.on(MOVED)
    given_up = call.on(own_answer(call, 500))
    assert (waits(given_up), given_up.all(act.SendRequest)) == (clock, [])
    assert call.record.ims_session == before


@pytest.mark.parametrize("status", [408, 481])
def test_one_that_does_not_know_the_call_ends_it(status: int) -> None:
    call = call_with(NONE, "UPDATE")
    call.on(MOVED)
    ended = call.on(own_answer(call, status))
    assert [request.method for request in ended.all(act.SendRequest)][-2:] == ["BYE", "BYE"]


def test_after_glare_a_moment_is_waited() -> None:
    call = call_with(NONE, "UPDATE")
    call.on(MOVED)
    assert waits(call.on(own_answer(call, 491))) == {"target_refresh": 3.05}


def test_an_invite_waits_until_no_other_one_is_open() -> None:
    call = running()
    call.record.legs[call.record.confirmed_tag].takes_update = False
    asked(call)
    assert waits(call.on(MOVED)) == {"target_refresh": 1.0}
    assert call.record.ims_session is None


def test_a_call_that_is_not_answered_is_told_of_to_nobody() -> None:
    call = Call.ringing()
    assert (call.on(MOVED).names, call.record.ims_session) == ([], None)


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_request_of_the_far_end_that_crosses_it_gets_no_session(answered_first: bool) -> None:
    call = call_with(NONE, "INVITE, UPDATE")
    call.record.acknowledged = call.record.wic_takes_update = True
    call.on(call.ims_request("UPDATE", cseq=5, headers={"P-Asserted-Identity": ["<sip:carol@ims.example>"]}))
    (at_page,) = call.record.outstanding
    call.on(MOVED)
    if answered_first:
        assert "session_expired" not in waits(call.on(own_answer(call, 491)))
    actions = call.on(call.wic_reply(200, method="UPDATE", cseq=int(at_page)))
    edits = actions.only(act.ForwardReply).edits
    assert (lines(edits, "Session-Expires"), lines(edits, "Require"), waits(actions)) == ([], [], {})
    assert call.record.ims_session is None


def test_it_is_still_out_when_the_page_refuses_a_request_that_crosses_it() -> None:
    call = call_with(THEIRS, "INVITE, UPDATE")
    call.record.acknowledged = call.record.wic_takes_update = True
    call.on(call.ims_request("UPDATE", cseq=5, headers={"P-Asserted-Identity": ["<sip:carol@ims.example>"]}))
    (at_page,) = call.record.outstanding
    call.on(MOVED)
    answer = own_answer(call, 500)
    call.on(call.wic_reply(500, method="UPDATE", cseq=int(at_page)))
    assert waits(call.on(answer)) == {"target_refresh": 10.0}


def test_a_restart_forgets_it() -> None:
    call = call_with(NONE, "INVITE")
    call.record.acknowledged = True
    call.on(MOVED)
    assert refresh.is_out(call.record)
    assert revive(call.record)
    assert (refresh.is_out(call.record), call.record.ims_session) == (False, None)


@pytest.mark.parametrize(
    ("session", "due"), [(NONE, "target_refresh"), (THEIRS, "target_refresh"), (OURS, "session_refresh")]
)
def test_another_description_in_its_answer_is_asked_for_again_after_the_pages_change(
    session: str, due: str
) -> None:
    call = running()
    call.record.acknowledged = True
    call.record.legs[call.record.confirmed_tag].takes_update = False

    def from_another_port() -> ev.OwnRequestAnswered:
        answer = own_answer(call, 200, {"Session-Expires": [session]} if session else {})
        assert answer.reply is not None
        answer.reply.content_type, answer.reply.body = "application/sdp", sdp.core_answer(port=45000)
        return answer

    call.on(MOVED)
    answer = from_another_port()
    renew = call.on(call.wic_request("INVITE", cseq=7, body=RESTART)).only(act.RenewMedia)
    wait = call.on(answer).all(act.Schedule)[-1]  # the one that counts
    assert (wait.due.value, wait.delay_s) == (due, 1.0)
    assert waits(call.on(ev.TimerFired(wait.due))) == {due: 1.0}  # the change is not done yet
    done(call, renew)
    call.on(ev.TimerFired(wait.due))
    assert call.on(from_another_port()).all(act.ReofferFromIms)
    assert "45000" in call.record.media[0].ims_answer


def test_a_fork_that_names_no_contact_is_asked_where_the_invite_went() -> None:
    """It owes one (RFC 3261 §12.1.1); without a PRACK it would not ring, and nobody would answer."""
    call = plain()
    prack = call.on(call.ims_reply(180, rseq=7, contact="")).only(act.SendRequest)
    assert (prack.method, prack.request_uri) == ("PRACK", call.record.request_uri)
    call.on(call.ims_reply(200))
    assert call.record.legs["core1"].contact == CORE_CONTACT
