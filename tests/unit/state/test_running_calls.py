"""What a gateway answers an operator: the legs of its calls, and what is known last of their media."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.history import peer_of
from kemi.core.call.record import CallRecord
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.core.identity import ANONYMOUS
from kemi.state.call_questions import ALL_CALLS, CallQuestion, answer_text
from kemi.state.calls import record_to_text
from kemi.state.running_calls import LiveLeg, calls_from_texts


def record(**changes: Any) -> CallRecord:
    return CallRecord(
        call_id="c1", wic_tag="w", gateway_tag="g", wic_contact="sip:x@y", wic_uri="sip:a@b",
        target_uri="tel:+49301", request_uri="tel:+49301", invite_via="", invite_cseq=1, wic_cseq=1, ims_cseq=1,
        connection_id="1", source="a:1", owner="sip:a@b", since=1.0, **changes,
    )  # fmt: skip


def told(*records: CallRecord) -> str:
    return answer_text("q", ALL_CALLS, map(record_to_text, records), lambda _: {}, 1.0)


def test_the_far_leg_says_by_which_trunk() -> None:
    text = told(record(outbound=Outbound(left=[], number="+49301", trunk="acme")))
    (call,) = calls_from_texts({"gw1": text}, "q")["gw1"].calls
    assert (call.far.by, call.far.party, call.page.by) == ("trunk:acme", "tel:+49301", "page")


def test_a_call_nobody_has_asked_the_relay_about_has_no_figures() -> None:
    (call,) = calls_from_texts({"gw1": told(record())}, "q")["gw1"].calls
    assert (call.page.media, call.far.media, call.far.by) == ({}, {}, "core")


def test_a_gateway_of_an_older_release_tells_no_legs() -> None:
    answer = json.loads(told(record()))
    for call in answer["calls"]:
        del call["page"], call["far"]
    del answer["total"], answer["at"]
    (call,) = calls_from_texts({"gw1": json.dumps(answer)}, "q")["gw1"].calls
    assert (call.owner, call.page, call.far) == ("sip:a@b", LiveLeg(), LiveLeg())


@pytest.mark.parametrize(
    ("changes", "peer"),
    [
        pytest.param({"incoming": Incoming(withheld=True)}, ANONYMOUS, id="caller who is private"),
        pytest.param(
            {"incoming": Incoming(withheld=True), "remote_identity": "sip:bob@x"},
            ANONYMOUS,
            id="and asserted",
        ),
        pytest.param({"incoming": Incoming()}, "tel:+49301", id="caller"),
        pytest.param(
            {"incoming": Incoming(), "remote_identity": "sip:bob@x tel:+49302"}, "sip:bob@x", id="asserted"
        ),
        pytest.param({"dialled": "tel:0301"}, "tel:0301", id="called by another number than it is sent to"),
        pytest.param({"dialled": "tel:*33*4711%23"}, "tel:*33****", id="service code with a PIN"),
        pytest.param({"remote_identity": "sip:bob@x"}, "sip:bob@x", id="who answers"),
        pytest.param({}, "tel:+49302", id="of the release before"),
    ],
)
def test_the_peer_is_whom_the_history_will_name(changes: dict[str, Any], peer: str) -> None:
    call = record(**changes)
    call.request_uri = "tel:+49302"
    (told_of,) = calls_from_texts({"gw1": told(call)}, "q")["gw1"].calls
    assert told_of.peer == told_of.far.party == peer_of(call) == peer
    for party in (peer, "+49301", "+49302", "bob", "4711"):  # what is not told is not found either
        text = answer_text("q", CallQuestion(party=party), [record_to_text(call)], lambda _: {}, 1.0)
        assert calls_from_texts({"gw1": text}, "q")["gw1"].total == int(party in peer)
