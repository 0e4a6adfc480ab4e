"""Traces of calls as Redis keeps them: a head that lists can read, and entries in compressed portions.

Written by the gateway's housekeeping, read by the web API (kemi/state/web/traces.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kemi.core.trace.entries import Entry, What

COMPRESSION: Final = 3
"""zlib level: lower ones cost the same, higher ones twice as much, and save 5 % more."""


class TraceHead(msgspec.Struct, kw_only=True):
    """What is known of a traced call beside its entries; fields as in CallTrace (kemi/core/trace/entries.py)."""

    key: str
    call_id: str
    impu: str
    peer: str
    direction: str
    node: str
    began_at: float
    answered_at: float = 0.0
    ended_at: float = 0.0
    by: str = ""
    why: str = ""
    status: int = 0
    relay: str = ""
    media: dict[str, dict[str, Any]] = {}
    left_out: int = 0
    failed: bool = False
    """It is among those that are kept longer: it failed, or somebody heard nothing."""


@dataclass(frozen=True, slots=True)
class TracePortion:
    """What there is to be written of a call."""

    head: TraceHead
    entries: bytes
    """As ``entries_to_bytes`` returns them; empty: there are no new ones."""


class _Stored(msgspec.Struct, array_like=True):
    at: float
    what: What
    leg: str
    incoming: bool
    name: str
    why: str
    values: dict[str, Any]
    text: str
    result: str


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[_Stored])


def entries_to_bytes(entries: Iterable[Entry]) -> bytes:
    """Return entries as one compressed portion."""
    rows = [(e.at, e.what, e.leg, e.incoming, e.name, e.why, e.values, e.text, e.result) for e in entries]
    return zlib.compress(_ENCODER.encode(rows), COMPRESSION)


def entries_from_bytes(portion: bytes) -> Iterator[Entry]:
    """Return the entries of a portion; raise ValueError for one that cannot be read."""
    try:
        stored = _DECODER.decode(zlib.decompress(portion))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"a portion of a trace: {error}") from error
    for one in stored:
        yield Entry(
            at=one.at,
            what=one.what,
            leg=one.leg,
            incoming=one.incoming,
            name=one.name,
            why=one.why,
            values=one.values,
            text=one.text,
            result=one.result,
        )


def head_from_text(text: str) -> TraceHead:
    """Return a head; raise msgspec.DecodeError (also for one that lacks something)."""
    return msgspec.json.decode(text, type=TraceHead)
