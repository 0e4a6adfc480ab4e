"""Events in, actions out: the loop between the pure steps and Kamailio.

A record is changed under its lock by one step; the actions are carried out after the lock is given back, because some
of them wait for the relay.  What an action leads to is the next event.  Only what a call that goes on gives back to the
relay is gone before the lock is: another exchange may reserve the same medium next.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial

from kemi.adapters.calls.executor import Executor
from kemi.adapters.log import is_written, log_event
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.core.call import history
from kemi.core.call.actions import Action, DropReply, ForwardReply, ReleaseMedia
from kemi.core.call.events import (
    AnsweredAhead,
    Event,
    ImsReply,
    IncomingReserved,
    MediaReserved,
    WicReply,
)
from kemi.core.call.flow import handle
from kemi.core.call.from_page.setup import reserved_too_late
from kemi.core.call.lifetime.ending import answered_too_late
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.state.calls import CallStore


class Dispatcher:
    """Runs calls."""

    def __init__(self, settings: CallSettings, calls: CallStore, executor: Executor) -> None:
        self._settings = settings
        self._calls = calls
        self._executor = executor

    def dispatch(self, call_id: str, event: Event) -> bool:
        """Give a call an event and do what follows; False when there is no such call."""
        return self._dispatch(call_id, [event])

    def carry_out(self, call_id: str, actions: list[Action]) -> None:
        """Do the first actions of a new call, and what follows."""
        self._dispatch(call_id, self._carry_out(call_id, actions))

    def _dispatch(self, call_id: str, events: list[Event]) -> bool:
        known, first = False, next(iter(events), None)
        undecided = isinstance(first, WicReply | ImsReply)
        while events:
            actions = self._calls.change(call_id, partial(self._steps, events))
            if actions is None:
                self._too_late(call_id, events)
                if known and undecided and isinstance(first, WicReply | ImsReply):
                    self._carry_out(call_id, answered_too_late(call_id, first.reply))
                return known
            known = True
            undecided = undecided and not any(isinstance(one, ForwardReply | DropReply) for one in actions)
            events = self._carry_out(call_id, actions)
        return known

    def _too_late(self, call_id: str, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, MediaReserved | IncomingReserved | AnsweredAhead):
                self._carry_out(call_id, reserved_too_late(call_id, event))

    def _steps(self, events: list[Event], record: CallRecord) -> list[Action]:
        """Handle what came of one action after the other, in one go; returns what is to be done after the lock is given
        back."""
        if len(events) == 1:
            actions = self._step(events[0], record)
        else:
            actions = [action for event in events for action in self._step(event, record)]
        if record.ended:
            return actions
        return [action for action in actions if not self._given_back(record, action)]

    def _given_back(self, record: CallRecord, action: Action) -> bool:
        if not isinstance(action, ReleaseMedia):
            return False
        self._executor.perform(record.key, action)
        return True

    def _step(self, event: Event, record: CallRecord) -> list[Action]:
        NOTES.step(record)
        before = (record.dialog, record.wic_offer_answer, record.ims_offer_answer, record.media_state)
        actions = handle(record, event, self._settings)
        progress = history.progress(record, event, before[0])
        if progress is not None:
            actions = [*actions, replace(progress, at=time.time())]
        if before[0] is not record.dialog:
            if record.dialog is Dialog.CONFIRMED:
                record.answered_at = time.time()
            elif record.ended:
                actions = [*actions, history.ended(record, event, actions)]
        after = (record.dialog, record.wic_offer_answer, record.ims_offer_answer, record.media_state)
        NOTES.stepped(record, event, before != after)
        if before != after and is_written(logging.INFO):
            log_event(
                logging.INFO,
                "call_state_changed",
                call_id=record.key,
                by=type(event).__name__,
                dialog=record.dialog.value,
                wic=record.wic_offer_answer.value,
                ims=record.ims_offer_answer.value,
                media=record.media_state.value,
            )
        return actions

    def _carry_out(self, call_id: str, actions: list[Action]) -> list[Event]:
        events = []
        for action in actions:
            event = self._executor.perform(call_id, action)
            if event is not None:
                events.append(event)
        return events
