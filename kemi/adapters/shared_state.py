"""The node's side of Redis: what is shipped there, what is heard from it, and what happens while it is away.

Runs in the housekeeping process, and once before the fork to restore.  While Redis is away nothing waits for it longer
than some tenths of a second, once a second; what changed is remembered by key, and all of it is shipped afterwards.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from kemi.adapters.calls.snapshots import CallSnapshots
from kemi.adapters.log import log_event
from kemi.core.pace import is_early
from kemi.core.registration.records import Registration
from kemi.state.bans import SharedBan, ban_to_text, bans_from_texts
from kemi.state.call_history import FinishedCall
from kemi.state.commands import Command, Logout
from kemi.state.counters import Counters
from kemi.state.flows import FlowStore
from kemi.state.nodes import NodeStore
from kemi.state.records import taken
from kemi.state.redis_errors import RedisRefused, RedisUnavailable
from kemi.state.redis_link import Heard, RedisLink
from kemi.state.subscriptions import SubscriptionStore
from kemi.state.table import Table
from kemi.state.trace_link import TraceRings
from kemi.state.traces import TracePortion
from kemi.state.trunks import GatewayTrunks, TrunkStore, seen_trunks

POLL_S: Final = 0.5
VIEW_S: Final = 2.0
TRUNKS_S: Final = 2.0
TRIM_S: Final = 5.0
BACK_OFF_S: Final = 1.0
AT_ONCE: Final = 1_000
"""Records of a kind shipped in one round trip, so that a storm fits into the deadline."""
MAX_EVENTS: Final = 10_000
"""Events kept while Redis is away; the oldest are given up."""
MAX_CALLS: Final = 20_000
"""The same of finished calls."""
CALLS_AT_ONCE: Final = 200
"""Each is written to three places."""
MAX_UNKEPT: Final = 1_000
"""Of what is told only to those who listen at the moment."""

MOST_TAKEN_OVER: Final = 1_000


class SharedState:
    """Redis as the housekeeping process uses it."""

    def __init__(
        self,
        link: RedisLink,
        flows: FlowStore,
        subscriptions: SubscriptionStore,
        *,
        issuers: Sequence[str],
        key_sets: Table,
        revoked: Table,
        restored: Callable[[Registration], None],
        notices: Table,
        nodes: NodeStore,
        view: Callable[[float], list[dict[str, Any]]],
        counters: Counters,
        snapshots: CallSnapshots,
    ) -> None:
        """``view`` describes the relay nodes at a moment; ``restored`` hears of registrations of before a restart."""
        self._link = link
        self._flows = flows
        self._subscriptions = subscriptions
        self._issuers = issuers
        self._key_sets = key_sets
        self._revoked = revoked
        self._heard_restored = restored
        self._notices = notices
        self._nodes = nodes
        self._view = view
        self._counters = counters
        self._snapshots = snapshots
        self._next_view = self._next_trunks = self._next_trim = 0.0
        self._bindings_to_ship: dict[str, None] = {}
        self._subscriptions_to_ship: dict[str, None] = {}
        self._records_to_ship: dict[str, None] = {}
        self._events: deque[str] = deque(maxlen=MAX_EVENTS)
        self._calls: deque[FinishedCall] = deque(maxlen=MAX_CALLS)
        self._unkept: deque[str] = deque(maxlen=MAX_UNKEPT)
        self._next_try = self._next_write = self._next_poll = 0.0
        self._down = self._refused = False
        self._commands_done = True
        self._restored = False
        self._handed_over: dict[str, str] = {}
        self._taken_over: deque[int] = deque(maxlen=MOST_TAKEN_OVER)
        """Hashes of names and texts, which Redis may show once more."""
        self._is_to_compare = False
        """Whether Redis may have what this gateway has no more."""
        self.returns = 0
        """How often Redis came back, or another one, perhaps with an older state or empty."""
        self.memory = 0.0
        """Which share of its memory Redis used when it was asked last; 0.0 also where it has no limit."""
        self.routing_version = 0
        """Of the routing table that counts, as far as this node has heard; 0: there is none."""

    # ------------------------------------------------------------ restart

    def restore(self, now: float, away_until: float, link: RedisLink | None = None) -> bool:
        """Take over what this node kept before a restart, once; False when Redis cannot be asked now.

        What has run out is dropped, and the pages of the rest are away.  With a link of its own, which the start has,
        keys and ended sessions are known too before the first message; ``poll`` reads the commands once more and
        carries them out.
        """
        if self._restored or self._backs_off(now):
            return self._restored
        try:
            stored = (link or self._link).stored()
            if link is not None:
                self._learn(link.exchange(self._issuers, now))
        except RedisUnavailable as error:
            self._failed(error, now)
            return False
        self._restored = True
        kept = 0
        for key, registration in stored.registrations.items():
            if registration.expires_at > now:
                kept += self._flows.restore(key, registration, away_until)
                self._heard_restored(registration)
            else:
                self._bindings_to_ship[key] = None
        for call_id, subscription in stored.subscriptions.items():
            if subscription.expires_at > now and self._subscriptions.get(call_id) is None:
                self._subscriptions.set(subscription)
            else:
                self._subscriptions_to_ship[call_id] = None
        self._records_to_ship.update(dict.fromkeys(self._snapshots.restore(stored.calls)))
        if stored.registrations:
            log_event(logging.WARNING, "registrations_restored", kept=kept, of=len(stored.registrations))
        return True

    # ------------------------------------------------------------ to Redis

    @property
    def is_up(self) -> bool:
        """Whether Redis answered when it was asked last, and took what was written last."""
        return not (self._down or self._refused)

    def waiting(self) -> dict[str, int]:
        """Return how much there is to be shipped, by kind."""
        return {
            "bindings": len(self._bindings_to_ship),
            "events": len(self._events),
            "calls": len(self._calls),
        }

    def note(
        self,
        bindings: Iterable[str],
        subscriptions: Iterable[str],
        events: Iterable[str],
        unkept: Iterable[str] = (),
    ) -> None:
        """Remember what has to be shipped; ``unkept`` is worth nothing once Redis has been away."""
        self._unkept.extend(unkept)
        self._bindings_to_ship.update(dict.fromkeys(bindings))
        self._subscriptions_to_ship.update(dict.fromkeys(subscriptions))
        self._events.extend(events)

    def finished(self, calls: Iterable[FinishedCall]) -> None:
        """Remember calls that are over."""
        self._calls.extend(calls)

    def ship(self, now: float) -> None:
        """Ship what was noted, here and by the workers, and that the commands are done."""
        self._events.extend(text for _, text in taken(self._notices))
        self._records_to_ship.update(dict.fromkeys(self._snapshots.take_changed()))
        kinds = (
            self._bindings_to_ship,
            self._records_to_ship,
            self._subscriptions_to_ship,
            self._events,
            self._calls,
            self._unkept,
        )
        waiting = any(kinds)
        if self._puts_off(now) or not (waiting or not self._commands_done):
            return
        bindings = {key: self._flows.binding_text(key) for key in islice(self._bindings_to_ship, AT_ONCE)}
        subscriptions = {
            call_id: self._subscriptions.text(call_id)
            for call_id in islice(self._subscriptions_to_ship, AT_ONCE)
        }
        records = {key: self._snapshots.text(key) for key in islice(self._records_to_ship, CALLS_AT_ONCE)}
        events = list(islice(self._events, AT_ONCE))
        calls = list(islice(self._calls, CALLS_AT_ONCE))
        unkept = list(self._unkept)
        self._unkept.clear()
        try:
            if waiting:
                self._link.ship(bindings, subscriptions, events, calls, unkept, records)
            if not self._commands_done:
                self._link.done()
        except RedisUnavailable as error:
            self._failed(error, now)
            return
        self._commands_done = True
        for key in bindings:
            del self._bindings_to_ship[key]
        for call_id in subscriptions:
            del self._subscriptions_to_ship[call_id]
        for key in records:
            del self._records_to_ship[key]
        for _ in events:
            self._events.popleft()
        for _ in calls:
            self._calls.popleft()
        self._worked()

    def ship_nodes(self, now: float) -> None:
        """Ship what an operator changed here, at once, and every now and then how the relay nodes are."""
        changes = self._nodes.drain_changes()
        if self._puts_off(now) or not (changes or not is_early(now, self._next_view, VIEW_S)):
            return
        view = {
            "at": now,
            "agent": self._nodes.reported(now) is not None,
            "nodes": self._view(now),
            "counters": self._counters.all(),
        }
        try:
            self._link.ship_nodes(changes, msgspec.json.encode(view).decode())
        except RedisUnavailable as error:
            self._failed(error, now)
            return
        self._next_view = now + VIEW_S
        self._nodes.shipped(changes)
        if self._refused:  # this always adds something: what only removes, a full Redis takes, too
            self._refused = False
            log_event(logging.WARNING, "redis_takes")
        self._worked()

    def ship_calls(self, asked: str, text: str, now: float) -> None:
        """Ship which calls are running; who asked does not wait for long, so it is tried once."""
        try:
            self._link.ship_calls(asked, text)
        except RedisUnavailable as error:
            self._failed(error, now)

    def ship_traces(self, portions: list[TracePortion], rings: TraceRings, now: float, trim: bool) -> bool:
        """Ship what is new of traced calls; False when Redis cannot be asked now, or takes nothing.

        The trimming comes first, and whatever becomes of the rest: it is what makes room in a Redis that is full.
        """
        if self._backs_off(now):
            return False
        try:
            if trim:
                self._link.trim_traces(rings, now)
            if portions and self._puts_off(now):
                return False
            if portions:
                self._link.ship_traces(portions, rings)
        except RedisUnavailable as error:
            self._failed(error, now)
            return False
        self._worked()
        return True

    def trim_calls(self, now: float) -> None:
        """Let Redis forget the oldest finished calls where it has little room left, every now and then."""
        if self._backs_off(now) or is_early(now, self._next_trim, TRIM_S):
            return
        try:
            self.memory = self._link.trim_calls()
        except RedisUnavailable as error:
            self._failed(error, now)
            return
        self._next_trim = now + TRIM_S
        self._worked()

    def exchange_trunks(self, now: float, trunks: TrunkStore) -> None:
        """Ship how the trunks are every now and then, and learn how many calls they have elsewhere."""
        if self._puts_off(now) or is_early(now, self._next_trunks, TRUNKS_S):
            return
        views = trunks.views()
        text = msgspec.json.encode(GatewayTrunks(now, views)).decode()
        try:
            seen = seen_trunks(*self._link.exchange_trunks(text), now)
        except RedisUnavailable as error:
            self._failed(error, now)
            return
        self._next_trunks = now + TRUNKS_S
        for view in views:
            others = (found for name, found in seen.items() if name != self._link.node)
            calls = sum(one.calls for found in others for one in found.trunks if one.trunk == view.trunk)
            trunks.set_elsewhere(view.trunk, calls)
        self._worked()

    def exchange_bans(
        self, now: float, new: Mapping[str, SharedBan], over: Iterable[str], trusted: Sequence[str]
    ) -> tuple[dict[str, SharedBan], bool] | None:
        """Ship bans of ours and which are over; return all bans of the site, and whether ours were taken.

        None when Redis cannot be asked now.
        """
        if self._backs_off(now):
            return None
        try:
            found, refusal = self._link.exchange_bans(
                {address: ban_to_text(ban) for address, ban in new.items()}, list(over), trusted
            )
        except RedisUnavailable as error:
            self._failed(error, now)
            return None
        self._worked()
        if refusal is not None:
            self._failed(refusal, now)
        return bans_from_texts(found), refusal is None

    # ------------------------------------------------------------ from Redis

    def poll(self, now: float) -> list[Command]:
        """Return the commands that have come; keep the issuers' keys up to date for the workers."""
        if self._backs_off(now) or is_early(now, self._next_poll, POLL_S):
            return []
        self._next_poll = now + POLL_S
        try:
            heard = self._link.exchange(self._issuers, now)
        except RedisUnavailable as error:
            self._failed(error, now)
            return []
        self._worked()
        self._learn(heard)
        self._commands_done = self._commands_done and not heard.commands
        self._compare(now)
        return heard.commands

    def take_handed_over(self, now: float, claimed: Mapping[str, str]) -> list[str]:
        """Take over the calls that other gateways have given us, and those claimed of dead ones; return their names.

        First they are here, then Redis forgets them: what it does not confirm it shows again, and then it is known.
        """
        given = {**self._handed_over, **claimed}
        self._handed_over = {}
        if not given:
            return []
        taken_over = []
        for key, text in given.items():
            seen = hash((key, text))
            if seen in self._taken_over:
                continue
            self._taken_over.append(seen)
            if self._snapshots.adopt(key, text):
                log_event(logging.WARNING, "call_adopted", call_id=key)
                taken_over.append(key)
        try:
            self._link.took_over(list(given))
        except RedisUnavailable as error:
            self._failed(error, now)
        return taken_over

    def _learn(self, heard: Heard) -> None:
        self._publish(heard.key_sets)
        self.routing_version = heard.routing_version
        self._handed_over = heard.handed_over
        for node in self._nodes.learn_drained(heard.drained):
            what = "node_drained" if node in heard.drained else "node_undrained"
            log_event(logging.WARNING, what, node=node, by="operator")
        for command in heard.commands:
            if isinstance(command, Logout):
                known = self._revoked.get(command.session)
                if known is None or float(known) < command.at:  # commands of before are read once more
                    self._revoked.set(command.session, f"{command.at:.3f}")

    def _compare(self, now: float) -> None:
        """See to it that Redis, which was away, keeps of this gateway what that has, and nothing of an older state."""
        if not (self._is_to_compare and self._restored):  # before, all of it is what there is to take over
            return
        try:
            bindings, subscriptions, records = self._link.names()
        except RedisUnavailable as error:
            self._failed(error, now)
            return
        self._is_to_compare = False
        # What is shipped is what there is then: of a name that nobody has here, that it is gone.
        self._records_to_ship.update(dict.fromkeys(records))
        self.note(bindings, subscriptions, ())

    def _publish(self, key_sets: dict[str, str]) -> None:
        changed = [issuer for issuer, text in key_sets.items() if self._key_sets.get(issuer) != text]
        for issuer in changed:
            self._key_sets.set(issuer, key_sets[issuer])
        if changed:
            version = int(self._key_sets.get("version") or 0) + 1
            self._key_sets.set("version", str(version))
            log_event(logging.INFO, "key_sets_changed", issuers=",".join(changed), version=version)

    # ------------------------------------------------------------ outages

    def _backs_off(self, now: float) -> bool:
        return is_early(now, self._next_try, BACK_OFF_S)

    def _puts_off(self, now: float) -> bool:
        """Whether nothing is to be written now; what is only read may go on."""
        return self._backs_off(now) or is_early(now, self._next_write, BACK_OFF_S)

    def _failed(self, error: RedisUnavailable, now: float) -> None:
        if isinstance(error, RedisRefused):
            self._next_write = now + BACK_OFF_S
            if not self._refused:
                self._refused = True
                log_event(logging.ERROR, "redis_refuses", detail=str(error))
            return
        self._next_try = now + BACK_OFF_S
        if not self._down:
            self._down = True
            log_event(logging.ERROR, "redis_unavailable", detail=str(error))

    def _worked(self) -> None:
        change = self._link.take_change()
        if not (self._down or change.connected or change.lost):
            return
        self._down = False
        self._is_to_compare = True
        self.returns += 1
        log_event(logging.WARNING, "redis_back", state="lost" if change.lost else "unknown")
        # Drained nodes are not this gateway's alone: somebody else may have let one go on while it heard nothing.
        if change.lost:
            for node in self._nodes.drained():
                self._nodes.drain(node, True)
        # It may have come back empty.
        self._records_to_ship.update(dict.fromkeys(self._snapshots.all()))
        self.note(
            (key for key, _ in self._flows.bindings()),
            (subscription.call_id for subscription in self._subscriptions.all()),
            (),
        )
