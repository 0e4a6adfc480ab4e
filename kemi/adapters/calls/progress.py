"""How far calls are, and which keys far ends press: a worker leaves a note, housekeeping makes events of the notes.

A digit is told to those who listen at this moment and kept nowhere: it may be a PIN.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kemi.adapters.notices import Notices
from kemi.core.call.actions import RecordProgress, TellDigit
from kemi.core.call.history import ANSWERED, ELSEWHERE, RINGING, STARTED
from kemi.state import call_history
from kemi.state.call_history import FinishedCall
from kemi.state.records import taken
from kemi.state.table import Table

MOST_CALLS: Final = 20_000
"""Of which is remembered what was told; the oldest are forgotten, and may be told of again."""
_RANKS: Final = {STARTED: 1, RINGING: 2, ANSWERED: 3, ELSEWHERE: 4}
_STEP, _DIGIT = "step", "digit"


class ProgressNotes:
    """The worker's side."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def progress(self, step: RecordProgress, now: float) -> None:
        """Note how far a call is."""
        self._note(now, _STEP, step)

    def digit(self, pressed: TellDigit, now: float) -> None:
        """Note which key the far end has pressed."""
        self._note(now, _DIGIT, pressed)

    def _note(self, now: float, kind: str, what: RecordProgress | TellDigit) -> None:
        self._table.set(secrets.token_hex(8), msgspec.json.encode((now, kind, what)).decode())


@dataclass(slots=True)
class Told:
    """What there is to be told."""

    events: list[str] = field(default_factory=list)
    """For the stream."""
    unkept: list[str] = field(default_factory=list, repr=False)
    """For those who listen now."""


class CallProgress:
    """The housekeeping process's side."""

    def __init__(
        self, table: Table, notices: Notices, reached: Callable[[RecordProgress, float], None]
    ) -> None:
        """``reached`` is told of each new stage of a call, and when that was."""
        self._table = table
        self._notices = notices
        self._reached = reached
        self._ranks: dict[str, int] = {}
        self._note = msgspec.json.Decoder(tuple[float, str, msgspec.Raw])
        self._step = msgspec.json.Decoder(RecordProgress)
        self._digit = msgspec.json.Decoder(TellDigit)

    def work(self) -> Told:
        """Take what the workers noted, in the order in which it happened."""
        told = Told()
        notes = sorted((self._note.decode(text) for _, text in taken(self._table)), key=lambda note: note[0])
        for at, kind, what in notes:
            if kind == _DIGIT:
                told.unkept.append(self._digit_text(self._digit.decode(what), at))
            elif (text := self._step_text(self._step.decode(what), at)) is not None:
                told.events.append(text)
        return told

    def finished(self, calls: Iterable[FinishedCall]) -> list[FinishedCall]:
        """Forget calls that are over; return them, and why those ended that another device has answered."""
        found = []
        for call in calls:
            elsewhere = self._ranks.pop(call.key, 0) == _RANKS[ELSEWHERE]
            is_cancelled = elsewhere and not call.answered_at
            found.append(msgspec.structs.replace(call, why=call_history.ELSEWHERE) if is_cancelled else call)
        return found

    def _step_text(self, step: RecordProgress, at: float) -> str | None:
        """Return the event; None for what was told before, as a call rings at several forks."""
        rank = _RANKS[step.state]
        if rank <= self._ranks.get(step.key, 0):
            return None
        if step.key not in self._ranks and len(self._ranks) >= MOST_CALLS:
            del self._ranks[next(iter(self._ranks))]
        self._ranks[step.key] = rank
        self._reached(step, at)
        if step.state == ELSEWHERE:
            return None  # the call's end says so
        return self._notices.text(
            f"call_{step.state}",
            at,
            key=step.key,
            call_id=step.call_id,
            impu=step.owner,
            peer=step.peer,
            direction="from_page" if step.from_page else "to_page",
        )

    def _digit_text(self, pressed: TellDigit, at: float) -> str:
        return self._notices.text(
            "dtmf",
            at,
            impu=pressed.owner,
            call_id=pressed.call_id,
            digit=pressed.digit,
            duration_ms=pressed.duration_ms,
        )
