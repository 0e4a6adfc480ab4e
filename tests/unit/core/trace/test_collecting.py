"""Which messages are of which call, and how much of one is kept."""

from __future__ import annotations

import pytest

from kemi.core.trace.collecting import (
    LAST_CHARACTERS,
    LAST_ENTRIES,
    MOST_CHARACTERS,
    MOST_ENTRIES,
    MOST_FIGURES,
    Calls,
    Collected,
)
from kemi.core.trace.entries import Entry, What
from kemi.core.trace.reading import Facts, facts_of


def facts(
    start: str, *, ws: bool = False, cseq: str = "1 INVITE", tags: tuple[str, str] = ("a", "")
) -> Facts:
    via = "WSS" if ws else "UDP"
    to_tag = f";tag={tags[1]}" if tags[1] else ""
    found = facts_of(
        f"{start}\r\nVia: SIP/2.0/{via} h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag={tags[0]}\r\nTo: <sip:c@d>{to_tag}\r\n"
        f"Call-ID: c1\r\nCSeq: {cseq}\r\n\r\n"
    )
    assert found is not None
    return found


INVITE = "INVITE sip:c@d SIP/2.0"


def collected(**fields: object) -> Collected:
    return Collected(key="c1", call_id="c1", began_at=1.0, **fields)  # type: ignore[arg-type]


def test_forks_and_a_page_that_calls_a_page_have_one_call_id() -> None:
    calls = Calls()
    calls.by_key["c1"] = collected(has_record=True)
    towards = facts(INVITE, tags=("gw-in-7", ""), ws=True)
    assert calls.owner_of(towards, [], incoming=False) == "c1;gw-in-7"
    assert calls.owner_of(facts(INVITE), ["c1;gw-in-7"], incoming=True) == "c1;gw-in-7"
    assert calls.owner_of(facts(INVITE, ws=True), [], incoming=True) == "c1"
    refused = calls.owner_of(facts(INVITE), [], incoming=True)
    assert refused == "c1;refused"
    calls.by_key[refused] = collected()
    answer, ack = facts("SIP/2.0 480 Gone"), facts("ACK sip:c@d SIP/2.0", cseq="1 ACK")
    assert calls.owner_of(answer, [], incoming=False) == refused
    assert calls.owner_of(ack, [], incoming=True) == refused
    for start, incoming in ((INVITE, False), ("SIP/2.0 486 Busy Here", True)):
        assert calls.owner_of(facts(start), [], incoming=incoming) == "c1"


@pytest.mark.parametrize(
    ("start", "from_tag", "incoming", "leg"),
    [
        (INVITE, "t", True, "trunk:acme"),
        (INVITE, "t", False, "core"),
        ("SIP/2.0 200 OK", "t", True, "core"),
        ("SIP/2.0 200 OK", "t", False, "trunk:acme"),
        ("BYE sip:x SIP/2.0", "x", True, "core"),
        ("BYE sip:x SIP/2.0", "x", False, "trunk:acme"),
        ("SIP/2.0 200 OK", "x", True, "trunk:acme"),
        ("SIP/2.0 200 OK", "x", False, "core"),
    ],
)
def test_both_ways_of_a_trunks_call(start: str, from_tag: str, incoming: bool, leg: str) -> None:
    call = collected(trunk="acme", caller_tag="t")
    assert call.leg(facts(start, tags=(from_tag, "y")), incoming=incoming) == leg


def test_legs_of_a_pages_call() -> None:
    assert collected().leg(facts(INVITE, ws=True), incoming=True) == "page"
    assert collected().leg(facts(INVITE), incoming=False) == "core"
    assert collected(trunk="one").leg(facts(INVITE), incoming=False) == "trunk:one"


def full(call: Collected, number: int = 400, text: str = "") -> None:
    for at in range(number):
        call.add(Entry(at=float(at), what=What.SIP, text=text))


def test_how_much_is_kept() -> None:
    call = collected()
    full(call, MOST_ENTRIES + 7)
    assert (len(call.entries), call.left_out) == (MOST_ENTRIES - LAST_ENTRIES, LAST_ENTRIES + 7)
    assert call.take_last() == LAST_ENTRIES
    assert (len(call.entries), call.left_out) == (MOST_ENTRIES, 7)
    # What comes behind the end is not kept without end.
    full(call)
    assert (call.take_last(), len(call.entries), call.left_out) == (0, MOST_ENTRIES, 407)
    call = collected()
    full(call, 3, "x" * MOST_CHARACTERS)
    assert (call.take_last(), call.entries, call.left_out) == (0, [], 3)
    full(call, 50, "x" * (LAST_CHARACTERS // 5))
    assert (len(call.entries), call.take_last(), call.left_out) == (15, 5, 33)


def test_of_a_long_call_the_end_is_kept() -> None:
    call = collected()
    full(call)
    call.message(999.0, facts("BYE sip:c@d SIP/2.0", cseq="9 BYE", tags=("a", "b")), "BYE", incoming=True)
    call.take_last()
    assert [entry.at for entry in call.entries] == [*range(240), *range(341, 400), 999.0]
    assert call.entries[-1].name == "BYE"


def test_the_figures_of_each_medium_have_room_of_their_own() -> None:
    call = collected(changed=False)
    for number in range(MOST_FIGURES + 3):
        for kind in ("audio", "video"):
            call.add(Entry(at=float(number), what=What.QUALITY, name=kind))
    assert (len(call.entries), call.left_out, call.changed) == (2 * MOST_FIGURES, 6, True)


def test_a_call_without_a_record_ends_as_its_messages_say() -> None:
    call = collected()
    call.message(1.0, facts(INVITE, ws=True), "", incoming=True)
    call.decision(1.1, "request_rejected", "not registered", {})
    call.message(1.2, facts("SIP/2.0 403 Not Registered", ws=True), "", incoming=False)
    assert (call.ended_at, call.status, call.by, call.why, call.failed) == (
        1.2,
        403,
        "gateway",
        "not registered",
        True,
    )
    call = collected(trunk="acme", caller_tag="a")
    call.message(1.0, facts(INVITE), "", incoming=True)
    call.message(1.1, facts("SIP/2.0 200 OK"), "", incoming=True)
    call.message(1.2, facts("SIP/2.0 200 OK"), "", incoming=False)
    call.message(2.0, facts("BYE sip:x SIP/2.0", cseq="2 BYE", tags=("a", "b")), "", incoming=True)
    assert (call.answered_at, call.ended_at, call.by, call.why) == (1.2, 2.0, "trunk", "BYE")
    call = collected(trunk="acme", caller_tag="a")
    call.message(1.1, facts("SIP/2.0 486 Busy Here"), "", incoming=True)
    call.message(1.2, facts("SIP/2.0 486 Busy Here"), "", incoming=False)
    assert (call.ended_at, call.status, call.by, call.why) == (1.2, 486, "core", "Busy Here")
