"""Routes of the control endpoint about trunks.

    GET /v1/trunks        -> {"trunks": [{"trunk", "state", "since", "registration", "registered_until", "why", "calls",
                             "most_calls", "hops": [{"uri", "state", "since", "why"}]}]}
    PUT /v1/trunks/leave  {"leave": whether} -> {"leave"}: de-register from all trunks before a stop, or register again

Times are in seconds since the epoch, 0: none.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kemi.adapters.control.endpoint import Answer, ControlRefusal, Routes
from kemi.state.trunks import TrunkStore


def trunk_routes(store: TrunkStore) -> Routes:
    """Return the routes about trunks."""

    def listed(_query: dict[str, Any]) -> Answer:
        return 200, {"trunks": msgspec.to_builtins(store.views())}

    def leave(body: dict[str, Any]) -> Answer:
        wanted = body.get("leave")
        if not isinstance(wanted, bool):
            raise ControlRefusal(400, "leave: true or false is wanted")
        store.leave(wanted)
        return 200, {"leave": wanted}

    return {("GET", "/v1/trunks"): listed, ("PUT", "/v1/trunks/leave"): leave}
