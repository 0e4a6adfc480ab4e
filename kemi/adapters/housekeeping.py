"""What happens without a message: connections that end, times that run out, commands of the web API, Redis.

Ten times a second, and events ten times as often, in a process of its own, which is the only one that may wait for
Redis, and never for long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import msgspec

from kemi.adapters.calls.adoption import Adoption, claimed
from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.calls.executor import Executor
from kemi.adapters.calls.history import CallHistory
from kemi.adapters.calls.progress import CallProgress
from kemi.adapters.calls.questions import Questions
from kemi.adapters.doors.bans import BanKeeper
from kemi.adapters.doors.forbidding import Forbidding, PageOf
from kemi.adapters.doors.hiding import DueRefusals
from kemi.adapters.faults import Faults
from kemi.adapters.kamailio import connections
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import Measuring
from kemi.adapters.monitoring.trace_figures import TraceFigures
from kemi.adapters.monitoring.traces import TraceKeeper
from kemi.adapters.network.people import PeopleKeeper
from kemi.adapters.network.routing import RouteKeeper
from kemi.adapters.notices import Notices
from kemi.adapters.pages.announcing import Announcing
from kemi.adapters.pages.elsewhere import Elsewhere
from kemi.adapters.pages.leaving import Leaving
from kemi.adapters.pages.outage import Outage
from kemi.adapters.pages.subscriptions import SubscriptionKeeper
from kemi.adapters.relay.media_watch import MediaWatch
from kemi.adapters.shared_state import SharedState
from kemi.adapters.trunks.keeper import TrunkKeeper
from kemi.adapters.turns import TURNS
from kemi.core.call.events import (
    Due,
    Event,
    FlowClosed,
    RegistrationEnded,
    TimerFired,
)
from kemi.core.call.states import advance
from kemi.core.pace import is_early
from kemi.core.registration import Registration, RegistrationSettings
from kemi.core.registration.own_requests import deregister
from kemi.core.registration.states import (
    BINDING,
    CORE_FAILED,
    ENDINGS,
    IDLE,
    LEAVING,
    RENEW,
    BindingEvent,
    BindingState,
    Cause,
)
from kemi.settings import Settings
from kemi.state.call_history import FinishedCall
from kemi.state.calls import CallStore
from kemi.state.commands import EndCalls, EndRegistration, ListCalls, Logout
from kemi.state.deadlines import Deadlines
from kemi.state.dialogs import DialogStore
from kemi.state.flows import Ended, FlowStore
from kemi.state.schedule import Schedule

EVERY_S: Final = 0.1
"""How often all is looked at; the timer comes more often, for what others wait for (kamailio/params/state.cfg)."""
IDLE_CHECK_S: Final = 1.0
LOOK_AGAIN_S: Final = 1.0
ROUNDING_S: Final = 1.0
"""A core counts in whole seconds: a difference below is none."""
MOST_ALONE: Final = 10
"""Of more pages that lose their connections at once it is not their own networks that have changed."""

NewToken = Callable[[], str]
Part = Callable[[float], object]


class Housekeeping:
    """The work of the housekeeping process."""

    def __init__(
        self,
        settings: Settings,
        registration_settings: RegistrationSettings,
        *,
        flows: FlowStore,
        calls: CallStore,
        dialogs: DialogStore,
        schedule: Schedule,
        dispatcher: Dispatcher,
        executor: Executor,
        keeper: SubscriptionKeeper,
        shared: SharedState,
        watch: MediaWatch,
        history: CallHistory,
        progress: CallProgress,
        notices: Notices,
        forbidding: Forbidding,
        page_of: PageOf,
        routes: RouteKeeper | None,
        people: PeopleKeeper | None,
        traces: TraceKeeper | None,
        figures: TraceFigures,
        trunks: TrunkKeeper,
        measuring: Measuring,
        adoption: Adoption,
        elsewhere: Elsewhere,
        leaving: Leaving,
        outage: Outage,
        refusals: DueRefusals,
        new_token: NewToken,
    ) -> None:
        self._settings = settings
        self._registration_settings = registration_settings
        self._flows = flows
        self._calls, self._dialogs = calls, dialogs
        self._schedule = schedule
        self._dispatcher = dispatcher
        self._executor = executor
        self._keeper = keeper
        self._shared = shared
        self._watch = watch
        self._history = history
        self._progress = progress
        self._notices = notices
        self._forbidding = forbidding
        self._page_of = page_of
        self._routes, self._people = routes, people
        self._traces, self._figures = traces, figures
        latest_figures = traces.latest_figures if traces is not None else lambda _: {}
        self._questions = Questions(settings.node_name, calls, latest_figures, shared)
        self._trunks = trunks
        self._measuring = measuring
        self._adoption, self._elsewhere = adoption, elsewhere
        self._leaving = leaving
        self._bans = BanKeeper(settings, flows, self._close)
        self._new_token = new_token
        self._faults = Faults()
        self._deadlines = Deadlines()
        self._announcing = Announcing(notices, measuring)
        self._next_all = 0.0
        self._next_idle_check = 0.0
        self._began = False
        # Somebody waits for these: they go before what may take longer than the time between two ticks.
        self._first: tuple[Part, ...] = (refusals.due_refusals, self._call_progress, shared.ship)
        self._first_and_calls: tuple[Part, ...] = (*self._first, self._finished_calls)
        self._all: tuple[Part, ...] = (
            *self._first,
            self._begin, self._lost_connections, self._moved_pages, self._commands, self._questions.answer,
            outage.keep_registrations, self._due_bindings, self._idle_connections, self._banned,
            self._pages_to_send_away, self._ended_bindings, self._call_timers, self._lost_media,
            self._finished_calls, self._changes, shared.ship, shared.ship_nodes, shared.trim_calls,
            self._routing, self._accounts, self._trunks_due, self._traced_calls, self._measures,
            self._other_gateways,
        )  # fmt: skip

    def tick(self, now: float) -> None:
        """Do what is to be done at this moment; one part's trouble must not keep the others from their turn."""
        began = TURNS.begin()
        for part in self._parts(now):
            try:
                part(now)
            except Exception as error:
                self._faults.note(part.__name__.strip("_"), error)
        self._measuring.took(began)

    def _parts(self, now: float) -> tuple[Part, ...]:
        if is_early(now, self._next_all, EVERY_S):
            return self._first_and_calls if self._history.is_behind else self._first
        self._next_all = now + EVERY_S
        return self._all

    def _measures(self, now: float) -> None:
        shared = self._shared
        self._measuring.tick(
            now, len(self._announcing), redis=shared.is_up, memory=shared.memory, waiting=shared.waiting()
        )

    def _routing(self, now: float) -> None:
        if self._routes is not None:
            self._routes.tick(self._shared.routing_version, now)

    def _accounts(self, now: float) -> None:
        if self._people is not None:
            self._people.tick(now)

    def _trunks_due(self, now: float) -> None:
        self._trunks.tick(now)
        self._trunks.ship(now, self._shared)

    def _traced_calls(self, now: float) -> None:
        if self._traces is not None:
            self._traces.work(now)
            self._shared.note((), (), self._figures.look(now, self._traces))
            self._traces.ship(now, self._shared.ship_traces)

    def _away_until(self, now: float) -> float:
        return now + self._settings.timers.flow_recovery_s

    def _begin(self, now: float) -> None:
        """Look at what a restart left, once."""
        if self._began or not self._shared.restore(now, self._away_until(now)):
            return
        self._began = True
        bindings = dict(self._flows.bindings())
        for key, binding in bindings.items():
            self._announcing.is_known(key, binding)
        self._keeper.restore(bindings)
        for key, binding in bindings.items():
            self._deadlines.put(key, binding.due_at)
        for call_id in self._calls.adrift():
            self._dispatch(call_id, FlowClosed())

    # ------------------------------------------------------------ connections

    def _lost_connections(self, now: float) -> None:
        lost = set(self._flows.take_closed())
        for connection_id in lost:
            self._flows.lose(connection_id, self._away_until(now))
        if lost:
            closed = FlowClosed(with_many=len(lost) > MOST_ALONE)
            for call_id in self._calls.on_connections(lost):
                self._dispatch(call_id, closed)

    def _moved_pages(self, now: float) -> None:
        for key in self._elsewhere.look(now):
            self._announcing.moved(key)
        self._elsewhere.let_go_on(now)

    def _pages_to_send_away(self, now: float) -> None:
        for connection_id in self._leaving.to_send_away(now):
            self._close(connection_id, LEAVING)

    def _idle_connections(self, now: float) -> None:
        if is_early(now, self._next_idle_check, IDLE_CHECK_S):
            return
        self._next_idle_check = now + IDLE_CHECK_S
        for connection_id, waiting in list(self._flows.unregistered()):
            if waiting.is_overdue(self._settings.timers.unregistered_s, now):
                log_event(logging.INFO, "connection_idle", connection=connection_id)
                self._close(connection_id, CORE_FAILED if waiting.core_failed else IDLE)

    def _banned(self, now: float) -> None:
        self._bans.tick(now, self._shared)

    def _close(self, connection_id: str, reason: tuple[int, str]) -> None:
        """Close a connection; from now on nothing is delivered to it, whether or not the page answers."""
        connections.close_connection(connection_id, *reason)
        self._flows.note_closed(connection_id)

    # ------------------------------------------------------------ bindings

    def _commands(self, now: float) -> None:
        commands = self._shared.poll(now)
        self._adopt((), now)
        for command in commands:
            if isinstance(command, Logout):
                self._flows.log_out(command.session, command.at, now)
            elif isinstance(command, EndRegistration):
                self._flows.end(command.key, Cause.REMOVED, now)
            elif isinstance(command, ListCalls):
                self._questions.ask(command, now)
            else:
                self._end_calls(command, now)

    def _end_calls(self, order: EndCalls, now: float) -> None:
        found = set(self._calls.of_call_id(order.call_id) if order.call_id else ())
        if order.impu:
            of_identity = set(self._calls.of_identity(order.impu))
            found = found & of_identity if order.call_id else of_identity
        for call_id in found:
            self._forbid(call_id, f"ended by the {order.by}", now)

    def _due_bindings(self, now: float) -> None:
        for key in self._deadlines.due(now):
            binding = self._flows.binding(key)
            if binding is None:
                continue
            if binding.due_at > now:
                self._deadlines.put(key, binding.due_at)
            elif binding.state is BindingState.AWAY and self._elsewhere.is_blind:
                self._deadlines.put(key, now + LOOK_AGAIN_S)
            elif binding.expires_at <= now:
                cause = Cause.GRANT_ENDED if binding.core_expires_at > now + ROUNDING_S else Cause.EXPIRED
                self._flows.end(key, cause, now, lambda found: found.expires_at <= now)
            elif binding.state is BindingState.AWAY:
                self._give_up(key, binding, now)
            else:
                self._make_renew(key, binding, now)

    def _give_up(self, key: str, binding: Registration, now: float) -> None:
        """The page did not come back.  With a token we de-register for it; with digest only the core's time helps."""

        def still_away(found: Registration) -> bool:
            return found.state is BindingState.AWAY and found.away_until <= now

        if binding.grant.scheme == "bearer":
            self._flows.end(key, Cause.LEFT, now, still_away)
            return

        def abandoned(found: Registration) -> Registration | None:
            if not still_away(found):
                return None
            found.state = advance(BINDING, found.state, BindingEvent.GRACE_OVER)
            return found

        self._flows.change(key, abandoned)

    def _make_renew(self, key: str, binding: Registration, now: float) -> None:
        """The core cut the registration short, and a page hears of that only by having to connect again."""

        def renewing(found: Registration) -> Registration | None:
            if not found.renew_at or found.renew_at > now:
                return None
            found.renew_at = 0.0
            return found

        if self._flows.change(key, renewing) is not None:
            self._close(binding.connection_id, RENEW)

    def _ended_bindings(self, now: float) -> None:
        for ended in self._flows.take_ended():
            self._safely("ended_binding", lambda ended=ended: self._end(ended, now))  # type: ignore[misc]

    def _end(self, ended: Ended, now: float) -> None:
        binding, cause = ended.registration, ended.cause
        ending = ENDINGS[cause]
        self._measuring.deregistered(cause.value)
        log_event(logging.INFO, "registration_ended", identity=binding.address_of_record, why=cause.value)
        self._shared.note((), (), self._announcing.ended(binding, cause, now))
        flow = self._flows.flow(binding.connection_id) if binding.connection_id else None
        connections = {one for one in (binding.connection_id, binding.former_connection_id) if one}
        others = self._flows.other_flows(binding, now)
        for call_id in self._calls.of_page(binding.owner, connections, binding.contact, others):
            self._dispatch(call_id, RegistrationEnded(cause.value, self._page_of(call_id)[0]))
        if ending.on_behalf and binding.grant.scheme == "bearer" and binding.core_expires_at > now:
            request = deregister(binding, self._registration_settings, self._new_token())
            self._executor.perform(binding.sent.call_id, request)
        if ending.close is not None and flow is not None:
            self._close(flow.connection_id, ending.close)
        if self._flows.successor(binding.owner, binding.contact, now) is None:
            self._dialogs.end_of_page(binding.owner, connections, binding.contact, now)

    def _changes(self, now: float) -> None:
        """Follow the bindings that were written or removed: times, subscriptions, events, Redis."""
        keys = self._flows.take_changed()
        events = []
        here = []
        for key in keys:
            binding = self._flows.binding(key)
            self._elsewhere.changed(key, binding)
            if binding is not None:
                here.append(binding)
                self._deadlines.put(key, binding.due_at)
            self._keeper.binding_changed(key, binding, now)
            events += self._announcing.changed(key, binding, now)
        self._shared.note(keys, self._keeper.work(now), events)
        self._adopt(here, now)

    def _adopt(self, bindings: Iterable[Registration], now: float) -> None:
        """Calls of other gateways come here: given ones, and those of these pages, whose gateway may have died."""
        calls = claimed(self._adoption, bindings, now)
        for call_id in self._shared.take_handed_over(now, calls):
            self._dispatch(call_id, FlowClosed(came_here=not self._adoption.arrived(call_id)))

    def _other_gateways(self, now: float) -> None:
        if self._shared.is_up and self._adoption.look(now):
            self._adopt([binding for _, binding in self._flows.bindings()], now)

    # ------------------------------------------------------------ calls

    def _call_timers(self, now: float) -> None:
        for call_id, due in self._schedule.take_due(now):
            if due is Due.TOO_LONG:
                self._forbid(call_id, "longer than a call may be", now)
                continue
            is_there, flow = self._page_of(call_id)
            if due is Due.FLOW_RECOVERY and not is_there and self._elsewhere.is_blind:
                self._schedule.put(call_id, due, now + LOOK_AGAIN_S)
            else:
                self._dispatch(call_id, TimerFired(due, is_there, flow))

    def _lost_media(self, now: float) -> None:
        for call_id, lost in self._watch.look(now):
            is_there, flow = self._page_of(call_id)
            self._dispatch(call_id, replace(lost, flow_alive=is_there, successor=flow))

    def _forbid(self, call_id: str, why: str, now: float) -> None:
        self._safely("call_forbidden", lambda: self._forbidding.end(call_id, why, now), call_id)

    def _call_progress(self, _now: float) -> None:
        told = self._progress.work()
        if told.events or told.unkept:
            self._shared.note((), (), told.events, told.unkept)

    def _finished_calls(self, now: float) -> None:
        ended = self._history.work(now)
        # A worker notes an end last: what it noted before is told before.
        self._safely("call_progress", lambda: self._call_progress(now))
        calls = self._progress.finished(ended)
        self._shared.finished(calls)
        if self._traces is not None:
            self._traces.finished(calls)
        self._measuring.finished(calls)
        events = (self._notices.text("call_ended", now, **_told(call)) for call in calls)
        self._shared.note((), (), events)

    def _dispatch(self, call_id: str, event: Event) -> None:
        self._safely(type(event).__name__, lambda: self._dispatcher.dispatch(call_id, event), call_id)

    def _safely(self, what: str, work: Callable[[], object], call_id: str = "") -> None:
        """One call's trouble must not keep the others from their turn."""
        try:
            work()
        except Exception as error:
            self._faults.note(what, error, call_id)


def _told(call: FinishedCall) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(call).items() if name != "node"}
