"""The route of the control endpoint that moves calls off a dead media node (kemi/core/call/node_loss/recovery.py).

    POST /v1/calls/lost  {"node": "address:port", "calls": [KEY, ...]}
                         -> {"moving": [KEY, ...], "over": [KEY, ...], "elsewhere": [KEY, ...]}

"moving": also those that wait for something first; "over": ended, or refused before their answer; "elsewhere": the call
has another node, or there is none.  Naming a call twice does no harm.  A worker asks the new node for ports meanwhile,
so one request names few calls, and whoever has many sends several at once: each goes to another worker.
"""

from __future__ import annotations

from typing import Any, Final

from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.control.endpoint import Answer, ControlRefusal, Routes, text_of, texts_of
from kemi.adapters.doors.forbidding import PageOf
from kemi.core.call.events import NodeLost
from kemi.state.calls import CallStore
from rtpengine.pool import node_from_text, node_to_text

MOST_LOST: Final = 10
"""Calls in one request."""


def lost_routes(calls: CallStore, dispatcher: Dispatcher, page_of: PageOf) -> Routes:
    """Return the route."""

    def lost(body: dict[str, Any]) -> Answer:
        try:
            node = node_to_text(node_from_text(text_of(body, "node")))
        except ValueError as error:
            raise ControlRefusal(400, f"node: {error}") from error
        found: dict[str, list[str]] = {"moving": [], "over": [], "elsewhere": []}
        for key in texts_of(body, "calls", MOST_LOST):
            record = calls.get(key)
            if record is None or record.node != node:
                found["elsewhere"].append(key)
                continue
            dispatcher.dispatch(key, NodeLost(node, *page_of(key)))
            record = calls.get(key)
            going_on = record is not None and not record.ended and not record.cancelled
            found["moving" if going_on else "over"].append(key)
        return 200, found

    return {("POST", "/v1/calls/lost"): lost}
