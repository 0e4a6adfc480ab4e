"""Several changes at the relay, one after the other, and what follows the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kemi.core.call import actions as act
from kemi.core.call.events import Continuation, Event, MediaFailed, MediaRenewed, Renewed
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings

Errand = act.RenewMedia | act.GateMedia | act.ConnectMedia | act.AcceptReverse | act.ReofferFromIms
Finish = Callable[[CallRecord, Mapping[str, Renewed], CallSettings], list[act.Action]]
"""Gets what the relay said anew, per kind."""
Fail = Callable[[CallRecord, MediaFailed, CallSettings], list[act.Action]]


def run_errands(
    record: CallRecord,
    errands: Sequence[Errand],
    finish: Finish,
    fail: Fail,
    settings: CallSettings,
    renewed: Mapping[str, Renewed] | None = None,
) -> list[act.Action]:
    """Return the first errand's action; its event leads to the next one, and so on to ``finish``.  One that fails leads
    to ``fail`` and to nothing else."""
    known = renewed or {}
    if not errands:
        return finish(record, known, settings)
    first, *others = errands

    def done(record: CallRecord, event: Event, settings: CallSettings) -> list[act.Action]:
        more = event.renewed if isinstance(event, MediaRenewed) else {}
        return run_errands(record, others, finish, fail, settings, {**known, **more})

    return [replace(first, bearer=Continuation(done, fail))]
