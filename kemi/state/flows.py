"""WebSocket flows, the registrations made over them, and the ones under way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from kemi.core.registration import Flow, PendingRegistration, Registration, same_contact
from kemi.state.table import Table

T = TypeVar("T")


class RecordTable(Generic[T]):
    """A table of records of one type."""

    def __init__(self, table: Table, kind: type[T]) -> None:
        self._table = table
        self._decoder = msgspec.json.Decoder(kind)

    def get(self, key: str) -> T | None:
        """Return the record, or None."""
        text = self._table.get(key)
        return None if text is None else self._decoder.decode(text)

    def __contains__(self, key: str) -> bool:
        return self._table.get(key) is not None

    def set(self, key: str, record: T) -> None:
        """Write the record."""
        self._table.set(key, msgspec.json.encode(record).decode())

    def take(self, key: str) -> T | None:
        """Return the record and remove it."""
        with self._table.locked(key):
            record = self.get(key)
            if record is not None:
                self._table.remove(key)
            return record

    def remove(self, key: str) -> None:
        """Remove the record."""
        self._table.remove(key)

    def items(self) -> Iterator[tuple[str, T]]:
        """Return a snapshot of all records."""
        return ((key, self._decoder.decode(text)) for key, text in self._table.items())


class FlowStore:
    """Who is connected, and who of them is registered as whom."""

    def __init__(self, flows: Table, registrations: Table, pending: Table) -> None:
        self._flows = RecordTable(flows, Flow)
        self._registrations = RecordTable(registrations, Registration)
        self._pending = RecordTable(pending, PendingRegistration)

    def open(self, flow: Flow) -> None:
        """Remember a new connection; before its 101 leaves, because its first SIP message may be in another worker."""
        self._flows.set(flow.connection_id, flow)

    def flow(self, connection_id: str) -> Flow | None:
        """Return the connection, or None when it is gone."""
        return self._flows.get(connection_id)

    def is_open(self, connection_id: str) -> bool:
        """Whether the connection stands."""
        return connection_id in self._flows

    def close(self, connection_id: str) -> None:
        """Forget a connection and the registration made over it."""
        self._flows.remove(connection_id)
        self._registrations.remove(connection_id)

    def register(self, connection_id: str, registration: Registration | None) -> None:
        """Write what the core granted; None takes the registration away."""
        if registration is None or self.flow(connection_id) is None:
            self._registrations.remove(connection_id)
        else:
            self._registrations.set(connection_id, registration)

    def registration(self, connection_id: str, now: float) -> Registration | None:
        """Return the connection's registration unless it has run out."""
        found = self._registrations.get(connection_id)
        return found if found is not None and found.expires_at > now else None

    def successor(self, owner: str, contact: str, now: float) -> Flow | None:
        """Return the connection over which a page registered again: the same identity with the same Contact."""
        for connection_id, found in self._registrations.items():
            if found.owner == owner and found.expires_at > now and same_contact(found.contact, contact):
                flow = self.flow(connection_id)
                if flow is not None:
                    return flow
        return None

    def expect(self, call_id: str, cseq: int, pending: PendingRegistration) -> None:
        """Remember a REGISTER that went to the core."""
        self._pending.set(f"{call_id} {cseq}", pending)

    def expected(self, call_id: str, cseq: int) -> PendingRegistration | None:
        """Return the REGISTER a final response belongs to, once."""
        return self._pending.take(f"{call_id} {cseq}")
