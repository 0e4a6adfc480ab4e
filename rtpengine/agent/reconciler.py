"""Compares the gateway's calls with the nodes', deletes what is left over, names what is lost."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from rtpengine.agent import metrics
from rtpengine.agent.control import ControlClient, ControlRefused, ControlUnreachable
from rtpengine.agent.ledger import Call, Ledger
from rtpengine.agent.settings import ReconcileSettings
from rtpengine.agent.watch import NodeWatch
from rtpengine.health import NodeState
from rtpengine.ng.commands import Delete, List
from rtpengine.ng.errors import NgError, NgTimeout, NgUnknownCall

_LOGGER: Final = logging.getLogger(__name__)
NAMED_AT_ONCE: Final = 10
NAMED_BYTES: Final = 6_000
"""Calls named in one request (POST /v1/calls/lost, /v1/calls/elsewhere), and bytes of their names, which pages choose;
one at least."""
LOOK_AGAIN_S: Final = 1.0
MOST_LISTED: Final = 1000
FEWEST_LISTED: Final = 50
"""A page chooses its Call-ID, and a list must fit a datagram: one that does not come is asked for in smaller pieces."""
LARGER_AFTER: Final = 20
"""Lists that were cut short: what was lost once, for another reason, does not make them small for ever."""
DELETES_AT_ONCE: Final = 20


class Reconciler:
    """Works until cancelled; `several` are connections for what may take a while."""

    def __init__(
        self,
        watches: list[NodeWatch],
        settings: ReconcileSettings,
        control: ControlClient,
        several: list[ControlClient],
    ) -> None:
        self._watches = watches
        self._settings = settings
        self._control = control
        self._several = several
        self._ledgers = {
            watch.name: Ledger(watch.name, settings.grace_s, exclusive=settings.exclusive)
            for watch in watches
        }
        for node in self._ledgers:  # Prometheus sees no increase in a series that begins with its first event
            metrics.ORPHANS.labels(node)
            metrics.LOST.labels(node)
        self._limits = dict.fromkeys(self._ledgers, MOST_LISTED)
        self._cut_short = dict.fromkeys(self._ledgers, 0)
        """How many lists in a row came and were cut short by a limit below the most."""
        self._wanted = asyncio.Event()
        self._began = ""
        """Names the gateway's present run."""
        self._told: dict[str, tuple[float | None, set[str]]] = {}
        """When a node that is down answered last, and its calls that the gateway was told of since."""

    def want(self) -> None:
        """A node died or was restarted: do not wait for the next round."""
        self._wanted.set()

    async def run(self) -> None:
        """One round after the other."""
        pause_s = self._settings.interval_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wanted.wait()
            self._wanted.clear()
            pause_s = self._settings.interval_s
            try:
                if await self._round():
                    pause_s = min(pause_s, LOOK_AGAIN_S)
            except (ControlUnreachable, ControlRefused) as error:
                _LOGGER.warning("event=reconcile_failed detail=%r", str(error))
                pause_s = min(pause_s, LOOK_AGAIN_S)

    async def _round(self) -> bool:
        """Look at all nodes; tell whether it has to be done again soon."""
        alive = [watch for watch in self._watches if watch.state is NodeState.UP]
        down = [watch for watch in self._watches if watch.state is NodeState.DOWN]
        listed = dict(zip(alive, await asyncio.gather(*map(self._listed, alive)), strict=True))
        calls, began = await self._calls()
        if began != self._began:
            for ledger in self._ledgers.values():
                ledger.forget_all()
            self._told.clear()
            self._began = began
        for watch in down:
            told = self._told_of(watch)
            keys = [call.key for call in calls if call.node == watch.name and call.key not in told]
            await self._lost(watch.name, keys, told)
        again = bool(down)
        for watch, found in listed.items():
            if found is not None:
                again = await self._settle(watch, *found, calls) or again
        return again

    def _told_of(self, watch: NodeWatch) -> set[str]:
        """Return the calls of a node that is down that need not be named again: they may wait for it for a while."""
        answered_at, told = self._told.get(watch.name, (None, set()))
        if answered_at != watch.health.answered_at:
            told = set()
        self._told[watch.name] = (watch.health.answered_at, told)
        return told

    async def _settle(
        self, watch: NodeWatch, names: tuple[str, ...], complete: bool, calls: list[Call]
    ) -> bool:
        known = {name for call in calls if call.node == watch.name for name in call.possible_names}
        unreleased: list[str] = []
        if not self._settings.exclusive and not known.issuperset(names):
            unreleased = await self._unreleased(watch.name)
        ledger = self._ledgers[watch.name]
        found = ledger.compare(names, calls, unreleased, time.time(), complete=complete)
        left_over = found.left_over
        if not self._settings.exclusive:
            elsewhere = await self._elsewhere(left_over)
            ledger.forget(elsewhere)
            left_over = tuple(name for name in left_over if name not in elsewhere)
        for begin in range(0, len(left_over), DELETES_AT_ONCE):
            portion = left_over[begin : begin + DELETES_AT_ONCE]
            await asyncio.gather(*(self._delete(watch, name) for name in portion))
        if found.lost:
            await self._lost(watch.name, list(found.lost), set())
        return found.look_again

    async def _listed(self, watch: NodeWatch) -> tuple[tuple[str, ...], bool] | None:
        """Return the names of a node's calls, and whether these are all; None where no list has come."""
        limit = self._limits[watch.name]
        try:
            found = (await watch.ask(List(limit))).call_ids
        except NgTimeout:
            if watch.state is NodeState.UP:
                self._limit(watch.name, max(FEWEST_LISTED, limit // 2))
            return None
        except NgError as error:
            _LOGGER.info("event=node_not_listed node=%s detail=%r", watch.name, str(error))
            return None
        complete = len(found) < limit
        if not complete and limit < MOST_LISTED:
            self._cut_short[watch.name] += 1
            if self._cut_short[watch.name] >= LARGER_AFTER:
                self._limit(watch.name, min(MOST_LISTED, 2 * limit))
        return found, complete

    def _limit(self, node: str, calls: int) -> None:
        self._limits[node], self._cut_short[node] = calls, 0
        _LOGGER.info("event=node_list_limit node=%s calls=%d", node, calls)

    async def _calls(self) -> tuple[list[Call], str]:
        """Return all calls of the gateway, and the name of its present run."""
        found: list[Call] = []
        after = ""
        while True:
            answer = await self._control.ask("GET", f"/v1/calls?after={quote(after, safe='')}")
            found += map(_call, answer["calls"])
            after = answer["next"]
            if not after:
                return found, answer["began"]

    async def _unreleased(self, node: str) -> list[str]:
        """Return what the gateway could not tell this node the end of."""
        found: list[str] = []
        after = ""
        while True:
            path = f"/v1/calls/unreleased?node={quote(node)}&after={quote(after, safe='')}"
            answer = await self._control.ask("GET", path)
            found += answer["calls"]
            after = answer["next"]
            if not after:
                return found

    async def _elsewhere(self, names: Sequence[str]) -> set[str]:
        """Return those of these calls that the gateway has given to another one."""
        found: set[str] = set()
        for portion in _portions(names):
            try:
                found.update(
                    (await self._control.ask("POST", "/v1/calls/elsewhere", {"calls": portion}))["calls"]
                )
            except ControlRefused as error:  # they may be anybody's, and stay; others are no worse for that
                _LOGGER.warning("event=left_over_refused detail=%r", str(error))
                found.update(portion)
        return found

    async def _delete(self, watch: NodeWatch, name: str) -> None:
        try:
            await watch.ask(Delete(name, delete_delay_s=0))
        except NgUnknownCall:
            return
        except NgError as error:
            _LOGGER.warning("event=orphan_stays node=%s call_id=%s detail=%r", watch.name, name, str(error))
            return
        metrics.ORPHANS.labels(watch.name).inc()
        _LOGGER.warning("event=orphan_deleted node=%s call_id=%s", watch.name, name)

    async def _lost(self, node: str, keys: list[str], told: set[str]) -> None:
        """Name calls that are without media, some at a time and several times at once; ``told`` gets those named."""
        if not keys:
            return
        metrics.LOST.labels(node).inc(len(keys))
        _LOGGER.warning("event=calls_lost node=%s calls=%d", node, len(keys))
        waiting = _portions(keys)

        async def tell(line: ControlClient) -> None:
            for portion in waiting:
                try:
                    await line.ask("POST", "/v1/calls/lost", {"node": node, "calls": portion})
                    told.update(portion)
                except ControlRefused as error:
                    _LOGGER.warning("event=lost_calls_refused node=%s detail=%r", node, str(error))

        results = await asyncio.gather(*map(tell, self._several), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


def _portions(names: Sequence[str]) -> Iterator[list[str]]:
    """Return what one request names, one after the other."""
    portion: list[str] = []
    size = 0
    for name in names:
        length = len(json.dumps(name))
        if portion and (len(portion) == NAMED_AT_ONCE or size + length > NAMED_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(name)
        size += length
    if portion:
        yield portion


def _call(found: dict[str, Any]) -> Call:
    return Call(
        found["key"], found["node"], tuple(found["kinds"]), found["dialog"] == "confirmed", found["since"]
    )
