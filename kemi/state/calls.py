"""Call records: one JSON text for each Call-ID, changed under its lock only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from kemi.core.call.record import SCHEMA, CallRecord
from kemi.core.errors import LocalProtocolError
from kemi.state.table import Table

T = TypeVar("T")
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(CallRecord)


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
    """The calls of this node, by ``CallRecord.key``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def create(self, record: CallRecord) -> bool:
        """Write a new record; False when there is one of this name."""
        key = record.key
        with self._table.locked(key):
            if self._table.get(key) is not None:
                return False
            self._table.set(key, record_to_text(record))
            return True

    def get(self, call_id: str) -> CallRecord | None:
        """Return a copy of the record, or None."""
        text = self._table.get(call_id)
        return None if text is None else record_from_text(text)

    def change(self, call_id: str, step: Callable[[CallRecord], T]) -> T | None:
        """Lock a call, let ``step`` change its record, write it back; None when there is no such call."""
        with self._table.locked(call_id):
            text = self._table.get(call_id)
            if text is None:
                return None
            record = record_from_text(text)
            result = step(record)
            changed = record_to_text(record)
            if changed != text:
                self._table.set(call_id, changed)
            return result

    def forget(self, call_id: str) -> None:
        """Remove a call."""
        self._table.remove(call_id)

    def on_connections(self, connection_ids: set[str]) -> list[str]:
        """Return the names of the calls whose page is on one of these connections."""
        found = []
        for call_id, text in self._table.items():
            if record_from_text(text).connection_id in connection_ids:
                found.append(call_id)
        return found
