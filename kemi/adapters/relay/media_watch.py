"""Asks the relay about running calls, a few at each tick of housekeeping, each of them once in a while."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

from kemi.adapters.relay.media import MediaRelay
from kemi.core.call.events import MediaLost, NodeLost
from kemi.core.call.media.lost_media import watched, why_lost
from kemi.core.errors import MediaUnavailable
from kemi.core.pace import is_early
from kemi.state.calls import CallStore

TICKS_EACH_S: Final = 10
LEAVE_ALONE_S: Final = 10.0
"""How long a node that did not answer is not asked again: waiting for it would keep everything else waiting."""


class MediaWatch:
    """The calls of this node, one round after the other."""

    def __init__(self, calls: CallStore, relay: MediaRelay, nodes: Collection[str], timeout_s: float) -> None:
        """``nodes``: of the site.  ``timeout_s``: how long a call may be silent; a round takes two thirds of it."""
        self._calls = calls
        self._relay = relay
        self._nodes = nodes
        self._timeout_s = timeout_s
        self._round_s = timeout_s * 2 / 3
        self._waiting: list[str] = []
        self._portion = 0
        self._next_round = 0.0
        self._unreachable: dict[str, float] = {}

    def look(self, now: float) -> list[tuple[str, MediaLost | NodeLost]]:
        """Look at the next portion; return the calls that have lost their media, or their node: one that is no longer
        configured, which nobody else watches."""
        if not self._timeout_s:
            return []
        if not self._waiting:
            if is_early(now, self._next_round, self._round_s):
                return []
            self._next_round = now + self._round_s
            self._waiting = self._calls.keys()
            self._portion = math.ceil(len(self._waiting) / (self._round_s * TICKS_EACH_S))
        portion, self._waiting = self._waiting[: self._portion], self._waiting[self._portion :]
        lost = ((key, self._lost(key, now)) for key in portion)
        return [(key, event) for key, event in lost if event is not None]

    def _lost(self, key: str, now: float) -> MediaLost | NodeLost | None:
        record = self._calls.get(key)
        if record is None or is_early(now, self._unreachable.get(record.node, 0.0), LEAVE_ALONE_S):
            return None
        kinds = watched(record)
        if not kinds:
            return None
        if record.node not in self._nodes:
            return NodeLost(record.node)
        silent_s: dict[str, float | None] = {}
        try:
            for kind in kinds:
                silent_s[kind] = silence = self._relay.silence(record.node, key, kind, now)
                if silence is not None and silence < self._timeout_s:
                    return None  # one medium that lives is enough
        except MediaUnavailable:
            self._unreachable[record.node] = now + LEAVE_ALONE_S
            return None
        why = why_lost(record, silent_s, self._timeout_s)
        return MediaLost(why) if why else None
