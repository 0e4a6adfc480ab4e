"""Pages that have left this gateway and are at another one now: seen in Redis, where each keeps its registrations.

Housekeeping's part of passing_on.py.  While a page is away, its binding is looked for at the other gateways: often for
as long as requests may wait for it, then now and then.  Found there it ends here, without a word to the core, and
the page's answered calls are handed over: that gateway tells the core by a target refresh where they are.

A page that changes its network may leave a connection behind that stands for half a minute more.  So pages with calls
are looked for, too, now and then; found at another gateway, such a page's connection here is ended.

A gateway that cannot look, because it has lost Redis, does not know who has moved: what it ended would end there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from kemi.adapters.calls.snapshots import CallSnapshots
from kemi.adapters.kamailio import connections, transactions
from kemi.adapters.log import log_event
from kemi.adapters.pages.passing_on import CONTINUE
from kemi.core.flow_token import host_from_token
from kemi.core.pace import is_early
from kemi.core.registration import Registration
from kemi.core.registration.states import REPLACED, BindingState, Cause
from kemi.settings import Settings
from kemi.state.calls import CallStore
from kemi.state.flows import FlowStore
from kemi.state.redis_errors import RedisUnavailable
from kemi.state.redis_link import RedisLink
from kemi.state.waiting import PassedOn, WaitingStore

SELDOM_S: Final = 1.0
BACK_OFF_S: Final = 1.0
SUSPENDED_WITHIN_S: Final = 1.0
CLOCKS_APART_S: Final = 1.0
"""How far the clocks of two gateways may be apart for a page that has just come here to be left alone."""
MOST: Final = 1_000
"""Pages asked for in one question to Redis."""


class Elsewhere:
    """The absent pages of this gateway, as the housekeeping process knows them."""

    def __init__(
        self,
        settings: Settings,
        link: RedisLink,
        flows: FlowStore,
        calls: CallStore,
        snapshots: CallSnapshots,
        store: WaitingStore,
    ) -> None:
        self._own = f"{settings.sip.address}:{settings.sip.port}"
        self._timers = settings.timers
        self._link = link
        self._flows = flows
        self._calls = calls
        self._snapshots = snapshots
        self._store = store
        self._absent: dict[str, Registration] = {}
        self._awaited: dict[str, Registration] = {}
        """Those for whom requests may still wait."""
        self._on_calls: list[str] = []
        """Connections of pages with calls, those that are not looked for yet in this round."""
        self._next_look = self._next_try = 0.0
        self._has_peers = bool(settings.sip.peers)
        self._has_failed = False
        """To look, and not all absent pages have been looked for since."""

    @property
    def is_blind(self) -> bool:
        """Whether absent pages may be at another gateway, which this one cannot see: nothing of theirs is to end."""
        return self._has_peers and self._has_failed

    def changed(self, key: str, binding: Registration | None) -> None:
        """A binding was written or removed."""
        if binding is not None and binding.state is BindingState.AWAY:
            self._absent[key] = self._awaited[key] = binding
        else:
            self._absent.pop(key, None)
            self._awaited.pop(key, None)

    def look(self, now: float) -> list[str]:
        """End the absent bindings that other gateways have now, hand their calls over, and return their keys.

        Once a second all are looked for; in between as many as one question takes of those that requests wait for.
        """
        self._awaited = {key: one for key, one in self._awaited.items() if now < self._waited_until(one)}
        if is_early(now, self._next_try, BACK_OFF_S):
            return []
        is_for_all = not is_early(now, self._next_look, SELDOM_S)
        self._next_look = now + SELDOM_S if is_for_all else self._next_look
        looked_for = list(self._absent) if is_for_all else self._next_awaited()
        moved = []
        try:
            for key, node, host in self._found(looked_for):
                self._hand_over(key, node, host, now)
                here = self._absent.pop(key)  # not before: Redis may take nothing just now
                log_event(logging.INFO, "page_moved", identity=here.address_of_record, to=node)
                self._flows.end(key, Cause.MOVED, now, lambda found: not found.connection_id)
                moved.append(key)
            if is_for_all and self._has_peers:
                self._end_left_behind(now)
            self._has_failed = self._has_failed and not is_for_all
        except RedisUnavailable as error:
            self._next_try = now + BACK_OFF_S
            self._has_failed = True
            log_event(logging.WARNING, "pages_not_looked_for", detail=str(error))
        return moved

    def _next_awaited(self) -> list[str]:
        """Return whose turn it is; they go behind the others, for those in front may stay away."""
        keys = list(self._awaited)[:MOST]
        for key in keys:
            self._awaited[key] = self._awaited.pop(key)
        return keys

    def _end_left_behind(self, now: float) -> None:
        """End the connections of pages with calls here that have registered at another gateway since; as many as one
        question takes.  A registration of the future is of a clock that was ahead."""
        if not self._on_calls:
            self._on_calls = self._calls.connections()
        portion, self._on_calls = self._on_calls[:MOST], self._on_calls[MOST:]
        flows = (self._flows.flow(connection_id) for connection_id in portion)
        keys = [flow.binding for flow in flows if flow is not None and flow.binding]
        for key, node, there in self._there(keys):
            here = self._flows.binding(key)
            if here is None or not here.connection_id or not there.connection_id:
                continue
            if here.granted_at + CLOCKS_APART_S < there.granted_at <= now + CLOCKS_APART_S:
                log_event(logging.INFO, "connection_left_behind", identity=here.address_of_record, to=node)
                connections.close_connection(here.connection_id, *REPLACED)
                self._flows.note_closed(here.connection_id)

    def _hand_over(self, key: str, node: str, host: str, now: float) -> None:
        binding = self._flows.binding(key)
        if binding is None:
            return
        former = {binding.former_connection_id} - {""}
        others = self._flows.other_flows(binding, now)
        names = self._calls.of_page(binding.owner, former, binding.contact, others)
        texts = {name: text for name in names if (text := self._snapshots.text(name)) is not None}
        if not texts:
            return
        self._link.hand_over(node, texts)  # what it does not take stays here
        changed = {}
        for name, text in texts.items():
            record = self._calls.get(name)
            at = record.trunk if record is not None else None
            self._store.handed_over(name, host, at.trunk if at is not None else "")
            left = self._snapshots.give(name)
            log_event(logging.WARNING, "call_handed_over", call_id=name, to=node)
            if left not in (None, text):
                changed[name] = left
        if changed:  # by a message that came in between
            self._link.hand_over(node, changed)

    def let_go_on(self, now: float) -> None:
        """Let those requests go on whose page is back, here or elsewhere, or has been waited for long enough."""
        for branch, waiting in list(self._store.waiting()):
            token = self._store.moved_to(waiting.token)
            binding = self._flows.once_on(waiting.connection_id, waiting.token, waiting.contact)
            if not token and binding is not None and binding.connection_id not in ("", waiting.connection_id):
                token = binding.sent.flow_token
            if not token and binding is not None and now < waiting.until:
                continue
            if token:
                self._store.passed_on(branch, PassedOn(self._host(token), token))
            transaction = waiting.transaction_index, waiting.transaction_label
            if transactions.resume(transaction, CONTINUE) or now > waiting.until + SUSPENDED_WITHIN_S:
                self._store.waits_no_longer(branch)

    def _waited_until(self, binding: Registration) -> float:
        return binding.awaited_until(self._timers.flow_recovery_s, self._timers.flow_wait_s)

    def _last_here(self, binding: Registration) -> float:
        """Return when an absent page was here for certain: granted, or lost, where a grant that is later than the loss
        is by a clock that was set back in between."""
        return min(binding.granted_at, binding.away_until - self._timers.flow_recovery_s)

    def _host(self, token: str) -> str:
        return host_from_token(token) or self._own

    def _found(self, keys: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        for key, node, there in self._there(keys):
            here = self._absent.get(key)
            if here is not None and there.connection_id and there.granted_at > self._last_here(here):
                self._store.moved(here.sent.flow_token, there.sent.flow_token)
                yield key, node, self._host(there.sent.flow_token)

    def _there(self, keys: Sequence[str]) -> Iterator[tuple[str, str, Registration]]:
        """Return what other gateways have of bindings, with their names."""
        for at in range(0, len(keys), MOST):
            for node, texts in self._link.bindings_elsewhere(keys[at : at + MOST]).items():
                for key, text in texts.items():
                    try:
                        yield key, node, msgspec.json.decode(text, type=Registration)
                    except msgspec.MsgspecError:
                        continue  # of another release
