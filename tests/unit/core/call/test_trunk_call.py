"""A page's call on its way through trunks, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import boundary, history
from kemi.core.call import events as ev
from kemi.core.call.flow import handle
from kemi.core.call.from_page import credentials
from kemi.core.call.from_page.outbound import Asked, Outbound
from kemi.core.call.own_request import own_request_to_ims
from kemi.core.call.record import CallRecord
from kemi.core.messages import Reply, Request, Side
from kemi.core.metrics import of_calls
from kemi.core.metrics.of_calls import FAILED, REFUSED
from kemi.core.trunk.trunk import Trunk
from kemi.state.calls import record_from_text, record_to_text
from tests.unit.core.call.descriptions import core_answer, page_answer
from tests.unit.core.call.ladder import CALL_ID, SETTINGS, WIC_TAG, Call, header_reader

SITE = replace(
    SETTINGS,
    tls_host="192.0.2.1:5061",
    trunks={
        "one": Trunk("one", ["sip:192.0.2.7", "sip:192.0.2.8"], user="gw", password="a secret"),
        "two": Trunk("two", ["sip:192.0.2.9;transport=tcp"]),
    },
)
CHALLENGE = {"Proxy-Authenticate": ['Digest realm="r", nonce="n1", algorithm=SHA-256, qop="auth"']}


def ready() -> CallRecord:
    """A call whose page has answered our UPDATE."""
    call = Call.updating()
    taken = call.on(ev.UpdateAnswered(200, page_answer(call.record.update_offer)))
    if taken.all(act.AcceptReverse):
        call.on(ev.ReverseAccepted())
    return call.record


def begun() -> CallRecord:
    """A call whose INVITE is at the first hop of the first trunk."""
    record = ready()
    record.outbound = Outbound(["one", "two"], "+493012345678", caller="+4930999999")
    play(record, ev.InviteResumed())
    chosen = ev.TrunkChosen("one", ("sip:192.0.2.7", "sip:192.0.2.8"), ("two",))
    (sent,) = [one for one in play(record, chosen) if isinstance(one, act.ForwardInvite)]
    assert sent.edits.next_hop == "sip:192.0.2.7"
    return record


def play(record: CallRecord, event: ev.Event) -> list[act.Action]:
    """Let an event happen; the record goes through JSON as between two processes."""
    actions = handle(record, event, SITE)
    assert record_from_text(record_to_text(record)) == record
    assert "a secret" not in record_to_text(record)
    return actions


def invites(actions: list[act.Action]) -> list[act.ForwardInvite]:
    return [one for one in actions if isinstance(one, act.ForwardInvite)]


def kept(record: CallRecord, event: ev.Event, actions: list[act.Action]) -> tuple[str, int, str, str]:
    """Return what the history has of a call that is over, and as what it is counted."""
    end = history.ended(record, event, actions)
    result = of_calls.result(answered=False, by=end.by, status=end.status, why=end.why)
    return end.by, end.status, end.why, result


def reply(record: CallRecord, status: int, fields: dict[str, list[str]] | None = None) -> ev.ImsReply:
    found = Reply(
        Side.IMS,
        "INVITE",
        CALL_ID,
        WIC_TAG,
        "far",
        record.ims_invite_cseq,
        headers=header_reader(fields or {}),
    )
    found.status = status
    return ev.ImsReply(found)


@pytest.mark.parametrize(
    "failure",
    [ev.ImsFailed(503), ev.ImsFailed(408), ev.ImsFailed(408, local=True), ev.ImsFailed(503, local=True)],
)
def test_the_next_hop_and_then_the_next_trunk(failure: ev.ImsFailed) -> None:
    record = begun()
    (again,) = invites(play(record, failure))
    assert (again.edits.next_hop, again.again) == ("sip:192.0.2.8", True)
    (choice,) = [one for one in play(record, failure) if isinstance(one, act.ChooseTrunk)]
    assert choice.trunks == ("two",)
    (other,) = invites(play(record, ev.TrunkChosen("two", ("sip:192.0.2.9;transport=tcp",))))
    assert other.edits.request_uri == "sip:+493012345678@192.0.2.9;user=phone"
    contact = next(line for line in other.edits.insert if line.startswith("Contact"))
    assert contact.endswith("5060;transport=tcp>")


@pytest.mark.parametrize(
    "end",
    [ev.ImsFailed(486), ev.ImsFailed(500), ev.ImsFailed(604), ev.ImsFailed(408, local=True, heard=True)],
)
def test_nobody_else_is_asked(end: ev.ImsFailed) -> None:
    record = begun()
    actions = play(record, end)
    assert not invites(actions)
    assert not any(isinstance(one, act.ChooseTrunk) for one in actions)
    assert record.ended


def test_after_somebody_rang_nobody_else_is_asked() -> None:
    record = begun()
    play(record, reply(record, 180))
    assert not invites(play(record, ev.ImsFailed(503)))
    assert record.ended


def test_no_room_anywhere() -> None:
    record = ready()
    record.outbound = Outbound(["one"], "+493012345678")
    play(record, ev.InviteResumed())
    actions = play(record, ev.TrunkChosen(None, retry_after_s=7))
    (told,) = [one for one in actions if isinstance(one, act.SendReply)]
    assert told.status == 503
    assert "Retry-After: 7" in told.headers
    assert record.ended


def test_a_challenge_is_answered_once_and_a_stale_nonce_once_more() -> None:
    record = begun()
    stale = {"Proxy-Authenticate": [CHALLENGE["Proxy-Authenticate"][0].replace("n1", "n2") + ", stale=true"]}
    numbers = [record.ims_invite_cseq]
    for fields in (CHALLENGE, stale):
        play(record, reply(record, 407, fields))
        (again,) = invites(play(record, ev.ImsFailed(407)))
        (line,) = [one for one in again.edits.insert if one.startswith("Proxy-Authorization: Digest ")]
        assert "nc=00000001" in line
        numbers.append(again.edits.cseq or 0)
    assert numbers == sorted(set(numbers))
    play(record, reply(record, 407, stale))
    actions = play(record, ev.ImsFailed(407))
    assert not invites(actions)
    (told,) = [one for one in actions if isinstance(one, act.SendReply)]
    assert told.status == 500
    assert kept(record, ev.ImsFailed(407), actions) == (
        "gateway", 500, "the trunk does not take our credentials", FAILED
    )  # fmt: skip


def refused(
    record: CallRecord, status: int, fields: dict[str, list[str]] | None = None
) -> list[act.ForwardInvite]:
    """Let the hop that has the INVITE refuse it; return the INVITE that follows."""
    play(record, reply(record, status, fields))
    return invites(play(record, ev.ImsFailed(status)))


def too_short(record: CallRecord, min_se_s: int) -> list[str]:
    """The same with 422; return what the next INVITE says of its session."""
    found = refused(record, 422, {"Min-SE": [str(min_se_s)]})
    return [line for one in found for line in one.edits.insert if line.startswith("Session-Expires")]


def test_a_new_nonce_is_answered_after_a_session_that_was_too_short() -> None:
    record = begun()
    other = {"Proxy-Authenticate": [CHALLENGE["Proxy-Authenticate"][0].replace("n1", "n2")]}
    assert refused(record, 407, CHALLENGE)
    assert too_short(record, 2000) == ["Session-Expires: 2000"]
    (again,) = refused(record, 407, other)
    (line,) = [one for one in again.edits.insert if one.startswith("Proxy-Authorization: Digest ")]
    assert 'nonce="n2"' in line
    assert "Session-Expires: 2000" in again.edits.insert
    assert not refused(record, 407, other)  # the new one was not good
    assert record.ended


def test_each_proxy_and_each_hop_may_want_a_longer_session() -> None:
    record = begun()
    for wanted in (2000, 2500, 3000):
        assert too_short(record, wanted) == [f"Session-Expires: {wanted}"]
    (other,) = refused(record, 503)
    assert "Session-Expires: 3000" in other.edits.insert
    assert other.edits.next_hop == "sip:192.0.2.8"
    assert too_short(record, 3600) == ["Session-Expires: 3600"]
    play(record, ev.ImsFailed(503))
    play(record, ev.TrunkChosen("two", ("sip:192.0.2.9;transport=tcp",)))
    for wanted in (4000, 4001, 4002):
        assert too_short(record, wanted) == [f"Session-Expires: {wanted}"]
    assert too_short(record, 4003) == []
    assert record.ended


@pytest.mark.parametrize("second", [2000, 1900, 0])
def test_who_wants_no_longer_session_than_we_said_is_not_asked_again(second: int) -> None:
    record = begun()
    assert too_short(record, 2000)
    assert too_short(record, second) == []
    assert record.ended


def said(lines: tuple[str, ...]) -> list[str]:
    """Return what a request says of who sends it."""
    return [one for one in lines if one.startswith(("Proxy-Authorization: ", "Authorization: "))]


def asked_and_answered() -> tuple[CallRecord, list[str]]:
    """A call whose INVITE was challenged, and then answered; return what it said of us, too."""
    record = begun()
    (invite,) = refused(record, 407, CHALLENGE)
    event = reply(record, 200)
    event.reply.contact, event.reply.content_type = "<sip:far@192.0.2.7>", "application/sdp"
    event.reply.body = core_answer()
    (connect,) = [one for one in play(record, event) if isinstance(one, act.ConnectMedia)]
    play(record, ev.MediaConnected(connect.reply))
    return record, said(invite.edits.insert)


def test_an_ack_says_who_we_are_as_its_invite_did() -> None:
    record, in_invite = asked_and_answered()
    assert record.outbound is not None
    record.outbound.asked = Asked(
        [CHALLENGE["Proxy-Authenticate"][0].replace("n1", "n2")], True
    )  # since then
    request = Request(
        Side.WIC, "ACK", CALL_ID, WIC_TAG, record.gateway_tag, record.invite_cseq,
        headers=header_reader({}), connection_id=record.connection_id,
    )  # fmt: skip
    (ack,) = [one for one in play(record, ev.WicRequest(request)) if isinstance(one, act.ForwardRequest)]
    assert len(in_invite) == 1
    assert said(ack.edits.insert) == in_invite
    (ours,) = [one for one in play(record, reply(record, 200)) if isinstance(one, act.SendRequest)]
    assert (ours.method, said(ours.headers), ours.trunk) == ("ACK", in_invite, "")  # it came again
    assert in_invite[0].partition('response="')[2][:32] not in record_to_text(record)


def test_the_ack_of_our_own_re_invite_does_so_too() -> None:
    record, in_first = asked_and_answered()

    def ours(method: str, cseq: int) -> act.SendRequest:
        """Return a request as it goes out."""
        plain = own_request_to_ims(record, record.confirmed_tag, method, cseq)
        (sent,) = credentials.sent(record, [plain], SITE)
        assert isinstance(sent, act.SendRequest)
        return sent

    invite = ours("INVITE", 50)
    assert said(invite.headers) != in_first
    assert said(ours("ACK", 50).headers) == said(invite.headers)
    assert said(ours("ACK", 49).headers) == []  # of another one
    event = reply(record, 407, CHALLENGE)
    _, again = credentials.on_own_challenged(record, ev.OwnRequestChallenged(invite, 50, event.reply), SITE)
    assert isinstance(again, act.SendRequest)
    assert record.outbound is not None
    assert said(ours("ACK", record.outbound.answered_cseq).headers) == said(again.headers)


def test_a_request_of_ours_answers_one_challenge_and_no_second_one() -> None:
    record, _ = asked_and_answered()
    record.acknowledged = True
    other = {"Proxy-Authenticate": [CHALLENGE["Proxy-Authenticate"][0].replace("n1", "n2")]}
    (invite,) = [
        one for one in play(record, ev.TimerFired(ev.Due.TARGET_REFRESH)) if isinstance(one, act.SendRequest)
    ]
    challenge = reply(record, 407, other).reply
    challenge.cseq = record.own_refresh.cseq
    (again,) = [
        one
        for one in play(record, ev.OwnRequestChallenged(invite, challenge.cseq, challenge))
        if isinstance(one, act.SendRequest)
    ]
    (line,) = said(again.headers)
    assert ('nonce="n2"' in line, "nc=00000001" in line, again.trunk) == (True, True, "")
    answer = reply(record, 200).reply
    answer.cseq = record.own_refresh.cseq
    before = record_to_text(record)
    event = ev.OwnRequestAnswered(Side.IMS, "INVITE", answer.cseq, 200, answer, None, 0.5)
    (ack,) = [one for one in play(record, event) if isinstance(one, act.SendRequest)]
    assert (ack.method, said(ack.headers)) == ("ACK", [line])
    record = record_from_text(before)
    assert record is not None
    event = replace(event, status=407, reply=replace(answer, status=407))
    assert not [one for one in play(record, event) if isinstance(one, act.SendRequest)]
    assert record.own_refresh.failures == 1


@pytest.mark.parametrize("status", [300, 302, 305])
def test_a_redirection_is_told_and_not_followed(status: int) -> None:
    record = begun()
    actions = play(record, ev.ImsFailed(status))
    (told,) = [one for one in actions if isinstance(one, act.SendReply)]
    assert told.status == 480
    assert any(f"cause={status}" in line for line in told.headers)
    assert kept(record, ev.ImsFailed(status), actions) == (
        "gateway", 480, "the trunk redirects, which is not followed", REFUSED
    )  # fmt: skip


@pytest.mark.parametrize(("status", "result"), [(486, REFUSED), (500, FAILED)])
def test_what_the_far_end_says_is_its_own_in_the_history(status: int, result: str) -> None:
    record = begun()
    event = ev.ImsFailed(status)
    assert kept(record, event, play(record, event)) == ("core", status, "refused", result)


@pytest.mark.parametrize(
    ("hop", "host"),
    [
        ("sip:192.0.2.7", "192.0.2.1:5060"),
        ("sip:192.0.2.7;transport=tcp", "192.0.2.1:5060;transport=tcp"),
        ("sips:192.0.2.7", "192.0.2.1:5061;transport=tls"),
        ("sip:192.0.2.7;transport=tls", "192.0.2.1:5061;transport=tls"),
    ],
)
def test_our_contact_has_the_transport_of_the_next_hop(hop: str, host: str) -> None:
    record = begun()
    assert record.outbound is not None
    record.outbound.hops = [hop]
    assert boundary.contact_for_core(record, SITE) == f"Contact: <sip:{record.gateway_tag}@{host}>"


# ---------------------------------------------------------------- who answers too late


GIVEN_UP = ev.ImsFailed(408, local=True)


def late(record: CallRecord, status: int, fields: dict[str, list[str]]) -> ev.ImsReply:
    """A response of the hop that was silent when the next one got the call."""
    event = reply(record, status, fields)
    event.reply.cseq = record.invite_cseq
    event.reply.contact = "<sip:far@192.0.2.7>"
    return event


def test_each_hop_gets_an_invite_with_a_number_of_its_own() -> None:
    record = begun()
    numbers = [record.ims_invite_cseq]
    for _ in range(2):
        actions = play(record, GIVEN_UP)
        if not invites(actions):
            actions = play(record, ev.TrunkChosen("two", ("sip:192.0.2.9;transport=tcp",)))
        (sent,) = invites(actions)
        assert sent.edits.cseq == record.ims_invite_cseq
        numbers.append(record.ims_invite_cseq)
    assert numbers == sorted(set(numbers))


def test_an_answer_of_the_hop_that_was_given_up_is_hung_up() -> None:
    record = begun()
    play(record, GIVEN_UP)
    ends = {
        "From": ["<sip:+4930999999@192.0.2.7>;tag=w"],
        "To": ["<sip:+493012345678@192.0.2.7>;tag=far"],
        "Call-ID": [CALL_ID],
        "Record-Route": ["<sip:a.example;lr>, <sip:b.example;lr>"],
    }
    for _ in range(2):  # it may come again
        dropped, ack, bye = play(record, late(record, 200, ends))
        assert isinstance(dropped, act.DropReply)
        assert isinstance(ack, act.SendRequest)
        assert isinstance(bye, act.SendRequest)
        assert (ack.method, bye.method) == ("ACK", "BYE")
        for one in (ack, bye):
            assert (one.request_uri, one.next_hop) == ("sip:far@192.0.2.7", "sip:b.example;lr")
            assert one.headers[:2] == ("Route: <sip:b.example;lr>", "Route: <sip:a.example;lr>")
            assert f"To: {ends['To'][0]}" in one.headers
        assert f"CSeq: {record.invite_cseq} ACK" in ack.headers
    assert not record.legs
    assert not record.confirmed_tag
    assert invites(play(record, ev.ImsFailed(503))) == []  # the next trunk is asked all the same
    assert not record.ended


def test_the_next_trunk_s_credentials_go_nowhere_else() -> None:
    record = ready()
    record.outbound = Outbound(["two", "one"], "+493012345678")
    play(record, ev.InviteResumed())
    play(record, ev.TrunkChosen("two", ("sip:192.0.2.9",), ("one",)))
    play(record, GIVEN_UP)
    play(record, ev.TrunkChosen("one", ("sip:192.0.2.7",)))
    play(record, reply(record, 407, CHALLENGE))
    play(record, ev.ImsFailed(407))
    bye = play(record, late(record, 200, {}))[-1]
    assert isinstance(bye, act.SendRequest)
    assert not bye.trunk
    assert not any("Authorization" in line for line in bye.headers)


@pytest.mark.parametrize(("status", "fields"), [(180, {}), (183, {}), (407, CHALLENGE), (503, {})])
def test_what_else_it_says_counts_for_nothing(status: int, fields: dict[str, list[str]]) -> None:
    record = begun()
    play(record, GIVEN_UP)
    assert play(record, late(record, status, fields)) == []
    assert record.outbound is not None
    assert (record.legs, record.outbound.asked) == ({}, None)
    actions = play(record, ev.ImsFailed(503))
    assert any(isinstance(one, act.ChooseTrunk) for one in actions)
