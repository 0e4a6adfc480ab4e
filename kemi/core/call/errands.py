"""Several changes at the relay, one after the other, and what follows the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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


def run_errands(
    record: CallRecord,
    errands: Sequence[Errand],
    finish: Finish,
    fail: Fail,
    settings: CallSettings,
    renewed: Mapping[str, Renewed] | None = None,
) -> list[act.Action]:
    """Return the first errand's action; its event leads to the next one, and so on to ``finish``.  One that fails leads
    to ``fail`` and to nothing else.

    Where the exchange that is open now is over by then, the steps find none: one that began meanwhile is not theirs.
    """
    known = renewed or {}
    if not errands:
        return finish(record, known, settings)
    first, *others = errands

    def done(record: CallRecord, event: Event, settings: CallSettings) -> list[act.Action]:
        more = event.renewed if isinstance(event, MediaRenewed) else {}
        return run_errands(record, others, finish, fail, settings, {**known, **more})

    opened = _name_of(record)
    return [replace(first, bearer=Continuation(_within(opened, done), _within(opened, fail)))]


def _within(opened: _Name, step: _Step[_E]) -> _Step[_E]:
    def run(record: CallRecord, event: _E, settings: CallSettings) -> list[act.Action]:
        if opened is None or _name_of(record) == opened:
            return step(record, event, settings)
        others, record.exchange = record.exchange, None
        actions = step(record, event, settings)
        record.exchange = others
        return actions

    return run


def _name_of(record: CallRecord) -> _Name:
    opened = record.exchange
    return None if opened is None else (opened.offerer, opened.method, opened.cseq)
