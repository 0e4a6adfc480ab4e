"""Finished calls of all nodes, as long as Redis keeps them."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from kemi.core.identity import one_spelling
from kemi.state import keys
from kemi.state.call_history import FinishedCall, finished_from_text

if TYPE_CHECKING:
    from redis import Redis

_PORTION: Final = 100
_ID: Final = re.compile(r"[0-9]{14}-[0-9a-f]{16}")


class FinishedCalls:
    """Read only."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def get(self, identifier: str) -> FinishedCall | None:
        """Return a call; None for one that is not kept (any more)."""
        return _read(self._redis.get(keys.finished_call(identifier)))

    def page(
        self,
        limit: int,
        *,
        impus: Iterable[str] | None = None,
        after: str = "",
        most_read: int | None = None,
        fits: Callable[[FinishedCall], bool] = lambda _: True,
    ) -> tuple[list[FinishedCall], str]:
        """Return calls, those that ended last first, and what ``after`` is for the next page; "" when none follows.

        Args:
            limit: how many at most.
            impus: only calls of any of these public identities; None: all calls.
            after: the id of the last call of the page before; "": from the latest one on.
            most_read: how many calls are looked at at most, so that a page may have few calls, or none, and another
                one still follows.
            fits: which calls are wanted.

        Raises:
            ValueError: ``after`` is none of ours.
        """
        if after and not _ID.fullmatch(after):
            raise ValueError("no id of a finished call")
        names = [keys.CALLS] if impus is None else sorted({_name_of(impu) for impu in impus})
        # Ids begin with the time of the end in milliseconds, as the scores do in seconds.
        most = f"{(int(after.partition('-')[0]) + 1) / 1000:.3f}" if after else "+inf"
        ids = heapq.merge(*(self._descending(name, most) for name in names), reverse=True)
        found: list[FinishedCall] = []
        last, portion = "", [""]
        read = 0
        while portion and len(found) < limit and (most_read is None or read < most_read):
            portion = [
                one for _, one in zip(range(limit), (i for i in ids if not after or i < after), strict=False)
            ]
            for call, identifier in zip(self._each(portion), portion, strict=True):
                read, last = read + 1, identifier
                if call is not None and fits(call):
                    found.append(call)
                    if len(found) == limit:
                        return found, last
        return found, last if portion else ""

    def _descending(self, name: str, most: str) -> Iterator[str]:
        start = 0
        while ids := self._ids(name, most, start, _PORTION):
            yield from ids
            start += _PORTION

    def _ids(self, name: str, most: str, start: int, number: int) -> list[str]:
        return [str(one) for one in self._redis.zrevrangebyscore(name, most, "-inf", start=start, num=number)]

    def _each(self, ids: list[str]) -> list[FinishedCall | None]:
        return (
            [_read(text) for text in self._redis.mget([keys.finished_call(one) for one in ids])]
            if ids
            else []
        )


def _name_of(impu: str) -> str:
    return keys.calls_of(one_spelling(impu))


def _read(text: object) -> FinishedCall | None:
    """Return a call; None for one of another release that cannot be read."""
    try:
        return finished_from_text(text) if isinstance(text, str) else None
    except msgspec.DecodeError:
        return None
