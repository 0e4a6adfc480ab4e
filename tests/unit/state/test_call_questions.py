"""Which running calls fit a question, and that a walk over pages finds each once while others begin and end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.state.call_questions import (
    CallQuestion,
    Place,
    answer_text,
    place_from_text,
    place_of,
    place_to_text,
)
from kemi.state.calls import record_to_text
from kemi.state.running_calls import GatewayCalls

ALICE, PEER = "sip:alice@ims.example", "tel:+49-30-1234567"


def record(call_id: str = "c1", since: float = 100.0, **changes: Any) -> CallRecord:
    fields: dict[str, Any] = {"owner": ALICE, "request_uri": PEER, **changes}
    return CallRecord(
        call_id=call_id, wic_tag="w", gateway_tag="g", wic_contact="sip:x@y", wic_uri=ALICE, target_uri="tel:+49301",
        invite_via="", invite_cseq=1, wic_cseq=1, ims_cseq=1, connection_id="1", source="a:1", since=since, **fields,
    )  # fmt: skip


def asked(question: CallQuestion, *records: CallRecord) -> GatewayCalls:
    text = answer_text("q", question, map(record_to_text, records), lambda _: {}, 5.0)
    return msgspec.json.decode(text, type=GatewayCalls)


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"impus": ("sip:alice@IMS.example;x=y", "tel:+1")}, True),
        ({"impus": ("sip:bob@ims.example",)}, False),
        ({"party": "LICE@"}, True),
        ({"party": "+49 30 123"}, True),
        ({"party": "30123-45"}, True),
        ({"party": "+49301239"}, False),
        ({"party": "bob"}, False),
        ({"call_id": "c1"}, True),
        ({"call_id": "c"}, False),
        ({"direction": "out"}, True),
        ({"direction": "in"}, False),
        ({"dialog": "confirmed"}, True),
        ({"dialog": "early"}, False),
        ({"node": "192.0.2.1:2223"}, True),
        ({"node": "192.0.2.2:2223"}, False),
        ({"trunk": "acme"}, True),
        ({"trunk": "acm"}, False),
        ({"begun_until": 100.0}, True),
        ({"begun_until": 99.9}, False),
        ({"party": "alice", "trunk": "other"}, False),
    ],
)
def test_what_is_asked_for(fields: dict[str, Any], *, fits: bool) -> None:
    call = record(
        dialog=Dialog.CONFIRMED,
        node="192.0.2.1:2223",
        outbound=Outbound(left=[], number="+49301", trunk="acme"),
    )
    found = asked(CallQuestion(**fields), call)
    assert ([one.call_id for one in found.calls], found.total, found.at) == (["c1"] * fits, int(fits), 5.0)


def test_what_is_over_is_not_running() -> None:
    assert asked(CallQuestion(), record(dialog=Dialog.TERMINATED)).total == 0


def test_a_call_towards_a_page_comes_from_its_caller() -> None:
    call = record(incoming=Incoming())
    (found,) = asked(CallQuestion(direction="in", party=call.target_uri), call).calls
    assert (found.direction, found.peer, found.key) == ("in", call.target_uri, call.key)


def test_a_walk_finds_each_call_once_whatever_begins_and_ends() -> None:
    # Three at the same moment: their order is that of their marks.
    running = {f"c{number}": record(f"c{number}", 100.0 + number // 3) for number in range(20)}
    after: Place | None = None
    seen: list[str] = []
    ended, begun = [], []
    for turn in range(100):
        found = asked(CallQuestion(after=after, limit=3), *running.values())
        seen += [call.call_id for call in found.calls]
        assert found.total == len(running)
        if not found.left_out:
            break
        after = place_from_text(place_to_text(place_of(found.calls[-1])))
        ended.append(next(name for name in running if name not in begun))
        del running[ended[-1]]
        begun.append(f"new{turn}")
        running[begun[-1]] = record(begun[-1], 1000.0 + turn)
    assert len(seen) == len(set(seen))
    assert not set(seen) & set(begun)
    assert {name for name in running if name not in begun} <= set(seen)
    assert len(ended) > 3


@pytest.mark.parametrize("text", ["", "1.0", "x:ab", "nan:ab", "inf:ab"])
def test_no_place(text: str) -> None:
    with pytest.raises(ValueError):
        place_from_text(text)
