"""What a trunk is sent of a page's call, and what the page is told of a trunk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call import actions as act
from kemi.core.call import events as ev
from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.from_page.trunk_call import outbound_of
from kemi.core.call.record import CallRecord
from kemi.core.identity import ANONYMOUS
from kemi.core.messages import Request, Side
from kemi.core.routing.way import Way
from tests.unit.core.call.ladder import ALICE, CALL_ID, WIC_TAG, header_reader, invite
from tests.unit.core.call.test_trunk_call import (
    CHALLENGE,
    asked_and_answered,
    begun,
    invites,
    play,
    ready,
    refused,
    reply,
    said,
)

OTHER = {"Proxy-Authenticate": [CHALLENGE["Proxy-Authenticate"][0].replace("n1", "n2")]}


@pytest.mark.parametrize("is_emergency", [False, True])
def test_a_trunk_that_has_room_is_found_first(is_emergency: bool) -> None:
    record = ready()
    record.outbound = Outbound(["one", "two"], "+493012345678", is_emergency=is_emergency)
    actions = play(record, ev.InviteResumed())
    assert actions == [act.ChooseTrunk(record.key, ("one", "two"), unlimited=is_emergency)]


def test_a_call_that_is_over_goes_to_no_trunk() -> None:
    record = ready()
    record.outbound = Outbound(["one"], "+493012345678")
    play(record, ev.InviteResumed())
    play(record, ev.CancelReceived())
    play(record, ev.TrunkChosen(None))
    assert record.ended
    assert play(record, ev.TrunkChosen("one", ("sip:192.0.2.7",))) == []


def test_an_invite_for_a_trunk_has_what_is_for_trunks_and_nothing_of_the_page() -> None:
    record = begun()
    record.caller_lines = [
        "P-Preferred-Service: urn:urn-7:x", "Accept-Contact: *", "Priority: urgent", "Supported: 100rel, timer",
        "Require: replaces", "Allow: INVITE", "Proxy-Authorization: Digest x", "Resource-Priority: esnet.0",
    ]  # fmt: skip
    (sent,) = invites(play(record, ev.ImsFailed(503)))
    edits = sent.edits
    assert edits.request_uri == "sip:+493012345678@192.0.2.7;user=phone"
    assert edits.from_value == f"<sip:+4930999999@192.0.2.7;user=phone>;tag={WIC_TAG}"
    assert edits.to_value == "<sip:+493012345678@192.0.2.7;user=phone>"
    assert {
        "Contact", "Route", "Supported", "Require", "Allow", "Priority", "P-Asserted-Identity", "Privacy", "P-*",
        "X-*", "Accept-Contact", "Authorization", "Proxy-Authorization", "Record-Route",
    } <= set(edits.remove)  # fmt: skip
    names = [line.partition(":")[0] for line in edits.insert]
    assert set(names) == {
        "Contact", "Session-Expires", "Min-SE", "P-Asserted-Identity", "Priority", "Supported", "Require", "Allow",
        "Resource-Priority",
    }  # fmt: skip
    assert len(names) == len(set(names))
    assert "P-Asserted-Identity: <sip:+4930999999@192.0.2.7;user=phone>" in edits.insert


@pytest.mark.parametrize(
    ("from_uri", "headers", "withheld"),
    [
        pytest.param(ALICE, {}, False, id="known"),
        pytest.param(ANONYMOUS, {}, True, id="From"),
        pytest.param(ALICE, {"Privacy": ["id"]}, True, id="Privacy"),
        pytest.param(ALICE, {"Privacy": ["none"]}, False, id="Privacy: none"),
    ],
)
def test_who_does_not_want_to_be_known_is_not(
    from_uri: str, headers: dict[str, list[str]], withheld: bool
) -> None:
    way = Way("row", "sip:x", "", trunks=("one",), number="+493012345678")
    request = replace(invite(headers=headers), from_uri=from_uri)
    outbound = outbound_of(way, request, [ALICE], ["tel:+4930999999"])
    assert (outbound.withheld, outbound.caller) == (withheld, "+4930999999")
    record = ready()
    record.outbound = outbound
    play(record, ev.InviteResumed())
    (sent,) = invites(play(record, ev.TrunkChosen("one", ("sip:192.0.2.7",))))
    assert ("Privacy: id" in sent.edits.insert) is withheld
    assert ("+4930999999" in (sent.edits.from_value or "")) is not withheld


@pytest.mark.parametrize(
    ("reasons", "told"), [([], "Reason: Q.850;cause="), (["Q.850;cause=34"], "Reason: Q.850;cause=34")]
)
def test_a_trunk_that_takes_no_calls_is_said_by_us(reasons: list[str], told: str) -> None:
    """tm would make a 500 of the trunk's own 503 (RFC 3261 §16.7)."""
    record = begun()
    assert record.outbound is not None
    record.outbound.left = []
    refused(record, 503, {"Reason": reasons})
    play(record, reply(record, 503, {"Reason": reasons}))
    actions = play(record, ev.ImsFailed(503))
    (answer,) = [one for one in actions if isinstance(one, act.SendReply)]
    assert answer.status == 503
    assert any(line.startswith(told) for line in answer.headers)
    assert record.ended


# ---------------------------------------------------------------- inside the dialog


def from_page(record: CallRecord, method: str, cseq: int, **headers: list[str]) -> Request:
    return Request(
        Side.WIC, method, CALL_ID, WIC_TAG, record.gateway_tag, cseq,
        headers=header_reader(headers), connection_id=record.connection_id,
    )  # fmt: skip


def acknowledged() -> CallRecord:
    record, _ = asked_and_answered()
    play(record, ev.WicRequest(from_page(record, "ACK", record.invite_cseq)))
    return record


def forwarded(record: CallRecord, method: str, cseq: int) -> act.ForwardRequest:
    request = from_page(record, method, cseq, Reason=['SIP;cause=200;text="bye"'])
    (sent,) = [one for one in play(record, ev.WicRequest(request)) if isinstance(one, act.ForwardRequest)]
    return sent


def test_a_page_s_request_to_a_trunk_may_be_challenged_and_is_named_as_the_call() -> None:
    record = acknowledged()
    sent = forwarded(record, "BYE", 12)
    assert sent.trunk == "one"
    assert (sent.edits.from_value or "").startswith("<sip:+4930999999@192.0.2.7;user=phone>;tag=")
    assert sent.edits.to_value == "<sip:+493012345678@192.0.2.7;user=phone>;tag=far"
    assert {"Privacy", "P-*", "X-*", "Authorization"} <= set(sent.edits.remove)
    assert [line for line in sent.edits.insert if line.startswith("Reason")]
    assert len(said(sent.edits.insert)) == 1


def test_a_challenge_of_a_page_s_request_is_answered_once() -> None:
    record = acknowledged()
    sent = forwarded(record, "BYE", 12)
    cseq = sent.edits.cseq or 12
    challenge = reply(record, 407, OTHER).reply
    challenge.method, challenge.cseq = "BYE", cseq
    play(record, ev.ImsReply(challenge))
    actions = play(record, ev.ForwardChallenged("BYE", 12, sent))
    (again,) = [one for one in actions if isinstance(one, act.ForwardRequest)]
    assert again.again
    assert (again.edits.cseq or 0) > cseq
    (line,) = said(again.edits.insert)
    assert ('nonce="n2"' in line, "nc=00000001" in line) == (True, True)
    assert record.to_core[str(again.edits.cseq)] == 12
    assert record.outbound is not None
    assert record.outbound.answered_cseq == again.edits.cseq
    challenge.cseq = again.edits.cseq or 0  # it was not good: the page is told
    (told,) = [one for one in play(record, ev.ImsReply(challenge)) if isinstance(one, act.ForwardReply)]
    assert record.outbound.asked is not None
    assert told.edits != act.MessageEdits()


def test_what_was_asked_of_nobody_is_not_answered() -> None:
    record = acknowledged()
    sent = forwarded(record, "BYE", 12)
    assert record.outbound is not None
    record.outbound.asked = None
    assert play(record, ev.ForwardChallenged("BYE", 12, sent)) == []
