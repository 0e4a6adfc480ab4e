"""How good running calls are, for their traces: the relay is asked about a few of them at each tick of housekeeping."""

from __future__ import annotations

import time
from typing import Final

from kemi.adapters.call_history import figures_of
from kemi.adapters.media import MediaRelay
from kemi.adapters.traces import TraceKeeper
from kemi.core.call.states import Dialog
from kemi.core.errors import MediaUnavailable
from kemi.core.pace import is_early
from kemi.core.trace.collecting import Collected
from kemi.state.calls import CallStore
from rtpengine.ng.errors import NgError

LOOKING_S: Final = 0.01
"""How long one tick may ask: there are ten each second, and other work waits."""
EVERY_S: Final = 5.0
"""How often a call is asked about at most."""
OLDER: Final = 20
"""A call that has lasted long is asked about this many times while its age doubles, about: entries stay few."""
CALLS_EACH_S: Final = 20
LEAVE_ALONE_S: Final = 10.0
"""How long a node that did not answer is not asked again."""
DUE_S: Final = 1.0


class TraceFigures:
    """The running calls of this node, in turn."""

    def __init__(self, calls: CallStore, relay: MediaRelay) -> None:
        self._calls = calls
        self._relay = relay
        self._due: list[Collected] = []
        self._next_round = 0.0
        self._unreachable: dict[str, float] = {}

    def look(self, now: float, traces: TraceKeeper) -> None:
        """Ask about calls that are due, as far as there is time."""
        running = traces.calls.by_key
        if not self._due and not is_early(now, self._next_round, DUE_S):
            self._next_round = now + DUE_S
            self._due = [
                call
                for call in running.values()
                if call.has_record and not call.ended_at and call.next_figures_at <= now
            ]
        until = time.perf_counter() + LOOKING_S
        while self._due and time.perf_counter() < until:
            call = self._due.pop()
            call.next_figures_at = now + DUE_S
            if self._ask(call, now, traces):
                often_s = max(EVERY_S, (now - call.began_at) / OLDER, len(running) / CALLS_EACH_S)
                call.next_figures_at = now + often_s

    def _ask(self, call: Collected, now: float, traces: TraceKeeper) -> bool:
        """Ask about one call; False: it is not answered yet, or over."""
        record = self._calls.get(call.key)
        if record is None or record.dialog is not Dialog.CONFIRMED:
            return False
        if self._unreachable.get(record.node, 0.0) > now:
            return True
        for medium in record.media:
            if not medium.active:
                continue
            try:
                found = self._relay.statistics_hastily(record.node, call.key, medium.kind, now)
                traces.figures(call.key, medium.kind, figures_of(medium.kind, found), now)
            except MediaUnavailable:
                self._unreachable[record.node] = now + LEAVE_ALONE_S
                return True
            except NgError:  # a reply that cannot be read: the call's end says so
                return True
        return True
