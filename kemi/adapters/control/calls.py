"""Routes of the control endpoint about calls: which there are, and the end of one.

    GET  /v1/calls?after=KEY&limit=N  -> {"calls": [RunningCall], "next": KEY}
    GET  /v1/calls/quality?call_id=KEY -> {"key": KEY, "node": NODE, "media": {KIND: figures}}
    POST /v1/calls/end                {"call_id": KEY, "why": TEXT} -> {"ended": KEY}

RunningCall is in kemi/state/running_calls.py.  KEY is the name of the record (``CallRecord.key``), which the relay has
for the call, too.  The list is in the order of the names; "next" is what ``after`` has to be for what follows, "" at
the end.  Figures are those a finished call has (kemi/state/call_history.py), as they stand now.
"""

from __future__ import annotations

import heapq
import time
from typing import Any, Final

import msgspec

from kemi.adapters.calls.history import figures_of
from kemi.adapters.control.endpoint import Answer, ControlRefusal, Routes, number_of, text_of
from kemi.adapters.doors.forbidding import Forbidding
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call.record import CallRecord
from kemi.core.errors import MediaUnavailable
from kemi.state.calls import CallStore
from kemi.state.running_calls import running_call
from rtpengine.ng.errors import NgError

MOST_CALLS: Final = 100
"""In one answer."""
_MOST_BYTES: Final = 20_000
"""Of names in one answer: a page chooses its Call-ID, and what Kamailio sends is below 64 kB."""
_MOST_WHY: Final = 80


def call_routes(calls: CallStore, relay: MediaRelay, forbidding: Forbidding) -> Routes:
    """Return the routes about calls."""

    def listed(query: dict[str, Any]) -> Answer:
        after = str(query.get("after", ""))
        limit = number_of(query, "limit", MOST_CALLS, 1, MOST_CALLS)
        names = calls.keys()
        keys = heapq.nsmallest(limit + 1, (key for key in names if key > after))
        found: list[dict[str, Any]] = []
        size = 0
        for key in keys[:limit]:
            size += len(key)
            if found and size > _MOST_BYTES:
                return 200, {"calls": found, "next": found[-1]["key"]}
            record = calls.get(key)
            if record is not None:
                found.append(msgspec.to_builtins(running_call(record)))
        return 200, {"calls": found, "next": keys[limit - 1] if len(keys) > limit else ""}

    def quality(query: dict[str, Any]) -> Answer:
        record = calls.get(text_of(query, "call_id"))
        if record is None:
            raise ControlRefusal(404, "no such call")
        media = {medium.kind: _quality(relay, record, medium.kind) for medium in record.media}
        return 200, {"key": record.key, "node": record.node, "media": media}

    def end(body: dict[str, Any]) -> Answer:
        key, why = text_of(body, "call_id"), text_of(body, "why")
        if len(why) > _MOST_WHY or not why.isprintable():
            raise ControlRefusal(400, f"why: at most {_MOST_WHY} characters on one line")
        if not forbidding.end(key, why, time.time()):
            raise ControlRefusal(404, "no such call")
        return 200, {"ended": key}

    return {
        ("GET", "/v1/calls"): listed,
        ("GET", "/v1/calls/quality"): quality,
        ("POST", "/v1/calls/end"): end,
    }


def _quality(relay: MediaRelay, record: CallRecord, kind: str) -> dict[str, Any]:
    try:
        return figures_of(kind, relay.statistics(record.node, record.key, kind))
    except (MediaUnavailable, NgError) as error:
        return {"why": str(error)}
