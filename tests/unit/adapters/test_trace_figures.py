"""How often running calls are asked about, whatever becomes of the clock."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from kemi.adapters.monitoring.trace_figures import DUE_S, EVERY_S, LEAVE_ALONE_S, TraceFigures
from kemi.adapters.notices import Notices
from kemi.core.errors import MediaUnavailable
from kemi.core.trace.collecting import Collected
from kemi.state.calls import CallStore
from kemi.state.running_calls import _leg_quality
from rtpengine.ng.statistics import RawStatistics
from tests.fakes.table import MemoryTable
from tests.unit.core.call.ladder import Call

NOW = 1_000_000.0


class Relay:
    """Stands where MediaRelay stands, and answers nothing that could be read further."""

    def __init__(self) -> None:
        self.asked = 0

    def statistics_hastily(self, node: str, call_id: str, kind: str, now: float) -> Any:
        self.asked += 1
        raise MediaUnavailable("asleep")


class Site:
    """One running call."""

    def __init__(self) -> None:
        calls, record = CallStore(MemoryTable(), MemoryTable()), Call.confirmed().record
        for medium in record.media:
            medium.active = True
        calls.create(record)
        call = Collected(key=record.key, call_id=record.call_id, began_at=NOW, has_record=True)
        self.traces: Any = SimpleNamespace(calls=SimpleNamespace(by_key={record.key: call}))
        self.relay = Relay()
        self.figures = TraceFigures(calls, self.relay, None, 0.0)  # type: ignore[arg-type]

    def asked(self, now: float, seconds: float) -> int:
        """Let time pass, ten ticks a second; return how often the relay was asked."""
        before = self.relay.asked
        for tick in range(int(seconds * 10)):
            self.figures.look(now + tick / 10, self.traces)
        return self.relay.asked - before


def test_a_node_that_does_not_answer_is_left_alone() -> None:
    site = Site()
    assert site.asked(NOW, EVERY_S) == 1
    assert site.asked(NOW + EVERY_S, LEAVE_ALONE_S - EVERY_S) == 0
    assert site.asked(NOW + LEAVE_ALONE_S, EVERY_S + 2 * DUE_S) == 1


def test_a_clock_that_is_set_back_keeps_nothing_waiting() -> None:
    site = Site()
    assert site.asked(NOW, 2.0) == 1
    assert site.asked(NOW - 3_600.0, 2.0) == 1


class Told:
    """Stands where MediaRelay stands: a call of which both sides report, at first for long that all is well."""

    def __init__(self) -> None:
        self.at_s, self.packets, self.loss = 1800, 90_000, 0

    def statistics_hastily(self, node: str, call_id: str, kind: str, now: float) -> RawStatistics:
        average = {
            "MOS": 43,
            "round-trip time": 40_000,
            "jitter": 4,
            "packet loss": 0,
            "samples": self.at_s // 5,
        }
        latest = {**average, "packet loss": self.loss, "reported at": self.at_s}
        told = {"average MOS": average, "MOS progression": {"interval": 180, "entries": [latest]}}
        counters = {"packets": self.packets, "bytes": 1, "errors": 0}
        tags = {}
        for tag, ssrc in (("wic", 1), ("ims", 2)):
            stream = {"stats": counters, "last packet": 1, "SSRC": ssrc, "flags": ["RTP"]}
            media = {"index": 1, "type": kind, "codec": "PCMA/8000", "flags": [], "streams": [stream]}
            tags[tag] = {"tag": tag, "created": 1, "medias": [media]}
        document = {
            "created": 1, "last signal": 1, "tags": tags, "SSRC": {"1": told, "2": told},
            "totals": {"RTP": counters, "RTCP": counters},
        }  # fmt: skip
        return RawStatistics(json.dumps(document).encode())


def test_a_bad_minute_of_a_long_call_shows_in_its_trace_and_among_running_calls() -> None:
    site, told, kept, live = Site(), Told(), list[Any](), list[Any]()
    site.figures._relay = told  # type: ignore[assignment]

    def take(key: str, medium: str, found: Any, now: float, entry: Any) -> None:
        live.append(found)
        kept.append(entry)

    site.traces.figures = take
    for number, loss in enumerate((0, 30, 0)):
        told.at_s, told.packets, told.loss = 1800 + 60 * number, 90_000 + 3_000 * number, loss
        site.figures.look(NOW + 60 * number, site.traces)
    for leg in ("wic", "ims"):
        assert [entry[leg]["recent"]["loss_percent"] for entry in kept] == [0, 30, 0]
        assert [entry[leg]["recent"]["mos"] < 3 for entry in kept] == [False, True, False]
        assert kept[1][leg]["heard"]["loss_percent"] == 0
        quality = _leg_quality(5.0, live[1][leg])
        assert (quality.loss_percent, quality.mos_source) == (30, "e-model")


def test_of_a_call_that_has_moved_to_another_relay_nobody_hears_nothing() -> None:
    site, told = Site(), Told()
    calls, notices = site.figures._calls, Notices(MemoryTable(), "gw")
    site.figures = TraceFigures(calls, told, notices, 10.0)  # type: ignore[arg-type]
    site.traces.figures = lambda *_: None
    ratings = []
    for number, packets in enumerate((60_000, 60_500, 61_000, 350, 850, 1_350)):
        told.at_s, told.packets = 1800 + 10 * number, packets
        for event in site.figures.look(NOW + 10 * number, site.traces):
            ratings.append(
                {leg: found["rating"] for leg, found in json.loads(event)["quality"]["audio"].items()}
            )
    assert ratings == [{"wic": "good", "ims": "good"}]


def test_an_estimate_is_no_loss_and_no_jitter() -> None:
    """As a gateway counts it of whose far end sends no RTCP."""
    guess = {"samples": 0, "loss_percent": 0.0, "jitter_ms": 0.0, "round_trip_ms": None}
    heard = {**guess, "mos": 4.39, "mos_source": "estimated"}
    told = _leg_quality(5.0, {"codec": "PCMA/8000", "packets": 250, "heard": heard})
    assert (told.mos, told.mos_source, told.loss_percent, told.jitter_ms) == (4.39, "estimated", None, None)
