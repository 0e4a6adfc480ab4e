"""Housekeeping's side of traces: takes the workers' notes, makes entries of them, and ships them for Redis.

A step's note is raw; all reading, masking and compressing is done here, for a few milliseconds of each tick.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from kemi.adapters.kamailio import ksr
from kemi.adapters.kamailio.htable import HtableTable
from kemi.adapters.log import log_event, observe
from kemi.adapters.monitoring import trace_notes as rows
from kemi.adapters.monitoring.hep_export import HepExport
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.adapters.pages.calling import Pages
from kemi.adapters.turns import TURNS
from kemi.core.identity import ANONYMOUS
from kemi.core.pace import is_early
from kemi.core.trace.collecting import REFUSED, Calls, Collected
from kemi.core.trace.entries import Entry, What
from kemi.core.trace.reading import facts_of, parties_of
from kemi.core.trace.redaction import name_of, redact_sdp, redact_values
from kemi.core.trace.settings import TraceSettings
from kemi.settings import Settings
from kemi.state.call_history import FinishedCall, is_asked_about
from kemi.state.flows import FlowStore
from kemi.state.running_calls import Figures
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TraceHead, TracePortion, entries_to_bytes
from rtpengine.ng.commands import NG_KEYS

READING_S: Final = 0.02
"""How long one tick may read notes."""
MOST_NOTES: Final = 5_000
"""That wait to be read; the oldest are given up."""
MOST_WAITING: Final = 20_000
"""Entries that wait for Redis, of all calls; more are left out."""
MOST_OVER: Final = 5_000
"""Calls that are over and wait for Redis; those that began first are given up."""
SHIP_S: Final = 0.5
TOGETHER_S: Final = 2.0
"""How long a running call's entries are collected before they are shipped."""
QUIET_S: Final = 1.0
CLOCKS_S: Final = 1.0
"""So far a note may be ahead of the tick that reads it; one further ahead is older than a clock that was set back."""
AT_ONCE: Final = 100
LINGER_S: Final = 5.0
"""How long messages of a call that is over are waited for."""
LONGEST_KEY: Final = 300
REFUSED_PER_MINUTE: Final = 30
"""Calls of one party without a record that are traced: nobody pushes all others out of their ring."""
ALL_REFUSED_PER_MINUTE: Final = 120
"""The same of all: who is not registered may call itself anything."""
TRIM_S: Final = 5.0
IDLE_S: Final = 86_400.0


_SAID_BY_CALL_ID: Final = (rows.DECISION, rows.OWNER)
"""Rows that name a call by its Call-ID alone where no step of the call did."""


class TraceKeeper:
    """Collects traces in the housekeeping process."""

    def __init__(
        self, settings: TraceSettings, table: HtableTable, node: str, copies: HepExport | None = None
    ) -> None:
        self._table = table
        self._node = node
        self._keeps = settings.enabled
        self._copies = copies
        self.rings = TraceRings(
            settings.calls, settings.failed_calls, settings.kept_s, settings.failed_kept_s
        )
        self.calls = Calls()
        self._notes: deque[str] = deque(maxlen=MOST_NOTES)
        self._decoder = msgspec.json.Decoder(list[list[Any]])
        self._waiting = 0
        self._next_ship = self._next_trim = 0.0
        self._ended: list[FinishedCall] = []
        self._current = ""
        """Key of the last message that was read."""
        self._refused: Counter[str] = Counter()
        self._refused_until = 0.0

    # ------------------------------------------------------------ from the workers

    def work(self, now: float) -> None:
        """Take what the workers noted and read it, as far as there is time."""
        if not is_early(now, self._refused_until, 60.0):
            self._refused.clear()
            self._refused_until = now + 60
        self._notes.extend(sorted(self._table.take_all()))  # they begin with their time
        until = time.perf_counter() + READING_S
        while self._notes and time.perf_counter() < until:
            self._read(self._notes.popleft())
            TURNS.give_way()
        self._end(now)

    def _read(self, note: str) -> None:
        try:
            steps = self._decoder.decode(note.partition(" ")[2])
        except msgspec.DecodeError as error:
            log_event(logging.ERROR, "trace_unreadable", detail=str(error))
            return
        if self._copies is not None:
            self._copies.take(steps)
        if not self._keeps:
            return
        named = list(dict.fromkeys(row[0] for row in steps if row[0] and row[3] not in _SAID_BY_CALL_ID))
        self._current = ""
        # A call is known before the message that began it is read.
        for row in steps:
            if row[3] == rows.HEAD:
                self._begin(row)
        for row in steps:
            self._row(row, named)

    def _begin(self, row: list[Any]) -> None:
        key, trunk, at, _, call_id, impu, peer, direction, relay, caller_tag, since, answered_at = row
        if len(key) > LONGEST_KEY:
            return
        call = self.calls.by_key.get(key)
        if call is not None and call.has_record and caller_tag:
            return  # a trunk that uses a Call-ID once more
        if call is None:
            call = self.calls.by_key[key] = Collected(
                key=key, call_id=call_id, began_at=since or at, answered_at=answered_at
            )
        call.impu, call.peer, call.direction, call.relay = name_of(impu), name_of(peer), direction, relay
        call.trunk, call.caller_tag, call.has_record = trunk, caller_tag, not caller_tag
        if at > call.ended_at:  # notes of several processes do not come in the order of their times
            call.ended_at, call.failed, call.status, call.by, call.why = 0.0, False, 0, "", ""
        call.touched_at, call.changed = max(call.touched_at, at), True

    def _row(self, row: list[Any], named: list[str]) -> None:
        key, trunk, at, kind, *rest = row
        if kind in rows.MESSAGES:
            if kind == rows.SIP:
                self._message(row, named)
            return
        if kind in _SAID_BY_CALL_ID and self._current == key + REFUSED:
            key = self._current
        call = self.calls.by_key.get(key)
        if kind == rows.OWNER:
            if call is not None and rest[0]:
                call.impu = rest[0]
        elif kind == rows.DECISION:
            self._decision(call, at, *rest)
        elif call is not None and self._room(call):
            call.trunk = trunk
            self._entry(call, at, kind, rest)

    def _entry(self, call: Collected, at: float, kind: str, rest: list[Any]) -> None:
        if kind == rows.STATE:
            name, *states = rest
            values = dict(zip(("dialog", "wic", "ims", "media"), states, strict=True))
            if values["dialog"] == "confirmed" and not call.answered_at:
                call.answered_at, call.changed = at, True
            self._keep(call, Entry(at=at, what=What.STATE, name=name, values=values))
        elif kind == rows.RELAY:
            name, ms, values, sdp, result, error = rest
            entry = Entry(
                at=at,
                what=What.RELAY,
                name=name,
                why=error,
                values={**redact_values(_ng_values(values)), "ms": ms},
                text=redact_sdp(sdp),
                result=redact_sdp(result),
            )
            self._keep(call, entry)
        elif kind == rows.JUDGED:
            for entry in _judged(at, *rest):
                self._keep(call, entry)
        elif kind == rows.MEDIA:
            transport, profile, media = rest
            kept = call.kept
            call.media_chosen(at, {"transport": transport, "profile": profile, **dict(map(_medium, media))})
            self._waiting += call.kept - kept

    def _message(self, row: list[Any], named: list[str]) -> None:
        step, trunk, at, _, incoming, text, _ = row
        facts = facts_of(text)
        if facts is None:
            return
        key = self.calls.owner_of(facts, named, incoming=incoming)
        self._current = key
        call = self.calls.by_key.get(key)
        if call is None:
            if not (facts.begins and incoming) or len(key) > LONGEST_KEY:
                return
            caller, called = parties_of(text)
            page = facts.is_of_page
            self._refused[caller] += 1
            if self._refused[caller] > REFUSED_PER_MINUTE or self._refused.total() > ALL_REFUSED_PER_MINUTE:
                return
            # As the history names them: From and To are what the caller likes to write.
            far_caller = ANONYMOUS if facts.withholds_caller else caller
            call = Collected(
                key=key,
                call_id=facts.call_id,
                began_at=at,
                impu=caller if page else called,
                peer=facts.request_uri if page else far_caller,
                direction="from_page" if page else "to_page",
            )
            self.calls.by_key[key] = call
        call.began_at = min(call.began_at, at)
        if step == key:  # else nobody knew yet where the far end is
            call.trunk = trunk
        if self._room(call):
            kept = call.kept
            call.message(at, facts, text, incoming=incoming)
            self._waiting += call.kept - kept

    def _decision(
        self, call: Collected | None, at: float, name: str, why: str, values: dict[str, Any], level: int
    ) -> None:
        if call is None or not self._room(call):
            return
        if level >= logging.WARNING:
            values["level"] = logging.getLevelName(level).lower()
        kept = call.kept
        call.decision(at, name, why, values)
        self._waiting += call.kept - kept

    def _keep(self, call: Collected, entry: Entry) -> None:
        if call.add(entry):
            self._waiting += 1

    def _room(self, call: Collected) -> bool:
        if self._waiting < MOST_WAITING:
            return True
        call.left_out, call.changed = call.left_out + 1, True
        return False

    # ------------------------------------------------------------ from other parts of housekeeping

    def figures(
        self, key: str, medium: str, found: dict[str, Any], now: float, entry: dict[str, Any]
    ) -> None:
        """Take what the relay counts of a running medium: leg -> figures; ``entry``: those that the trace keeps."""
        call = self.calls.by_key.get(key)
        if call is None:
            return
        call.latest_figures[medium] = {"at": round(now, 3), **found}
        if not entry or not self._room(call):
            return
        for leg, values in entry.items():
            if values:
                self._keep(call, Entry(at=now, what=What.QUALITY, leg=leg, name=medium, values=values))

    def latest_figures(self, key: str) -> Figures:
        """Return what was counted last of a running call; nothing is known of one that is not traced."""
        call = self.calls.by_key.get(key)
        return {} if call is None else call.latest_figures

    def finished(self, calls: Iterable[FinishedCall]) -> None:
        """Learn how calls ended, maybe before the notes about them are read."""
        if self._keeps:
            self._ended += calls

    def _end(self, now: float) -> None:
        waiting = self._ended
        self._ended = []
        for one in waiting:
            call = self.calls.by_key.get(one.key)
            if call is None:
                if not _is_past(one.ended_at, LINGER_S, now):
                    self._ended.append(one)
                continue
            call.impu, call.peer, call.relay = one.impu, one.peer, one.relay
            call.answered_at, call.ended_at = one.answered_at, one.ended_at
            call.by, call.why, call.status, call.media = one.by, one.why, one.status, one.media
            call.failed, call.changed = is_asked_about(one), True
            call.touched_at = max(call.touched_at, one.ended_at)

    # ------------------------------------------------------------ to Redis

    def ship(
        self,
        now: float,
        put: Callable[[list[TracePortion], TraceRings, float, bool], bool],
    ) -> None:
        """Ship what is due; ``put`` writes portions, trims the rings where told, and says whether it could."""
        if is_early(now, self._next_ship, SHIP_S) or not self._keeps:
            return
        self._next_ship = now + SHIP_S
        self._give_up()
        due = [call for call in self.calls.by_key.values() if _is_due(call, now)][:AT_ONCE]
        trim = not is_early(now, self._next_trim, TRIM_S)
        if due or trim:
            portions = []
            for call in due:
                if call.ended_at:
                    self._waiting += call.take_last()
                portions.append(TracePortion(self._head(call), _bytes(call)))
                TURNS.give_way()
            if not put(portions, self.rings, now, trim):
                return
            self._next_trim = now + TRIM_S if trim else self._next_trim
        for call in due:
            self._waiting -= len(call.entries)
            call.entries.clear()
            call.changed = False
        over = [key for key, call in self.calls.by_key.items() if _is_over(call, now)]
        for key in over:
            self._forget(key)

    def _give_up(self) -> None:
        """Forget what is too much while Redis takes nothing."""
        if len(self.calls.by_key) <= MOST_OVER:
            return
        over = [key for key, call in self.calls.by_key.items() if call.ended_at]
        for key in over[: max(0, len(over) - MOST_OVER)]:
            self._forget(key)

    def _forget(self, key: str) -> None:
        self._waiting -= len(self.calls.by_key.pop(key).entries)

    def _head(self, call: Collected) -> TraceHead:
        return TraceHead(
            key=call.key,
            call_id=call.call_id,
            impu=call.impu,
            peer=call.peer,
            direction=call.direction,
            node=self._node,
            began_at=round(call.began_at, 3),
            answered_at=round(call.answered_at, 3),
            ended_at=round(call.ended_at, 3),
            by=call.by,
            why=call.why,
            status=call.status,
            relay=call.relay,
            media=call.media,
            left_out=call.left_out,
            failed=call.failed,
        )


def trace_keeper(settings: Settings, pages: Pages, flows: FlowStore) -> TraceKeeper | None:
    """Switch tracing on in this process and those that come of it; None where the site wants none, and no copies."""
    if not (settings.trace.enabled or settings.hep.collector):
        return None
    table = HtableTable("trace")
    copies = HepExport(settings.hep, settings.node_name, flows.client_at) if settings.hep.collector else None
    NOTES.switch_on(table, None if copies is None else ksr.ends)
    NOTES.owner_of_current = lambda: pages.owner(ksr.connection_id())
    if settings.trace.enabled:
        observe(NOTES.decided)
    return TraceKeeper(settings.trace, table, settings.node_name, copies)


def _bytes(call: Collected) -> bytes:
    return entries_to_bytes(call.entries) if call.entries else b""


def _is_due(call: Collected, now: float) -> bool:
    if not (call.entries or call.changed):
        return False
    if call.ended_at and _is_past(call.touched_at, QUIET_S, now):  # its last messages come after its end
        return True
    return not call.entries or _is_past(call.entries[0].at, TOGETHER_S, now)


def _is_over(call: Collected, now: float) -> bool:
    if call.entries or call.changed:
        return False
    if not call.ended_at:  # better a day too long than given up while it runs
        return now - call.touched_at >= IDLE_S
    return _is_past(call.touched_at, LINGER_S, now)


def _is_past(at: float, seconds: float, now: float) -> bool:
    """Whether something is this long ago, or was noted before the clock was set back."""
    return not is_early(now, at + seconds, seconds + CLOCKS_S)


def _ng_values(raw: dict[str, Any]) -> dict[str, Any]:
    """Return an ng dictionary, with the daemon's names, out of a command's fields."""
    found: dict[str, Any] = {}
    for name, value in raw.items():
        if name == "options" and value is not None:
            found |= value  # they came with the daemon's names
        elif isinstance(value, dict):
            if inner := _ng_values(value):
                found[NG_KEYS.get(name, name)] = inner
        elif value not in (None, [], ""):
            found[NG_KEYS.get(name, name)] = value
    return found


def _judged(
    at: float, flow: str, shape: str, why: str, media: list[list[Any]], refused: list[list[Any]]
) -> Iterator[Entry]:
    def decision(name: str, why: str, **values: Any) -> Entry:
        return Entry(at=at, what=What.DECISION, name=name, why=why, values=values)

    yield decision("flow", why, flow=flow, shape=shape)
    for kind, reverse, direction, codecs, reason in media:
        yield decision("medium", reason, medium=kind, reverse=reverse, wic_direction=direction, codecs=codecs)
    for line, kind, reason in refused:
        yield decision("line_refused", reason, line=line, medium=kind)


def _medium(row: list[Any]) -> tuple[str, dict[str, Any]]:
    kind, codec, active, reverse, wic, ims = row
    values = {"codec": codec, "active": active, "reverse_line": reverse, "wic_direction": wic}
    return kind, {**values, "ims_direction": ims}
