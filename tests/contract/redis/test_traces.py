"""Traces of calls in a real Redis: written in portions, found by key, Call-ID and caller, in rings of two kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from kemi.core.trace.entries import CallTrace, Entry, What
from kemi.state import keys, trace_link
from kemi.state.redis_link import RedisLink
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TraceHead, TracePortion, entries_to_bytes
from kemi.state.trunks import LONGEST_S
from kemi.state.web import traces
from kemi.state.web.traces import TracesView

pytestmark = pytest.mark.contract

ALICE, BOB = "sip:alice@ims.example", "sip:bob@ims.example"
RINGS = TraceRings(calls=3, failed_calls=2, kept_s=1_000, failed_kept_s=5_000)


def head(number: int, impu: str = ALICE, **fields: Any) -> TraceHead:
    """Make the head of a call that began at this second."""
    known: dict[str, Any] = {
        "key": f"call-{number}",
        "call_id": f"call-{number}",
        "impu": impu,
        "peer": "tel:1",
    }
    known |= {"direction": "from_page", "node": "gw1", "began_at": float(number)}
    return TraceHead(**(known | fields))


@dataclass
class Kept:
    """Both sides of Redis."""

    gateway: RedisLink
    web: TracesView

    def write(self, one: TraceHead, *entries: Entry) -> None:
        """Ship a portion as the gateway does."""
        portion = TracePortion(one, entries_to_bytes(entries) if entries else b"")
        self.gateway.ship_traces([portion], RINGS)

    def keys(self, **asked: Any) -> list[str]:
        """The names of the calls that are found."""
        return [one.key for one in self.web.list(**asked)[0]]


@pytest.fixture
def kept(database: Any, url: str) -> Kept:
    return Kept(RedisLink(url, "node-1"), TracesView(database))


def sip(at: float, text: str) -> Entry:
    return Entry(at=at, what=What.SIP, leg="page", incoming=True, name="INVITE", text=text)


def test_what_is_written_again_with_what_came_meanwhile_stands_there_once(kept: Kept) -> None:
    first, second, third = sip(1.0, "one"), sip(2.0, "two"), sip(3.0, "three")
    for portion in ([first], [first], [first, second], [third], [third]):
        kept.write(head(1), *portion)
    trace = kept.web.get("call-1")
    assert trace is not None
    assert trace.entries == [first, second, third]


def test_portions_come_back_as_one_trace_in_order(kept: Kept) -> None:
    late = Entry(
        at=3.0, what=What.RELAY, name="offer", values={"ms": 1.5, "flags": ["a"]}, text="v=0", result="v=1"
    )
    kept.write(head(1), sip(1.0, "INVITE sip:x SIP/2.0\r\n\r\n"), late)
    assert kept.web.get("call-1") is not None
    media = {"audio": {"why": "the media relay said nothing"}}
    ended = head(1, answered_at=2.0, ended_at=9.0, by="page", why="BYE", relay="r", media=media, left_out=4)
    kept.write(ended, sip(2.0, "\u00e9"))
    assert kept.web.get("call-1") == CallTrace(
        key="call-1",
        call_id="call-1",
        impu=ALICE,
        peer="tel:1",
        direction="from_page",
        node="gw1",
        began_at=1.0,
        answered_at=2.0,
        ended_at=9.0,
        by="page",
        why="BYE",
        relay="r",
        media=media,
        left_out=4,
        entries=[sip(1.0, "INVITE sip:x SIP/2.0\r\n\r\n"), sip(2.0, "\u00e9"), late],
    )
    assert kept.web.get("call-2") is None


def test_a_call_towards_a_page_is_found_by_its_call_id_too(kept: Kept) -> None:
    for tag in ("gw-in-1", "gw-in-2"):
        kept.write(head(int(tag[-1]), key=f"a*b;{tag}", call_id="a*b"), sip(1.0, tag))
    kept.write(head(9, key="axxb;gw-in-9", call_id="axxb"))
    found = kept.web.get("a*b")
    assert found is not None
    assert found.key == "a*b;gw-in-2"
    assert kept.keys(call_id="a*b") == ["a*b;gw-in-2", "a*b;gw-in-1"]


def test_lists_are_filtered_and_come_page_by_page(kept: Kept) -> None:
    for number in (1, 2):
        kept.write(head(number, BOB if number % 2 else ALICE))
    for number in (3, 4):
        kept.write(head(number, BOB if number % 2 else ALICE, failed=True))
    assert kept.keys() == ["call-4", "call-3", "call-2", "call-1"]
    assert kept.keys(failed=True) == ["call-4", "call-3"]
    assert kept.keys(failed=False) == ["call-2", "call-1"]
    assert kept.keys(impu=BOB) == ["call-3", "call-1"]
    assert kept.keys(impu=BOB, failed=True) == ["call-3"]
    found, after = kept.web.list(3)
    assert [one.key for one in found] == ["call-4", "call-3", "call-2"]
    found, after = kept.web.list(3, after=after)
    assert ([one.key for one in found], after) == (["call-1"], "")
    with pytest.raises(ValueError, match="not a place"):
        kept.web.list(after="nonsense")


@pytest.mark.parametrize("failed", [{1, 3, 5, 7}, set(), {1}, {1, 2, 3}, {6, 7, 8}])
def test_a_search_goes_on_to_the_first_of_many(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, failed: set[int]
) -> None:
    monkeypatch.setattr(traces, "MOST_READ", 3)
    for number in range(1, 9):
        kept.write(head(number, failed=number in failed))
    for asked in (None, False, True):
        wanted = [n for n in range(8, 0, -1) if asked is None or asked is (n in failed)]
        names, after = [], ""
        for _ in range(9):
            found, after = kept.web.list(2, failed=asked, after=after)
            names += [one.key for one in found]
            if not after:
                break
        assert names == [f"call-{n}" for n in wanted]
        for number in wanted:
            found, after = kept.web.list(call_id=f"call-{number}", failed=asked)
            while after and not found:
                found, after = kept.web.list(call_id=f"call-{number}", failed=asked, after=after)
            assert [one.key for one in found] == [f"call-{number}"]


def test_a_call_that_fails_goes_to_the_other_ring_and_stays_longer(kept: Kept, database: Any) -> None:
    kept.write(head(1), sip(1.0, "x"))
    assert 0 < database.ttl(keys.trace("call-1")) <= RINGS.kept_s
    kept.write(head(1, failed=True))
    assert kept.keys(failed=False) == []
    assert kept.keys() == ["call-1"]
    for name in (keys.trace("call-1"), keys.trace_head("call-1")):
        assert RINGS.kept_s < database.ttl(name) <= RINGS.failed_kept_s


def test_rings_are_cut_each_by_itself_and_nothing_is_left_of_what_falls_out(
    kept: Kept, database: Any
) -> None:
    for number in range(1, 7):
        kept.write(head(number, ended_at=number + 0.5, failed=number < 4), sip(1.0, "x"))
    kept.gateway.trim_traces(RINGS, 100.0)
    assert kept.keys() == ["call-6", "call-5", "call-4", "call-3", "call-2"]
    assert not database.exists(keys.trace("call-1"), keys.trace_head("call-1"))
    assert database.exists(keys.trace("call-2"), keys.trace_head("call-2")) == 2
    kept.gateway.trim_traces(RINGS, 1_005.5)
    assert kept.keys() == ["call-6", "call-3", "call-2"]


def test_a_call_that_runs_is_not_pushed_out_and_stays_as_long_as_others_when_it_is_over(
    kept: Kept, database: Any
) -> None:
    kept.write(head(1), sip(1.0, "x"))
    for number in range(2, 7):
        kept.write(head(number, ended_at=number + 0.5), sip(1.0, "x"))
    kept.gateway.trim_traces(RINGS, 100.0)
    assert kept.keys() == ["call-6", "call-5", "call-4", "call-1"]
    kept.write(head(1, ended_at=50.0))
    kept.gateway.trim_traces(RINGS, 100.0)
    assert kept.keys() == ["call-6", "call-5", "call-1"]
    kept.write(head(1, ended_at=50.0, failed=True))
    kept.write(head(7, ended_at=51.0))
    kept.gateway.trim_traces(RINGS, 100.0)
    assert kept.keys() == ["call-7", "call-6", "call-5", "call-1"]
    kept.write(head(8))  # its end is never told
    kept.gateway.trim_traces(RINGS, 1_052.0)
    assert kept.keys() == ["call-8", "call-1"]
    kept.gateway.trim_traces(RINGS, 1_009.0 + LONGEST_S)
    assert not database.exists(keys.traces(failed=False), keys.ended_traces(failed=False))


def test_a_call_that_runs_for_longer_than_traces_are_kept_is_listed_until_so_long_after_its_end(
    kept: Kept,
) -> None:
    kept.write(head(1), sip(1.0, "x"))
    kept.gateway.trim_traces(RINGS, 4_000.0)
    assert kept.keys() == ["call-1"]
    kept.write(head(1, ended_at=4_001.0))
    kept.gateway.trim_traces(RINGS, 5_000.0)
    assert kept.keys() == ["call-1"]
    kept.gateway.trim_traces(RINGS, 5_002.0)
    assert kept.keys() == []


def test_calls_whose_end_nobody_tells_do_not_fill_redis(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_link, "MOST_RUNNING", 2)
    for number in range(1, 5):
        kept.write(head(number), sip(1.0, "x"))
    kept.gateway.trim_traces(RINGS, 100.0)
    assert kept.keys() == ["call-4", "call-3"]


def test_a_redis_that_is_nearly_full_keeps_fewer(kept: Kept, database: Any) -> None:
    for number in (1, 2):
        kept.write(head(number, failed=number == 2), sip(1.0, "x"))
    used = database.info("memory")["used_memory"]
    try:
        database.config_set("maxmemory", used * 2)
        kept.gateway.trim_traces(RINGS, 100.0)
        assert len(kept.keys()) == 2
        used = database.info("memory")["used_memory"]  # less, where other clients' buffers are gone
        database.config_set("maxmemory", int(used * 1.1))
        kept.gateway.trim_traces(RINGS, 100.0)
        assert kept.keys() == []
    finally:
        database.config_set("maxmemory", 0)


def test_what_cannot_be_read_counts_as_left_out(kept: Kept, database: Any) -> None:
    kept.write(head(1), sip(1.0, "x"))
    database.rpush(keys.trace("call-1"), "of another release")
    found = kept.web.get("call-1")
    assert found is not None
    assert (len(found.entries), found.left_out) == (1, 1)
    database.set(keys.trace_head("call-1"), msgspec.json.encode({"key": "call-1"}))
    assert kept.web.get("call-1") is None
    assert kept.keys() == []
