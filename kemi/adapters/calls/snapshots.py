"""Answered calls outlive the gateway's processes: what Redis keeps of them, and what a restart makes of that."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from kemi.adapters.calls.history import CallNotes
from kemi.adapters.log import log_event
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.adapters.trunks.room import TrunkRoom
from kemi.core.call.actions import RecordEnd
from kemi.core.call.events import Due
from kemi.core.call.history import GATEWAY, peer_of
from kemi.core.call.lifetime.revival import revive
from kemi.core.errors import LocalProtocolError
from kemi.state.calls import CallStore, record_from_text
from kemi.state.records import taken
from kemi.state.schedule import Schedule, Wait
from kemi.state.table import Table
from kemi.state.trunks import LONGEST_S, TrunkStore

NOT_TAKEN_UP: Final = "not taken up again after a restart of the gateway"
_KEPT_WAITS = (Wait.LIFETIME, Wait.SESSION, Wait.PAGE_SESSION)


class KeptCall(msgspec.Struct):
    """A call as Redis keeps it."""

    record: msgspec.Raw
    waits: dict[str, str]
    """What it waits for in the long run: kind of waiting -> time and what is due then."""


class _LostIncoming(msgspec.Struct):
    """The same of who calls."""

    withheld: bool = False


class _LostOutbound(msgspec.Struct):
    trunk: str = ""


class _LostRecord(msgspec.Struct):
    """What of a call record is the same in all releases."""

    call_id: str
    owner: str
    target_uri: str
    since: float
    answered_at: float
    request_uri: str = ""
    dialled: str = ""
    remote_identity: str = ""
    incoming: _LostIncoming | None = None
    node: str = ""
    outbound: _LostOutbound | None = None


class _Lost(msgspec.Struct):
    """A kept call that nobody can go on with."""

    record: _LostRecord


def _is_old(answered_at: float) -> bool:
    """Whether Redis has an older state, of a call that is over long since."""
    return time.time() - answered_at >= LONGEST_S


class CallSnapshots:
    """The housekeeping process's view of calls that are to outlive it."""

    def __init__(
        self,
        calls: CallStore,
        changed: Table,
        schedule: Schedule,
        trunks: TrunkStore,
        room: TrunkRoom,
        notes: CallNotes,
    ) -> None:
        self._calls = calls
        self._notes = notes
        self._changed = changed
        self._schedule = schedule
        self._trunks = trunks
        self._room = room

    def take_changed(self) -> list[str]:
        """Return the names of the answered calls that have changed since the last time."""
        return [key for key, _ in taken(self._changed)]

    def all(self) -> list[str]:
        """Return the names of all calls."""
        return [*self._calls.keys(), *self._trunks.kept_names()]

    def text(self, key: str) -> str | None:
        """Return what is to be kept of a call now; None: nothing."""
        if self._trunks.is_kept_name(key):
            return self._trunks.kept_text(key)
        text = self._calls.answered_text(key)
        if text is None:
            return None
        waits = self._schedule.waits(key, _KEPT_WAITS)
        return msgspec.json.encode(KeptCall(msgspec.Raw(text.encode()), waits)).decode()

    def give(self, key: str) -> str | None:
        """Forget a call that another gateway is to have; return what that gets, None: it is not one to be kept."""
        with self._calls.locked(key):
            text = self.text(key)
            if text is not None:
                self._calls.forget(key)
        if text is not None:
            self._schedule.forget(key)
        return text

    def restore(self, stored: Mapping[str, str]) -> list[str]:
        """Take over the calls of before a restart; return the names of those of which nothing is to be kept."""
        dropped, kept = [], 0
        for key, text in stored.items():
            restore = self._restore_trunks if self._trunks.is_kept_name(key) else self._restore
            if restore(key, text):
                kept += 1
            else:
                dropped.append(key)
        if stored:
            log_event(logging.WARNING, "calls_restored", kept=kept, of=len(stored))
        return dropped

    def adopt(self, key: str, text: str) -> bool:
        """Take over a call of another gateway; the core hears by a target refresh where it is now."""
        if not self._restore(key, text):
            return False
        self._schedule.put(key, Due.TARGET_REFRESH, 0.0)
        self._changed.set(key, "1")
        return True

    def _restore(self, key: str, text: str) -> bool:
        try:
            kept = msgspec.json.decode(text, type=KeptCall)
            record = record_from_text(bytes(kept.record).decode())
        except (msgspec.MsgspecError, LocalProtocolError) as error:  # of another release
            log_event(logging.WARNING, "call_not_restored", call_id=key, detail=str(error))
            self._note_end(key, text)
            return False
        if _is_old(record.answered_at) or record.key != key:
            return False
        if not revive(record):
            self._note_end(key, text)
            return False
        if not self._calls.create(record):
            return False
        self._schedule.restore(key, kept.waits)
        if record.trunk is not None:
            self._room.back(record.trunk.trunk, key)
        NOTES.begins(record)
        return True

    def _note_end(self, key: str, text: str) -> None:
        """See to it that the history has an answered call that cannot go on."""
        try:
            record = msgspec.json.decode(text, type=_Lost).record
        except msgspec.MsgspecError:
            return
        if _is_old(record.answered_at):
            return
        end = RecordEnd(
            key=key,
            call_id=record.call_id,
            owner=record.owner,
            peer=peer_of(record),
            from_page=record.incoming is None,
            since=record.since,
            answered_at=record.answered_at,
            by=GATEWAY,
            why=NOT_TAKEN_UP,
            status=0,
            relay=record.node,
            kinds=(),
            trunk=record.outbound.trunk if record.outbound is not None else "",
        )
        NOTES.lost(end)
        self._notes.ended(end, time.time())

    def _restore_trunks(self, name: str, text: str) -> bool:
        """Take over a call that a trunk began: what its next message is changed back by."""
        call = self._trunks.restore(name, text, time.time())
        if call is None:
            return False
        self._room.back(call.trunk, self._trunks.call_id_of(name))
        return True
