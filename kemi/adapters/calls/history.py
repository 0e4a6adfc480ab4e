"""What is left of a call: a worker notes how it ended and what its relay said last, unread; housekeeping makes one
record of both.

Reading a relay's statistics takes longer than all the rest of a call's end, so no worker does it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kemi.adapters.log import log_event
from kemi.adapters.turns import TURNS
from kemi.core.call.actions import RecordEnd
from kemi.state.call_history import FinishedCall
from kemi.state.records import taken
from kemi.state.table import Table
from rtpengine.ng.errors import NgError
from rtpengine.ng.statistics import RawStatistics
from rtpengine.quality import medium_quality

READING_S: Final = 0.005
"""How long one tick may read statistics: it goes on in the next one, 10 ms later, and other work waits."""
WAIT_S: Final = 5.0
"""How long a call that is over waits for a relay that is still being asked."""
MOST_WAITING: Final = 20_000
"""Calls whose media were read before they ended, or the other way round."""

MediumFigures = dict[str, Any]


class CallNotes:
    """The worker's side."""

    def __init__(self, statistics: Table, ended: Table) -> None:
        self._statistics = statistics
        self._ended = ended

    def statistics(self, key: str, kind: str, found: RawStatistics | str) -> None:
        """Note what the relay said of a medium that was given back, or why it said nothing."""
        # Every byte is a character here, so the reply comes back as it was.
        text = found if isinstance(found, str) else found.payload.decode("latin-1")
        read = "why" if isinstance(found, str) else "raw"
        self._statistics.set(secrets.token_hex(8), f"{key}\n{kind}\n{read}\n{text}")

    def ended(self, call: RecordEnd, now: float) -> None:
        """Note that a call is over."""
        self._ended.set(secrets.token_hex(8), msgspec.json.encode((now, call)).decode())


@dataclass(slots=True)
class _Waiting:
    """A call of which only a part is known."""

    media: dict[str, MediumFigures] = field(default_factory=dict)
    ended: RecordEnd | None = None
    at: float = 0.0


class CallHistory:
    """The housekeeping process's side."""

    def __init__(self, statistics: Table, ended: Table, node: str) -> None:
        self._statistics = statistics
        self._ended = ended
        self._node = node
        self._unread: deque[str] = deque()
        self._waiting: dict[str, _Waiting] = {}
        self._decoder = msgspec.json.Decoder(tuple[float, RecordEnd])

    @property
    def is_behind(self) -> bool:
        """Whether statistics wait to be read."""
        return bool(self._unread)

    def work(self, now: float) -> list[FinishedCall]:
        """Take what the workers noted; return the calls of which all is known."""
        # In this order: what the relay said is noted before the end, or shortly after.
        for _, text in taken(self._ended):
            at, call = self._decoder.decode(text)
            waiting = self._of(call.key)
            waiting.ended, waiting.at = call, at
        self._unread.extend(text for _, text in taken(self._statistics))
        self._read()
        return [self._finished(key) for key in self._complete(now)]

    def _read(self) -> None:
        until = time.perf_counter() + READING_S
        while self._unread and time.perf_counter() < until:
            key, kind, read, text = self._unread.popleft().split("\n", 3)
            figures = {"why": text} if read == "why" else _figures(key, kind, text)
            # A medium that was taken up again has figures of both times: the longer one counts.
            known = self._of(key).media
            if kind not in known or _packets(figures) >= _packets(known[kind]):
                known[kind] = figures
            TURNS.give_way()

    def _of(self, key: str) -> _Waiting:
        if key not in self._waiting and len(self._waiting) >= MOST_WAITING:
            given_up = next(iter(self._waiting))
            del self._waiting[given_up]
            log_event(logging.WARNING, "call_history_incomplete", call_id=given_up)
        return self._waiting.setdefault(key, _Waiting())

    def _complete(self, now: float) -> list[str]:
        return [
            key
            for key, waiting in self._waiting.items()
            if waiting.ended is not None
            and (
                set(waiting.ended.kinds) <= waiting.media.keys()
                or (now - waiting.at >= WAIT_S and not self._unread)
            )
        ]

    def _finished(self, key: str) -> FinishedCall:
        waiting = self._waiting.pop(key)
        call = waiting.ended
        assert call is not None
        missing = {kind: {"why": "the media relay said nothing"} for kind in call.kinds}
        return FinishedCall(
            id=f"{round(waiting.at * 1000):014d}-{secrets.token_hex(8)}",
            key=key,
            call_id=call.call_id,
            impu=call.owner,
            peer=call.peer,
            direction="from_page" if call.from_page else "to_page",
            began_at=round(call.since, 3),
            answered_at=round(call.answered_at, 3),
            ended_at=round(waiting.at, 3),
            duration_s=round(waiting.at - call.answered_at, 3) if call.answered_at else 0.0,
            by=call.by,
            why=call.why,
            status=call.status,
            relay=call.relay,
            node=self._node,
            trunk=call.trunk,
            media={
                kind: figures
                for kind, figures in (missing | waiting.media).items()
                if kind not in call.off or "why" not in figures
            },
        )


def figures_of(kind: str, found: RawStatistics) -> MediumFigures:
    """Return the figures of a medium, as JSON has them; raise NgError for a reply that cannot be read."""
    figures: MediumFigures = msgspec.to_builtins(medium_quality(kind, found.read()))
    return figures


def _figures(key: str, kind: str, text: str) -> MediumFigures:
    try:
        return figures_of(kind, RawStatistics(text.encode("latin-1")))
    except NgError as error:
        log_event(logging.ERROR, "statistics_unreadable", call_id=key, medium=kind, detail=str(error))
        return {"why": f"unreadable: {error}"}


def _packets(figures: MediumFigures) -> int:
    return sum(leg["packets"] for leg in (figures.get("wic"), figures.get("ims")) if leg)
