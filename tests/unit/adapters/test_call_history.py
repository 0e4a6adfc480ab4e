"""A worker's notes become one record of each call, whatever comes first and whatever is missing."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from kemi.adapters.calls import history as call_history
from kemi.adapters.calls import snapshots
from kemi.adapters.calls.history import WAIT_S, CallHistory, CallNotes
from kemi.adapters.calls.snapshots import NOT_TAKEN_UP
from kemi.core.call.actions import RecordEnd
from kemi.core.call.from_page.outbound import Outbound
from kemi.state.call_history import FinishedCall
from kemi.state.redis_link import Stored
from rtpengine.ng.statistics import RawStatistics
from tests.fakes.table import MemoryTable
from tests.unit.adapters import test_shared_state as shared
from tests.unit.adapters.test_other_gateways import answered_call, kept
from tests.unit.adapters.test_traces import Site

CALL = RecordEnd(
    key="call-1",
    call_id="call-1",
    owner="sip:alice@ims.example",
    peer="sip:bob@ims.example",
    from_page=True,
    since=100.0,
    answered_at=104.0,
    by="page",
    why="BYE",
    status=0,
    relay="192.0.2.1:2223",
    kinds=("audio",),
)


def raw(packets: int = 5, tag: str = "wic") -> RawStatistics:
    """Write statistics as rtpengine does, with a name that is not ASCII."""
    counters: dict[str, Any] = {"packets": packets, "bytes": 10 * packets, "errors": 0}
    stream = {"last packet": 1, "flags": ["RTP"], "stats": counters}
    media = {
        "index": 1,
        "type": "audio",
        "protocol": "ü",
        "codec": "opus/48000/2",
        "streams": [stream],
        "flags": [],
    }
    tags: dict[str, Any] = {tag: {"tag": tag, "created": 1, "medias": [media]}}
    totals: dict[str, Any] = {"RTP": counters, "RTCP": counters}
    found = {"created": 1, "last signal": 1, "SSRC": {}, "tags": tags, "totals": totals}
    return RawStatistics(json.dumps(found, ensure_ascii=False).encode())


class World:
    """Both sides and the tables between."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        self.notes = CallNotes(self.tables["statistics"], self.tables["finished"])
        self.history = CallHistory(self.tables["statistics"], self.tables["finished"], "node-1")

    def only(self, now: float) -> FinishedCall:
        """Return the one call that is complete."""
        (found,) = self.history.work(now)
        assert self.history.work(now + 60) == []
        assert not list(self.tables["statistics"].items())
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(call_history, "READING_S", 60.0)  # a tick reads all, however slow the machine
    return World()


@pytest.mark.parametrize("statistics_first", [True, False])
def test_figures_and_end_meet(world: World, statistics_first: bool) -> None:
    if statistics_first:
        world.notes.statistics("call-1", "audio", raw())
    else:
        world.notes.ended(CALL, 110.0)
    assert world.history.work(110.1) == []
    if statistics_first:
        world.notes.ended(CALL, 110.0)
    else:
        world.notes.statistics("call-1", "audio", raw())
    found = world.only(110.2)
    assert (found.duration_s, found.by, found.why, found.direction) == (6.0, "page", "BYE", "from_page")
    assert (found.relay, found.node, found.ended_at) == ("192.0.2.1:2223", "node-1", 110.0)
    assert found.media["audio"]["wic"]["packets"] == 5
    assert found.media["audio"]["ims"] is None


def test_a_relay_that_does_not_answer_leaves_the_reason(world: World) -> None:
    world.notes.statistics("call-1", "audio", "media relay 192.0.2.1:2223 does not answer")
    world.notes.ended(CALL, 110.0)
    assert world.only(110.1).media == {"audio": {"why": "media relay 192.0.2.1:2223 does not answer"}}


def test_a_relay_that_was_never_heard_of_again_is_not_waited_for_long(world: World) -> None:
    world.notes.ended(CALL, 110.0)
    assert world.history.work(110.0 + WAIT_S - 0.1) == []
    assert world.only(110.0 + WAIT_S).media == {"audio": {"why": "the media relay said nothing"}}


def test_a_medium_that_went_before_the_call_counts(world: World) -> None:
    world.notes.statistics("call-1", "video", raw(9))
    assert world.history.work(50.0) == []
    world.notes.statistics("call-1", "audio", raw())
    world.notes.ended(CALL, 110.0)
    assert set(world.only(110.1).media) == {"audio", "video"}


@pytest.mark.parametrize(
    "why", ["the media relay has no such call", None], ids=["given back", "never heard of"]
)
def test_a_medium_that_was_off_is_not_missed(world: World, why: str | None) -> None:
    world.notes.statistics("call-1", "audio", raw())
    if why is not None:
        world.notes.statistics("call-1", "video", why)
    world.notes.ended(replace(CALL, kinds=("audio", "video"), off=("video",)), 110.0)
    assert set(world.only(110.0 + WAIT_S).media) == {"audio"}


def test_a_medium_that_was_switched_off_keeps_its_figures(world: World) -> None:
    world.notes.statistics("call-1", "video", raw(9))
    assert world.history.work(50.0) == []
    world.notes.statistics("call-1", "audio", raw())
    world.notes.statistics("call-1", "video", "the media relay has no such call")
    world.notes.ended(replace(CALL, kinds=("audio", "video"), off=("video",)), 110.0)
    assert world.only(110.1).media["video"]["wic"]["packets"] == 9


def test_a_call_without_media_is_recorded_at_once(world: World) -> None:
    world.notes.ended(replace(CALL, answered_at=0.0, by="core", why="refused", status=486, kinds=()), 110.0)
    found = world.only(110.0)
    assert (found.status, found.duration_s, found.media) == (486, 0.0, {})


def test_what_cannot_be_read_says_so(world: World) -> None:
    world.notes.statistics("call-1", "audio", RawStatistics(b'{"created":'))
    world.notes.ended(CALL, 110.0)
    assert world.only(110.1).media["audio"]["why"].startswith("unreadable")


def test_a_storm_is_read_bit_by_bit_and_completely(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_history, "READING_S", 0.001)
    for number in range(200):
        world.notes.statistics(f"call-{number}", "audio", raw())
        world.notes.ended(replace(CALL, key=f"call-{number}"), 110.0)
    first = world.history.work(110.0 + WAIT_S)
    assert len(first) < 200
    assert world.history.is_behind
    found = first + [call for _ in range(1000) for call in world.history.work(110.0 + WAIT_S)]
    assert {call.key for call in found} == {f"call-{number}" for number in range(200)}
    assert not world.history.is_behind
    assert all(call.media["audio"]["wic"]["packets"] == 5 for call in found)


class TestRestart:
    """An answered call that cannot go on after a restart is in the history all the same."""

    @staticmethod
    def found_after(text: str) -> list[FinishedCall]:
        site = shared.World()
        site.redis.content = Stored({}, {}, {"call-1": text})
        assert site.shared.restore(0.0, 30.0)
        assert site.calls.keys() == []
        history = CallHistory(site.tables["statistics"], site.tables["finished"], "node-1")
        return history.work(time.time())

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"schema": 2}, id="of another release"),
            pytest.param({"doomed": "no common codec"}, id="about to be ended"),
        ],
    )
    def test_it_has_ended(self, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        record = answered_call("sip:alice@ims.example", "<sip:x>")
        record.remote_identity = "sip:bob@ims.example tel:+4930"
        record.answered_at -= 60
        record.since = record.answered_at - 5
        record.outbound = Outbound(left=[], number="+4930", trunk="carrier")
        document = json.loads(kept(record))
        document["record"] |= {"call_id": "call-1", **changes}
        traces = Site()
        monkeypatch.setattr(snapshots, "NOTES", traces.worker)
        (found,) = self.found_after(json.dumps(document))
        assert (found.key, found.impu, found.peer) == (
            "call-1",
            "sip:alice@ims.example",
            "sip:bob@ims.example",
        )
        assert (found.by, found.why, found.direction) == ("gateway", NOT_TAKEN_UP, "from_page")
        assert found.trunk == "carrier"
        assert found.duration_s == pytest.approx(60, abs=5)
        traces.keeper.finished([found])
        traces.work()
        head = traces.redis["call-1"][-1].head
        assert (head.call_id, head.impu, head.peer) == ("call-1", found.impu, found.peer)
        assert (head.began_at, head.answered_at) == (found.began_at, found.answered_at)
        assert head.ended_at == found.ended_at
        assert (head.by, head.why, head.failed) == ("gateway", NOT_TAKEN_UP, True)

    def test_not_one_that_is_over_long_since_or_that_nobody_can_read(self) -> None:
        old = answered_call("sip:alice@ims.example", "<sip:x>")
        old.answered_at, old.doomed = 1.0, "x"
        assert self.found_after(kept(old)) == self.found_after("{}") == []
