"""Routes of the control endpoint about calls: which there are, and the end of one.

    GET  /v1/calls?after=KEY&limit=N  -> {"calls": [RunningCall], "next": KEY, "began": RUN}
    POST /v1/calls/elsewhere          {"calls": [NAME, ...]} -> {"calls": those that another gateway has now}
    GET  /v1/calls/quality?call_id=KEY -> {"key": KEY, "node": NODE, "media": {KIND: figures}}
    POST /v1/calls/end                {"call_id": KEY, "why": TEXT} -> {"ended": KEY}

RunningCall is in kemi/state/running_calls.py.  KEY is the name of the record (``CallRecord.key``), which the relay has
for the call, too; NAME is what the relay has for one of its media.  The list is in the order of the names; "next" is
what ``after`` has to be for what follows, "" at the end.  RUN is another one after each start of the gateway.
Figures are those a finished call has (kemi/state/call_history.py), as they stand now.
"""

from __future__ import annotations

import heapq
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from kemi.adapters.calls.history import figures_of
from kemi.adapters.control.endpoint import (
    Answer,
    ControlRefusal,
    Routes,
    number_of,
    portion_of,
    text_of,
    texts_of,
)
from kemi.adapters.doors.forbidding import Forbidding
from kemi.adapters.relay.media import MediaRelay
from kemi.core.call.record import CallRecord
from kemi.core.errors import MediaUnavailable
from kemi.state.calls import CallStore
from kemi.state.running_calls import running_call
from rtpengine.ng.errors import NgError

MOST_CALLS: Final = 100
"""In one answer."""
MOST_NAMED: Final = 10
"""In one question."""
_MOST_WHY: Final = 80


def call_routes(
    calls: CallStore, relay: MediaRelay, forbidding: Forbidding, has_now: Callable[[str], str]
) -> Routes:
    """Return the routes about calls; ``has_now``: which gateway has a call that was given away, "" for none."""
    began = secrets.token_hex(4)  # before the fork: all workers say the same

    def listed(query: dict[str, Any]) -> Answer:
        after = str(query.get("after", ""))
        limit = number_of(query, "limit", MOST_CALLS, 1, MOST_CALLS)
        names = calls.keys()
        keys = heapq.nsmallest(limit + 1, (key for key in names if key > after))
        told = portion_of(keys[:limit])
        found = [
            msgspec.to_builtins(running_call(record))
            for key in told
            if (record := calls.get(key)) is not None
        ]
        return 200, {"calls": found, "next": told[-1] if len(told) < len(keys) else "", "began": began}

    def elsewhere(body: dict[str, Any]) -> Answer:
        named = texts_of(body, "calls", MOST_NAMED)
        return 200, {"calls": [name for name in named if has_now(name) or has_now(name.removesuffix("-v"))]}

    def quality(query: dict[str, Any]) -> Answer:
        record = calls.get(text_of(query, "call_id"))
        if record is None:
            raise ControlRefusal(404, "no such call")
        media = {
            medium.kind: _quality(relay, record, medium.kind) for medium in record.media if medium.active
        }
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
        ("POST", "/v1/calls/elsewhere"): elsewhere,
        ("GET", "/v1/calls/quality"): quality,
        ("POST", "/v1/calls/end"): end,
    }


def _quality(relay: MediaRelay, record: CallRecord, kind: str) -> dict[str, Any]:
    try:
        return figures_of(kind, relay.statistics(record.node, record.key, kind))
    except (MediaUnavailable, NgError) as error:
        return {"why": str(error)}
