"""Which trunk has room for a call, and lives: what all workers of a node know of trunks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from kemi.adapters.log import log_event
from kemi.adapters.trunks.room import TrunkRoom, tally_key
from kemi.core.call.events import TrunkChosen
from kemi.core.limits import Kind, Tally, is_news, take
from kemi.core.routing.way import CORE_WAY
from kemi.core.trunk.health import hops_up
from kemi.core.trunk.trunk import Trunk
from kemi.settings import Settings
from kemi.state.table import Table
from kemi.state.tallies import TallyStore


class Trunks:
    """Finds the trunk of a call, and counts it there until it has left."""

    def __init__(
        self, settings: Settings, table: Callable[[str], Table], is_running: Callable[[str], bool]
    ) -> None:
        """``is_running``: whether a call, by the name of its record, is not over."""
        self._trunks = {trunk.name: trunk for trunk in settings.trunks}
        self._burst_s = settings.limits.burst_s
        self._health = table("trunks")
        self._tallies = TallyStore(table("tally"))
        self._room = TrunkRoom(self._tallies, table("trunk_elsewhere"), is_running)

    def choose(self, key: str, at: str, wanted: tuple[str, ...], *, unlimited: bool = False) -> TrunkChosen:
        """Let a call, by the name of its record, leave the trunk it is at and enter the first that has room.

        Those that are down come last, and their next hops when nobody else is left: who is marked may be well again.
        """
        self.leave(key, at)
        up = {name: self._up(name) for name in wanted}
        order = sorted(wanted, key=lambda name: not up[name])
        wait_s = math.inf
        for position, name in enumerate(order):
            left = tuple(order[position + 1 :])
            if name == CORE_WAY:
                return TrunkChosen(name, left=left)
            trunk = self._trunks[name]
            early_s = self._enter(trunk, key)  # counted also where that does not matter
            if not early_s or unlimited:
                is_last = not any(up[one] for one in left)
                hops = dict.fromkeys([*up[name], *trunk.uris] if is_last else up[name])
                return TrunkChosen(name, tuple(hops), left)
            wait_s = min(wait_s, early_s)
        return TrunkChosen(None, retry_after_s=math.ceil(wait_s) if order else 0)

    def leave(self, key: str, name: str) -> None:
        """A call is not at this trunk any more."""
        if name:
            self._room.leave(name, key)

    def _up(self, name: str) -> list[str]:
        return ["core"] if name == CORE_WAY else hops_up(self._trunks[name], self._health.get)

    def _enter(self, trunk: Trunk, key: str) -> float:
        """Count a call; or return after how many seconds there may be room."""
        now = time.time()

        def in_time(tally: Tally) -> tuple[float, bool]:
            early_s = take(tally, Kind.INVITE, trunk.calls_per_s, self._burst_s, now)
            return early_s, bool(early_s) and is_news(tally, now)

        early_s, news = self._tallies.change(f"rate {trunk.name}", in_time)
        if early_s or self._room.admit(trunk, key):
            if news:
                log_event(logging.WARNING, "trunk_full", trunk=trunk.name, why="calls per second")
            return early_s
        if self._tallies.change(tally_key(trunk.name), lambda tally: is_news(tally, now)):
            log_event(logging.WARNING, "trunk_full", trunk=trunk.name, why="calls at once")
        return 1.0
