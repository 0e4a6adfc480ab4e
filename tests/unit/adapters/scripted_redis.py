"""A Redis that a test scripts, as the housekeeping process sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kemi.state.call_history import FinishedCall
from kemi.state.commands import Command
from kemi.state.continuity import NOTHING, Change
from kemi.state.redis_errors import RedisRefused, RedisUnavailable
from kemi.state.redis_link import Heard, Stored
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TracePortion

ISSUER: Final = "https://login.example"


class ScriptedRedis:
    """A Redis that is there or not, and keeps what it gets."""

    def __init__(self) -> None:
        self.down = self.full = False
        self.calls: list[str] = []
        self.registrations: dict[str, str] = {}
        self.subscriptions: dict[str, str] = {}
        self.handed_over: dict[str, str] = {}
        self.left: dict[str, str] = {}
        """Calls of a gateway that is silent."""
        self.bans: dict[str, str] = {}
        self.lost = ""
        """Whose reply is lost once, though it was done."""
        self.events: list[str] = []
        self.finished: list[str] = []
        self.unkept: list[str] = []
        self.records: dict[str, str | None] = {}
        self.commands: list[Command] = []
        self.key_sets: dict[str, str] = {}
        self.content = Stored({}, {})
        self.confirmed = 0
        self.drained: set[str] = set()
        self.views: list[str] = []
        self.traces: list[TracePortion] = []
        self.change = NOTHING

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.down:
            raise RedisUnavailable("nobody listens")

    def _writes(self, name: str) -> None:
        self._called(name)
        if self.full:
            raise RedisRefused("OOM")

    def _replies(self, name: str) -> None:
        if self.lost == name:
            self.lost = ""
            raise RedisUnavailable("Timeout reading from socket")

    def take_change(self) -> Change:
        change, self.change = self.change, NOTHING
        return change

    def names(self) -> tuple[list[str], list[str], list[str]]:
        self._called("names")
        records = [key for key, text in self.records.items() if text is not None]
        return list(self.registrations), list(self.subscriptions), records

    def took_over(self, calls: Sequence[str]) -> None:
        self._called("took_over")
        for key in calls:
            self.handed_over.pop(key, None)
        self._replies("took_over")

    def claim_call(self, _node: str, key: str) -> str | None:
        self._called("claim_call")
        text = self.left.pop(key, None)
        if text is not None:
            self.handed_over[key] = text
        self._replies("claim_call")
        return text

    def exchange_bans(
        self, new: Mapping[str, str], over: Sequence[str], _trusted: Sequence[str]
    ) -> tuple[dict[str, str], RedisRefused | None]:
        self._called("exchange_bans")
        if not self.full:
            self.bans.update(new)
        for address in over:
            self.bans.pop(address, None)
        return dict(self.bans), RedisRefused("OOM") if self.full else None

    def ship_traces(self, portions: Sequence[TracePortion], _rings: TraceRings) -> None:
        self._writes("ship_traces")
        self.traces += portions

    def trim_traces(self, _rings: TraceRings, _now: float) -> None:
        self._called("trim_traces")

    def stored(self) -> Stored:
        self._called("stored")
        return self.content

    def ship(
        self,
        registrations: Mapping[str, str | None],
        subscriptions: Mapping[str, str | None],
        events: Sequence[str],
        calls: Sequence[FinishedCall] = (),
        unkept: Sequence[str] = (),
        records: Mapping[str, str | None] | None = None,
    ) -> None:
        self._writes("ship")
        self.records.update(records or {})
        for there, changes in ((self.registrations, registrations), (self.subscriptions, subscriptions)):
            there.update({key: text for key, text in changes.items() if text is not None})
            for key in [key for key, text in changes.items() if text is None]:
                there.pop(key, None)
        self.events += events
        self.finished += [call.id for call in calls]
        self.unkept += unkept

    def exchange(self, issuers: Sequence[str], now: float) -> Heard:
        self._called("exchange")
        assert list(issuers) == [ISSUER]
        assert now >= 0
        commands, self.commands = self.commands, []
        return Heard(commands, dict(self.key_sets), set(self.drained), 0, dict(self.handed_over))

    def ship_nodes(self, drain_changes: Mapping[str, str], view: str) -> None:
        self._writes("ship_nodes")
        for node, drained in drain_changes.items():
            (self.drained.add if drained else self.drained.discard)(node)
        self.views.append(view)

    def trim_calls(self) -> float:
        self._called("trim_calls")
        return 0.5

    def done(self) -> None:
        self._writes("done")
        self.confirmed += 1
