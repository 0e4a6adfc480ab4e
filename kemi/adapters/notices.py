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

    def text(self, kind: str, now: float, **fields: str) -> str:
        """Return an event as it stands in the stream; empty fields are left out."""
        event: dict[str, object] = {"type": kind, **{key: value for key, value in fields.items() if value}}
        return msgspec.json.encode(event | {"node": self._node, "at": round(now, 3)}).decode()

    def tell(self, kind: str, now: float, **fields: str) -> None:
        """Leave a note."""
        self._table.set(secrets.token_hex(8), self.text(kind, now, **fields))
