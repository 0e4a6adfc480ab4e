"""What operators have changed: a stream that is cut to the latest entries, the same for all web processes.

No entry has a body, a password or a token in it: who wrote what where, and what became of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis

LENGTH: Final = 10_000
"""Entries that are kept."""
_PORTION: Final = 200
_PLACE: Final = re.compile(r"[1-9][0-9]{0,14}-[0-9]{1,9}")
"""Redis takes nothing before 0-0, and no number beyond 64 bits."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or the attempt at one."""

    id: str = ""
    """Place in the stream."""
    at: float
    """Seconds since the epoch."""
    operator: str
    """Login name; ``cli:USER`` for a command on the machine."""
    address: str
    """Client address; "" for a command."""
    action: str
    """Method and path, or the command."""
    status: int
    """HTTP status; 0 for a command."""
    detail: str = ""
    """What was changed, in words."""


class AuditLog:
    """All entries."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        text = msgspec.json.encode(entry).decode()
        self._redis.xadd(keys.WEB_AUDIT, {keys.STREAM_FIELD: text}, maxlen=LENGTH, approximate=True)

    def list(
        self, *, before: str = "", limit: int, operator: str = "", since: float = 0.0
    ) -> tuple[list[AuditEntry], str]:
        """Return entries, the latest first, and what ``before`` is for the next page; "" when there is none.

        ``operator``: only those of this name; ``since``: none that is older, in seconds since the epoch.  Raises
        ValueError for a ``before`` that is none of ours.
        """
        if before and not _PLACE.fullmatch(before):
            raise ValueError("no place in the audit log")
        found: list[AuditEntry] = []
        most, least = f"({before}" if before else "+", f"{int(since * 1000)}"
        while entries := self._redis.xrevrange(keys.WEB_AUDIT, max=most, min=least, count=_PORTION):
            for entry_id, fields in _pairs(entries):
                if len(found) == limit:
                    return found, found[-1].id
                entry = _entry(entry_id, fields)
                if entry is not None and operator in ("", entry.operator):
                    found.append(entry)
            most = f"({_pairs(entries)[-1][0]}"
        return found, ""


def _pairs(entries: Any) -> list[tuple[str, dict[str, str]]]:
    return [(str(entry_id), fields or {}) for entry_id, fields in entries]


def _entry(entry_id: str, fields: dict[str, str]) -> AuditEntry | None:
    try:
        entry = msgspec.json.decode(fields[keys.STREAM_FIELD], type=AuditEntry)
    except (KeyError, msgspec.DecodeError):
        return None
    return msgspec.structs.replace(entry, id=entry_id)
