"""What a worker has to tell the web API: it leaves a note, which the housekeeping process ships to Redis."""

from __future__ import annotations

import secrets

import msgspec

from kemi.state.table import Table


class Notices:
    """Events of this node."""

    def __init__(self, table: Table, node: str) -> None:
        self._table = table
        self._node = node

    def text(self, kind: str, now: float, **fields: object) -> str:
        """Return an event as it stands in the stream."""
        event: dict[str, object] = {"type": kind, **fields, "node": self._node, "at": round(now, 3)}
        return msgspec.json.encode(event).decode()

    def tell(self, kind: str, now: float, **fields: str) -> None:
        """Leave a note."""
        self._table.set(secrets.token_hex(8), self.text(kind, now, **fields))
