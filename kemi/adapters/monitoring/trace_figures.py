"""How good running calls are: the relay is asked about a few of them at each tick of housekeeping.

The figures go into the calls' traces, and where what a side hears has changed, an event tells it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kemi.adapters.monitoring.traces import TraceKeeper
from kemi.adapters.notices import Notices
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call.history import peer_of
from kemi.core.call.media.hearing import Hearing, ToldHearing, hearing_of
from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog
from kemi.core.errors import MediaUnavailable
from kemi.core.pace import is_early
from kemi.core.trace.collecting import Collected
from kemi.state.calls import CallStore
from kemi.state.running_calls import running_call
from rtpengine.ng.errors import NgError
from rtpengine.quality import MediumQuality, latest_reports, medium_quality
from rtpengine.recent import Course, RecentLeg

LOOKING_S: Final = 0.01
"""How long one tick may ask: there are ten each second, and other work waits."""
EVERY_S: Final = 5.0
"""How often a call is asked about at most."""
OLDER: Final = 20
"""The trace of a call that has lasted long gets this many entries while its age doubles, about: they stay few."""
CALLS_EACH_S: Final = 20
LEAVE_ALONE_S: Final = 10.0
"""How long a node that did not answer is not asked again."""
DUE_S: Final = 1.0
_SOUND: Final = "audio"


@dataclass(slots=True)
class _Known:
    """Of a running call."""

    courses: dict[str, Course] = field(default_factory=dict)
    """By medium."""
    told: ToldHearing = field(default_factory=ToldHearing)


class TraceFigures:
    """The running calls of this node, in turn."""

    def __init__(self, calls: CallStore, relay: MediaRelay, notices: Notices, events_s: float) -> None:
        """``events_s``: least time between two events of a call, in seconds; 0: there are none."""
        self._calls = calls
        self._relay = relay
        self._notices = notices
        self._events_s = events_s
        self._due: list[Collected] = []
        self._next_round = 0.0
        self._unreachable: dict[str, float] = {}
        self._known: dict[str, _Known] = {}
        self._events: list[str] = []

    def look(self, now: float, traces: TraceKeeper) -> list[str]:
        """Ask about calls that are due, as far as there is time; return events."""
        running = traces.calls.by_key
        if not self._due and not is_early(now, self._next_round, DUE_S):
            self._next_round = now + DUE_S
            self._due = [
                call
                for call in running.values()
                if call.has_record
                and not call.ended_at
                and not is_early(now, call.next_figures_at, self._often_s(call, now, len(running)))
            ]
            for key in self._known.keys() - running.keys():
                del self._known[key]
        until = time.perf_counter() + LOOKING_S
        while self._due and time.perf_counter() < until:
            call = self._due.pop()
            call.next_figures_at = now + DUE_S
            if self._ask(call, now, traces):
                call.next_figures_at = now + self._often_s(call, now, len(running))
                if _gets_entry(call, now):
                    call.next_entry_at = now + _thinned_s(call, now)
        events, self._events = self._events, []
        return events

    def _often_s(self, call: Collected, now: float, running: int) -> float:
        """Return how often a call of so many running ones is asked about, in seconds."""
        thinned_s = _thinned_s(call, now)
        often_s = min(thinned_s, max(EVERY_S, self._events_s)) if self._events_s else thinned_s
        return max(often_s, running / CALLS_EACH_S)

    def _ask(self, call: Collected, now: float, traces: TraceKeeper) -> bool:
        """Ask about one call; False: it is not answered yet, or over."""
        record = self._calls.get(call.key)
        if record is None or record.dialog is not Dialog.CONFIRMED:
            return False
        if is_early(now, self._unreachable.get(record.node, 0.0), LEAVE_ALONE_S):
            return True
        for medium in record.media:
            if not medium.active:
                continue
            try:
                found = self._relay.statistics_hastily(record.node, call.key, medium.kind, now)
                statistics = found.read()
            except MediaUnavailable:
                self._unreachable[record.node] = now + LEAVE_ALONE_S
                return True
            except NgError:  # a reply that cannot be read: the call's end says so
                return True
            quality = medium_quality(medium.kind, statistics)
            known = self._known.setdefault(call.key, _Known())
            is_first = medium.kind not in known.courses
            course = known.courses.setdefault(medium.kind, Course(medium.kind))
            legs = course.take(quality, latest_reports(statistics))
            entry = _figures(quality, course.since_entry(quality)) if _gets_entry(call, now) else {}
            traces.figures(call.key, medium.kind, _figures(quality, course.now()), now, entry)
            # What is heard before both sides have settled is told by the next look.
            if medium.kind == _SOUND and self._events_s and not is_first:
                self._watch(record, known.told, legs, now)
        return True

    def _watch(
        self, record: CallRecord, told: ToldHearing, legs: dict[str, RecentLeg | None], now: float
    ) -> None:
        found = {
            name: hearing_of(leg.mos, leg.packets, told.told.get(name))
            for name, leg in legs.items()
            if leg is not None and leg.mos is not None
        }
        if told.is_news(found, now, self._events_s):
            self._events.append(self._event(record, legs, found, now))

    def _event(
        self, record: CallRecord, legs: dict[str, RecentLeg | None], found: dict[str, Hearing], now: float
    ) -> str:
        call = running_call(record)
        sound = {
            name: None if leg is None else {"rating": found[name].value, **msgspec.to_builtins(leg)}
            for name, leg in legs.items()
        }
        fields: dict[str, Any] = {
            "key": call.key,
            "call_id": call.call_id,
            "impu": call.owner,
            "peer": peer_of(record),
            "direction": "from_page" if call.direction == "out" else "to_page",
            "began_at": round(record.since, 3),
            "quality": {_SOUND: sound},
        }
        return self._notices.text("call_quality", now, **fields)


def _thinned_s(call: Collected, now: float) -> float:
    return max(EVERY_S, (now - call.began_at) / OLDER)


def _gets_entry(call: Collected, now: float) -> bool:
    return not is_early(now, call.next_entry_at, _thinned_s(call, now))


def _figures(quality: MediumQuality, recent: Mapping[str, RecentLeg | None]) -> dict[str, Any]:
    """Return both legs as JSON has them, with what was heard lately beside what is of the whole call."""
    legs: dict[str, Any] = msgspec.to_builtins(quality)
    for name, leg in recent.items():
        if legs[name] is not None:
            legs[name]["recent"] = msgspec.to_builtins(leg)
    return legs
