"""This gateway goes out of service: it takes no new pages, and sends those away that have no call.

They come back by another gateway at once; calls that come for them meanwhile wait (passing_on.py).  So that none waits
in vain, pages go no faster than those before them have arrived.  A page with calls goes when its last one is over.
What passes through this gateway to a page that has just left counts until it has its final response: a restart would
lose it.  After a restart the gateway is in service again.

    GET /v1/drain -> {"drain": whether, "pages": registered pages still here, "calls": calls still here,
                     "requests": those for pages of other gateways that have no final response yet};
                     while it leaves "pages" counts those that are on their way to another gateway, too, and there is
                     "waited_for": [{"impu", "state", "connected": whether, "calls": how many}]
    PUT /v1/drain {"drain": whether} -> the same
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any, Final

from kemi.adapters.control.endpoint import Answer, ControlRefusal, Routes
from kemi.adapters.log import log_event
from kemi.core.pace import is_early
from kemi.core.registration import Registration
from kemi.core.registration.states import BindingState
from kemi.settings import TimerSettings
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from kemi.state.table import Table
from kemi.state.waiting import WaitingStore

EVERY_S: Final = 0.1
WALK_S: Final = 1.0
"""All pages are walked through no more often: a page with calls is looked at again then."""
MOST_ON_THEIR_WAY: Final = 30
"""Pages that were sent away and are not known to have arrived; one that takes too long is no longer counted."""
MOST_SHOWN: Final = 20
"""Pages that are shown by name, of those a leaving gateway waits for."""
_OF_NODE: Final = "node"


class Leaving:
    """Whether this gateway is leaving, as all its processes know it."""

    def __init__(
        self,
        table: Table,
        flows: FlowStore,
        calls: CallStore,
        waiting: WaitingStore,
        timers: TimerSettings,
    ) -> None:
        self._wait_s, self._recovery_s = timers.flow_wait_s, timers.flow_recovery_s
        self._waiting = waiting
        self._table = table
        self._flows = flows
        self._calls = calls
        self._next = self._next_walk = 0.0
        self._here: deque[str] = deque()
        """Bindings that have not been looked at since they were all walked through."""
        self._on_their_way: dict[str, float] = {}
        """Bindings whose page was sent away, and when."""

    def is_leaving(self) -> bool:
        """Whether no new pages are taken."""
        return self._table.has(_OF_NODE)

    def leave(self, wanted: bool) -> None:
        """Begin, or stay."""
        if wanted == self.is_leaving():
            return
        log_event(logging.WARNING, "gateway_leaving" if wanted else "gateway_in_service")
        if wanted:
            self._table.set(_OF_NODE, "1")
        else:
            self._table.remove(_OF_NODE)

    def to_send_away(self, now: float) -> list[str]:
        """Return the connections to be closed now, those of pages without a call."""
        if is_early(now, self._next, EVERY_S) or not self.is_leaving():
            return []
        self._next = now + EVERY_S
        self._on_their_way = {
            key: at
            for key, at in self._on_their_way.items()
            if at <= now < at + self._wait_s and self._flows.binding(key) is not None
        }
        if not self._here and not is_early(now, self._next_walk, WALK_S):
            self._next_walk = now + WALK_S
            self._here.extend(key for key, binding in self._flows.bindings() if self._is_here(binding))
        away = []
        while self._here and len(self._on_their_way) < MOST_ON_THEIR_WAY:
            key = self._here.popleft()
            binding = self._flows.binding(key)
            if binding is not None and self._is_here(binding) and not self._has_calls(binding):
                self._on_their_way[key] = now
                away.append(binding.connection_id)
        return away

    def _has_calls(self, binding: Registration) -> bool:
        return bool(self._calls.on_connections({binding.connection_id}))

    def _is_here(self, binding: Registration) -> bool:
        return bool(binding.connection_id) and self._flows.is_open(binding.connection_id)

    def counts(self, now: float) -> dict[str, Any]:
        """Return what is left, and while the gateway leaves whom it waits for."""
        leaving = self.is_leaving()
        left = [
            binding
            for _, binding in self._flows.bindings()
            if binding.connection_id or (leaving and self._is_awaited(binding, now))
        ]
        counts = {
            "drain": leaving,
            "pages": len(left),
            "calls": len(self._calls.keys()),
            "requests": self._waiting.in_hand(),
        }
        return {**counts, "waited_for": self._waited_for(left[:MOST_SHOWN])} if leaving else counts

    def _is_awaited(self, binding: Registration, now: float) -> bool:
        return binding.state is BindingState.AWAY and now < binding.awaited_until(
            self._recovery_s, self._wait_s
        )

    def _waited_for(self, left: list[Registration]) -> list[dict[str, Any]]:
        return [
            {
                "impu": binding.address_of_record,
                "state": binding.state,
                "connected": self._flows.is_open(binding.connection_id),
                "calls": len(self._calls.on_connections({binding.connection_id})),
            }
            for binding in left
        ]


def leaving_routes(leaving: Leaving) -> Routes:
    """Return the routes about this gateway's own service."""

    def shown(_query: dict[str, Any]) -> Answer:
        return 200, leaving.counts(time.time())

    def drain(body: dict[str, Any]) -> Answer:
        wanted = body.get("drain")
        if not isinstance(wanted, bool):
            raise ControlRefusal(400, "drain: true or false is wanted")
        leaving.leave(wanted)
        return 200, leaving.counts(time.time())

    return {("GET", "/v1/drain"): shown, ("PUT", "/v1/drain"): drain}
