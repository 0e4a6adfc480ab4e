"""Several changes at the relay, one after the other, and what follows the last one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from kemi.core.call import actions as act
from kemi.core.call.events import Continuation, Event, MediaFailed, MediaRenewed, Renewed
from kemi.core.call.record import CallRecord, Offerer
from kemi.core.call.settings import CallSettings

Errand = act.RenewMedia | act.GateMedia | act.ConnectMedia | act.AcceptReverse | act.ReofferFromIms
Finish = Callable[[CallRecord, Mapping[str, Renewed], CallSettings], list[act.Action]]
"""Gets what the relay said anew, per kind."""
Fail = Callable[[CallRecord, MediaFailed, CallSettings], list[act.Action]]
_E = TypeVar("_E", bound=Event)
_Step = Callable[[CallRecord, _E, CallSettings], list[act.Action]]
_Name = tuple[Offerer, str, int] | None


@dataclass(frozen=True, slots=True)
class _Errands:
    """The errands of one exchange, or of none."""

    opened: _Name
    finish: Finish
    fail: Fail

    def go_on(
        self,
        record: CallRecord,
        errands: Sequence[Errand],
        known: Mapping[str, Renewed],
        settings: CallSettings,
    ) -> list[act.Action]:
        if not errands:
            return self.finish(record, known, settings)
        first, *others = errands

        def done(record: CallRecord, event: Event, settings: CallSettings) -> list[act.Action]:
            more = event.renewed if isinstance(event, MediaRenewed) else {}
            return self.go_on(record, others, {**known, **more}, settings)

        def failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
            record.relay_behind = True
            return self.fail(record, event, settings)

        return [replace(first, bearer=Continuation(self._alone(done), self._alone(failed)))]

    def _alone(self, step: _Step[_E]) -> _Step[_E]:
        """Let a step see no other exchange than its own."""

        def run(record: CallRecord, event: _E, settings: CallSettings) -> list[act.Action]:
            if self.opened is None or _name_of(record) == self.opened:
                return step(record, event, settings)
            others, record.exchange = record.exchange, None
            actions = step(record, event, settings)
            record.exchange = others
            return actions

        return run


def run_errands(
    record: CallRecord, errands: Sequence[Errand], finish: Finish, fail: Fail, settings: CallSettings
) -> list[act.Action]:
    """Return the first errand's action; its event leads to the next one, and so on to ``finish``.  One that fails leads
    to ``fail`` and to nothing else, and the relay is told again what holds then.

    Where the exchange that is open now is over by then, the steps find none: one that began meanwhile is not theirs.
    """
    return _Errands(_name_of(record), finish, fail).go_on(record, errands, {}, settings)


def run_on(
    record: CallRecord, errands: Sequence[Errand], finish: Finish, fail: Fail, settings: CallSettings
) -> list[act.Action]:
    """The same for what is part of no exchange, whichever is open now."""
    return _Errands(None, finish, fail).go_on(record, errands, {}, settings)


def run_alone(record: CallRecord, errands: Sequence[Errand], settings: CallSettings) -> list[act.Action]:
    """The same where nothing follows, and one that fails is noted."""
    return run_errands(record, errands, _nothing_more, noted, settings)


def _nothing_more(
    _record: CallRecord, _renewed: Mapping[str, Renewed], _settings: CallSettings
) -> list[act.Action]:
    return []


def noted(record: CallRecord, event: MediaFailed, _settings: CallSettings) -> list[act.Action]:
    """Write down that the relay has refused."""
    return [failed_note(record, event)]


def failed_note(record: CallRecord, event: MediaFailed) -> act.Note:
    """Return the log line of a relay that has refused."""
    fields = {"status": event.error.status, "detail": event.error.detail, "node": record.node}
    return act.Note("media_failed", logging.ERROR, fields)


def _name_of(record: CallRecord) -> _Name:
    opened = record.exchange
    return None if opened is None else (opened.offerer, opened.method, opened.cseq)
