"""How many calls a trunk has, both directions together, on all gateways of the site."""

from __future__ import annotations

import time
from collections.abc import Callable

from kemi.core.limits import Tally, admit_call
from kemi.core.trunk.trunk import MAX_CALLS, Trunk
from kemi.state.calls import CallStore
from kemi.state.table import Table
from kemi.state.tallies import TallyStore
from kemi.state.trunks import TrunkStore


class TrunkRoom:
    """Counts the calls of trunks: those of this gateway in its tallies, the others' as housekeeping heard of them.

    The other gateways' numbers are some seconds old: two that fill a trunk's last places at once may both succeed, and
    then the carrier refuses one, which goes to the next trunk.  Exact counting would need an answer of Redis for each
    call, which workers do not wait for, or a fixed share of the places for each gateway, which would refuse calls here
    while there is room there; of these, one call too many for two seconds does the least harm.
    """

    def __init__(self, tallies: TallyStore, elsewhere: Table, is_running: Callable[[str], bool]) -> None:
        """``is_running``: whether a call, by the key it was admitted with, has a record."""
        self._tallies = tallies
        self._elsewhere = elsewhere
        self._is_running = is_running

    def admit(self, trunk: Trunk, key: str) -> bool:
        """Count a call that begins, by the name of its record; False when the trunk has no place for it."""
        most = trunk.most_calls - self.elsewhere(trunk.name) if trunk.most_calls else MAX_CALLS
        if most <= 0:
            return False
        now = time.time()
        return self._tallies.change(
            tally_key(trunk.name), lambda tally: admit_call(tally, key, most, now, self._is_running)
        )

    def back(self, trunk: str, key: str) -> None:
        """Count a call that was running before a restart."""

        def back(tally: Tally) -> None:
            tally.calls[key] = time.time()

        self._tallies.change(tally_key(trunk), back)

    def leave(self, trunk: str, key: str) -> None:
        """A call is over, or goes on elsewhere: its place is free at once."""

        def left(tally: Tally) -> None:
            tally.calls.pop(key, None)

        self._tallies.change(tally_key(trunk), left)

    def running(self, trunk: str) -> int:
        """Return how many calls a trunk has on this gateway."""
        return sum(map(self._is_running, self._tallies.get(tally_key(trunk)).calls))

    def elsewhere(self, trunk: str) -> int:
        """Return how many it has on the others."""
        return int(self._elsewhere.get(trunk) or 0)


def running(calls: CallStore, trunks: TrunkStore) -> Callable[[str], bool]:
    """Return whether a call is not over: one of a page by the name of its record, one of a trunk by its Call-ID."""
    return lambda key: calls.is_running(key) or trunks.is_running(key)


def tally_key(trunk: str) -> str:
    """Return the name of a trunk's tally."""
    return f"trunk {trunk}"
