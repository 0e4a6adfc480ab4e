"""Traces of calls, as long as Redis keeps them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import msgspec

from kemi.core.identity import canonical, one_spelling
from kemi.core.trace.entries import CallTrace, Entry
from kemi.state import keys
from kemi.state.traces import TraceHead, entries_from_bytes, head_from_text

if TYPE_CHECKING:
    from redis import Redis

MOST_READ: Final = 1_000
"""Heads that one question looks at."""
_PORTION: Final = 100

Entries: TypeAlias = list[Entry]
_Place: TypeAlias = tuple[float, str]
"""When a traced call began, and its key."""
_BEFORE_ALL: Final[_Place] = (-math.inf, "")


class TracesView:
    """Read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def list(
        self,
        limit: int = 50,
        *,
        impu: str = "",
        call_id: str = "",
        failed: bool | None = None,
        after: str = "",
    ) -> tuple[Sequence[TraceHead], str]:
        """Return traced calls, the latest first, and what ``after`` is for the next page; "" when none follows.

        ``failed``: only those that failed, or only the others; None: all.  A page may have few calls, or none, and
        others still follow.  Raises ValueError for an ``after`` that is none of ours.
        """
        names, more = self._names(failed, _place(after) if after else None)
        wanted = one_spelling(impu)
        found: list[TraceHead] = []
        for start in range(0, len(names), _PORTION):
            portion = names[start : start + _PORTION]
            for place, head in zip(portion, self._heads([name for _, name in portion]), strict=True):
                if head is None or not _fits(head, wanted, call_id):
                    continue
                found.append(head)
                if len(found) == limit:
                    return found, _text_of(place)
        return found, _text_of(names[-1]) if names and more else ""

    def get(self, name: str) -> CallTrace | None:
        """Return a trace by its key, or the latest with a Call-ID; None: there is none (any more)."""
        head = self._head(name) or self._head(self._latest_with(name))
        if head is None:
            return None
        portions = cast("Any", self._redis).execute_command(
            "LRANGE", keys.trace(head.key), 0, -1, NEVER_DECODE=True
        )
        entries: Entries = []
        latest: Entries = []
        for portion in cast("Sequence[bytes]", portions or ()):
            try:
                found = list(entries_from_bytes(portion))
            except ValueError:  # of another release
                head.left_out += 1
                continue
            # What Redis took but could not confirm in time comes once more, with what has happened since.
            entries += found[len(latest) :] if found[: len(latest)] == latest else found
            latest = found
        entries.sort(key=lambda entry: entry.at)
        return CallTrace(
            key=head.key,
            call_id=head.call_id,
            impu=head.impu,
            peer=head.peer,
            direction=head.direction,
            node=head.node,
            began_at=head.began_at,
            answered_at=head.answered_at,
            ended_at=head.ended_at,
            by=head.by,
            why=head.why,
            status=head.status,
            relay=head.relay,
            media=head.media,
            left_out=head.left_out,
            entries=entries,
        )

    def _latest_with(self, call_id: str) -> str:
        """A call towards a page has more in its key than the Call-ID (kemi/core/call/record_key.py)."""
        found = [
            (score, str(name))
            for failed in (False, True)
            for name, score in cast("Any", self._redis).zscan_iter(
                keys.traces(failed=failed), match=f"{_escaped(call_id)};*", count=1_000
            )
        ]
        return max(found)[1] if found else ""

    def _names(self, failed: bool | None, place: _Place | None) -> tuple[Sequence[_Place], bool]:
        """Return what comes after a place, the latest first, and whether more follows."""
        most = "+inf" if place is None else place[0]
        found: list[_Place] = []
        end = _BEFORE_ALL
        for one in (False, True) if failed is None else (failed,):
            portion = [
                (float(score), str(name))
                for name, score in cast("Any", self._redis).zrevrangebyscore(
                    keys.traces(failed=one), most, "-inf", start=0, num=MOST_READ, withscores=True
                )
            ]
            found += portion
            if len(portion) == MOST_READ:
                end = max(end, portion[-1])
        # Further back one of the sets has others, which were not read.
        names = sorted((one for one in found if end <= one and (place is None or one < place)), reverse=True)
        return names[:MOST_READ], end != _BEFORE_ALL or len(names) > MOST_READ

    def _heads(self, names: Sequence[str]) -> Sequence[TraceHead | None]:
        return [
            _read(text) for text in cast("Any", self._redis).mget([keys.trace_head(name) for name in names])
        ]

    def _head(self, name: str) -> TraceHead | None:
        return _read(self._redis.get(keys.trace_head(name))) if name else None


def _fits(head: TraceHead, impu: str, call_id: str) -> bool:
    return impu in ("", head.impu, canonical(head.impu)) and call_id in ("", head.call_id)


def _text_of(place: _Place) -> str:
    return f"{place[0]!r} {place[1]}"


def _place(text: str) -> _Place:
    score, _, name = text.partition(" ")
    if not name or not math.isfinite(began_at := float(score)):
        raise ValueError("not a place in the list of traces")
    return began_at, name


def _escaped(text: str) -> str:
    """Return a text as a pattern that matches nothing else."""
    return "".join(f"\\{one}" if one in "*?[]^\\" else one for one in text)


def _read(text: object) -> TraceHead | None:
    """Return a head; None for one of another release that cannot be read."""
    try:
        return head_from_text(text) if isinstance(text, str) else None
    except msgspec.DecodeError:
        return None
