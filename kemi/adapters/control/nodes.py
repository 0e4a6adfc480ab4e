"""Routes of the control endpoint about relay nodes.

    PUT /v1/nodes             {"nodes": [{"node", "state", "calls", "counted", "silent_s", "version"}]}
                              -> {"drained": [NODE]}
    GET /v1/nodes             -> {"agent": whether one reports, "nodes": [{"node", "state", "calls", "weight",
                                 "drained", "broken", "version"}]}
    PUT /v1/nodes/drain       {"node": NODE, "drain": whether} -> {"node", "drained"}
    GET /v1/calls/unreleased  ?node=NODE&after=NAME -> {"calls": names the node has for calls it could not be told the
                                 end of, in order, "next": what ``after`` has to be for what follows, "" at the end}

NODE is ``address:port``, as the settings have it.
"""

from __future__ import annotations

import heapq
import logging
import time
from typing import Any, Final

import msgspec

from kemi.adapters.control.endpoint import Answer, ControlRefusal, Routes, portion_of, text_of
from kemi.adapters.control.node_views import views
from kemi.adapters.log import log_event
from kemi.settings import MediaSettings
from kemi.state.nodes import NodeReport, NodeStore

_MOST_UNRELEASED: Final = 100


def node_routes(store: NodeStore, settings: MediaSettings) -> Routes:
    """Return the routes about relay nodes."""
    configured = {node.name for node in settings.nodes}

    def reported(body: dict[str, Any]) -> Answer:
        try:
            nodes = msgspec.convert(body.get("nodes"), list[NodeReport])
        except msgspec.ValidationError as error:
            raise ControlRefusal(400, f"nodes: {error}") from error
        now = time.time()
        before = store.reported(now) or {}
        store.report(nodes, now)
        for report in nodes:
            former = before.get(report.node)
            if former is None or former.state != report.state:
                level = logging.WARNING if report.state in ("down", "suspect") else logging.INFO
                was = "" if former is None else former.state
                log_event(level, "node_state_changed", node=report.node, state=report.state, was=was)
        return 200, {"drained": sorted(store.drained())}

    def listed(_query: dict[str, Any]) -> Answer:
        now = time.time()
        nodes = views(store, settings, now)
        return 200, {"agent": store.reported(now) is not None, "nodes": nodes}

    def drain(body: dict[str, Any]) -> Answer:
        node, wanted = text_of(body, "node"), body.get("drain")
        if not isinstance(wanted, bool):
            raise ControlRefusal(400, "drain: true or false is wanted")
        if node not in configured:
            raise ControlRefusal(404, f"no node {node}"[:100])
        if wanted == (node in store.drained()):
            return 200, {"node": node, "drained": wanted}
        store.drain(node, wanted)
        log_event(logging.WARNING, "node_drained" if wanted else "node_undrained", node=node, by="control")
        return 200, {"node": node, "drained": wanted}

    def unreleased(query: dict[str, Any]) -> Answer:
        after = str(query.get("after", ""))
        names = (name for name in store.unreleased(text_of(query, "node")) if name > after)
        found = heapq.nsmallest(_MOST_UNRELEASED + 1, names)
        told = portion_of(found[:_MOST_UNRELEASED])
        return 200, {"calls": told, "next": told[-1] if len(told) < len(found) else ""}

    return {
        ("PUT", "/v1/nodes"): reported,
        ("GET", "/v1/nodes"): listed,
        ("PUT", "/v1/nodes/drain"): drain,
        ("GET", "/v1/calls/unreleased"): unreleased,
    }
