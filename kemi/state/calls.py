"""Call records: one JSON text for each Call-ID, changed under its lock only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, TypeVar

import msgspec

from kemi.core.call.record import SCHEMA, CallRecord
from kemi.core.call.states import Dialog
from kemi.core.errors import LocalProtocolError
from kemi.core.identity import one_spelling
from kemi.core.registration import same_contact
from kemi.state.index import Index
from kemi.state.table import Table

T = TypeVar("T")
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(CallRecord)
_ON, _OWNED, _NAMED = "on ", "of ", "id "
"""What entries of the index begin with: connection, owner, Call-ID."""


class _Indexed(msgspec.Struct):
    """What of a record it is found by."""

    connection_id: str
    owner: str
    call_id: str


class _Progress(msgspec.Struct):
    """What of a record says whether the call runs: a fifth of what it takes to read all of it."""

    dialog: Dialog
    answered_at: float


_INDEXED = msgspec.json.Decoder(_Indexed)
_PROGRESS = msgspec.json.Decoder(_Progress)


def _values(key: str, record: CallRecord | _Indexed) -> Iterator[str]:
    """Return the entries of a call, but none for what can be told without."""
    yield _OWNED + record.owner
    if record.connection_id:
        yield _ON + record.connection_id
    if key != record.call_id:
        yield _NAMED + record.call_id


def record_to_text(record: CallRecord) -> str:
    """Return the record as JSON."""
    return _ENCODER.encode(record).decode()


def record_from_text(text: str) -> CallRecord:
    """Return the record; raise LocalProtocolError when it is not one of ours."""
    try:
        record = _DECODER.decode(text)
    except msgspec.MsgspecError as error:
        raise LocalProtocolError(f"unreadable call record: {error}") from error
    if record.schema != SCHEMA:
        raise LocalProtocolError(f"call record of schema {record.schema}, this code writes {SCHEMA}")
    return record


class CallStore:
    """The calls of this node, by ``CallRecord.key``; found by connection and owner of their page, and by Call-ID, too.

    The records a process wrote last it keeps beside their texts: most changes of a call follow another one in the same
    process, and what nobody else has changed meanwhile need not be read again.
    """

    _MOST_KEPT: Final = 64

    def __init__(self, table: Table, index: Table, changed: Table | None = None) -> None:
        """``changed`` gets the names of answered calls that were changed."""
        self._table = table
        self._index = Index(index)
        self._changed = changed
        self._kept: dict[str, tuple[str, CallRecord]] = {}

    def is_running(self, key: str) -> bool:
        """Whether there is a call of this name that is not over."""
        text = self._table.get(key)
        return text is not None and _PROGRESS.decode(text).dialog is not Dialog.TERMINATED

    def create(self, record: CallRecord) -> bool:
        """Write a new record; False when there is one of this name."""
        key = record.key
        with self._table.locked(key):
            if self._table.has(key):
                return False
            text = record_to_text(record)
            for value in _values(key, record):
                self._index.add(value, key)
            self._table.set(key, text)
        self._keep(key, text, record)
        return True

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Keep other processes away from a call; may be nested."""
        return self._table.locked(key)

    def knows(self, key: str) -> bool:
        """Whether there is such a call."""
        return self._table.has(key)

    def get(self, call_id: str) -> CallRecord | None:
        """Return a copy of the record, or None."""
        text = self._table.get(call_id)
        return None if text is None else record_from_text(text)

    def seen(self, call_id: str) -> CallRecord | None:
        """Return the record to look at and no more, or None: it is the one that the next change begins with."""
        text = self._table.get(call_id)
        if text is None:
            return None
        kept = self._kept.get(call_id)
        return kept[1] if kept is not None and kept[0] == text else record_from_text(text)

    def answered_text(self, call_id: str) -> str | None:
        """Return the record of an answered call that is not over as JSON, or None."""
        text = self._table.get(call_id)
        if text is None:
            return None
        progress = _PROGRESS.decode(text)
        return text if progress.answered_at and progress.dialog is not Dialog.TERMINATED else None

    def change(self, call_id: str, step: Callable[[CallRecord], T]) -> T | None:
        """Lock a call, let ``step`` change its record, write it back; None when there is no such call."""
        with self._table.locked(call_id):
            text = self._table.get(call_id)
            if text is None:
                return None
            record = self._recall(call_id, text)
            connection_id = record.connection_id
            result = step(record)
            changed = record_to_text(record)
            if changed != text:
                if record.connection_id != connection_id:
                    self._moved(call_id, connection_id, record.connection_id)
                self._table.set(call_id, changed)
                if record.answered_at and self._changed is not None:
                    self._changed.set(call_id, "1")
        self._keep(call_id, changed, record)
        return result

    def forget(self, call_id: str) -> None:
        """Remove a call."""
        self._kept.pop(call_id, None)
        with self._table.locked(call_id):
            text = self._table.get(call_id)
            if text is None:
                return
            self._table.remove(call_id)
            for value in _values(call_id, _INDEXED.decode(text)):
                self._index.remove(value, call_id)

    def keys(self) -> list[str]:
        """Return the names of all calls."""
        return [key for key, _ in self._table.items()]

    def texts(self) -> list[str]:
        """Return all records as JSON."""
        return [text for _, text in self._table.items()]

    def of_page(self, owner: str, connection_ids: set[str], contact: str, others: set[str]) -> list[str]:
        """Return the names of a page's calls: on one of its connections, or of its identity and registered Contact, but
        on none of the ``others``."""
        found = dict.fromkeys(self.on_connections(connection_ids))
        for key, record in self._having(_OWNED + owner):
            is_page = record.owner == owner and same_contact(record.contact_of_binding, contact)
            if is_page and record.connection_id not in others:
                found[key] = None
        return list(found)

    def on_connections(self, connection_ids: set[str]) -> list[str]:
        """Return the names of the calls whose page is on one of these connections."""
        return [
            key
            for connection_id in connection_ids
            for key, record in self._having(_ON + connection_id)
            if record.connection_id == connection_id
        ]

    def connections(self) -> list[str]:
        """Return the connections that pages of calls are on."""
        values = self._index.values()
        return [value.removeprefix(_ON) for value in values if value.startswith(_ON)]

    def adrift(self) -> list[str]:
        """Return the names of the calls whose page has no connection, as after a restart."""
        return [key for key, text in self._table.items() if not _INDEXED.decode(text).connection_id]

    def of_identity(self, impu: str) -> list[str]:
        """Return the names of the calls of a public identity, which its pages make or answer."""
        return [key for key, _ in self._having(_OWNED + one_spelling(impu))]

    def of_call_id(self, call_id: str) -> list[str]:
        """Return the names of the calls with this Call-ID: of page and page there are two, of forks several."""
        own = [call_id] if self.knows(call_id) else []
        return own + [key for key, _ in self._having(_NAMED + call_id)]

    def _having(self, value: str) -> Iterator[tuple[str, CallRecord]]:
        found = ((key, self.get(key)) for key in self._index.names(value))
        return ((key, record) for key, record in found if record is not None)

    def _moved(self, key: str, before: str, now: str) -> None:
        if now:
            self._index.add(_ON + now, key)
        if before:
            self._index.remove(_ON + before, key)

    def _recall(self, call_id: str, text: str) -> CallRecord:
        """Return the record of this text; what is kept is taken out, because a step may fail half-way."""
        kept = self._kept.pop(call_id, None)
        return kept[1] if kept is not None and kept[0] == text else record_from_text(text)

    def _keep(self, call_id: str, text: str, record: CallRecord) -> None:
        if len(self._kept) >= self._MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[call_id] = (text, record)
