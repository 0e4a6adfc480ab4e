"""Route of the control endpoint about what this node has counted since its start.

    GET /v1/counters -> {"counters": {NAME: NUMBER}}

Names: ``calls.COST`` (calls of pages that the table let begin, and transfers), ``denied.WHY`` (a kind of rates, or why
else: kemi/core/routing/permissions.py), ``emergency.ACTION``, ``alarms``.
"""

from __future__ import annotations

from kemi.adapters.control.endpoint import Routes
from kemi.state.counters import Counters


def counter_routes(counters: Counters) -> Routes:
    """Return the route about counters."""
    return {("GET", "/v1/counters"): lambda _query: (200, {"counters": counters.all()})}
