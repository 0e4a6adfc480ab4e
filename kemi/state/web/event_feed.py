"""The stream of events as a listener's process reads it: what comes, what has been, and whether something is missing.

An entry's id in gw:events is its sequence number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis

START: Final = "0-0"
"""Before the first entry there can be."""
AT_ONCE: Final = 100
BLOCK_MS: Final = 500
REMEMBERED: Final = 3000
"""Events that are known again: a gateway writes up to 1,000 once more when Redis was late to say that it has them."""

Entry = tuple[str, dict[str, Any]]
"""Sequence number and event."""


@dataclass(frozen=True, slots=True)
class News:
    """What is new."""

    events: list[Entry] = field(default_factory=list)
    ended_sessions: list[str] = field(default_factory=list)
    """SIDs of web sessions that were logged out."""
    full: bool = False
    """There may be more."""


class Recent:
    """Knows events again that stand in the stream twice."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def is_new(self, event: dict[str, Any]) -> bool:
        """Whether this is the first time; what no event is, never is."""
        if not event:
            return False
        text = repr(event.values())  # its time, node and name are among them
        if text in self._known:
            return False
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[text] = None
        return True


def order_of(seq: str) -> tuple[int, int]:
    """Return what sequence numbers are sorted by."""
    milliseconds, _, number = seq.partition("-")
    return int(milliseconds), int(number)


class EventFeed:
    """Reads on from where it is.  One thread at a time."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._commands = START
        self._recent = Recent()
        self.position = START
        """Sequence number of the last event that was read."""

    def begin(self) -> None:
        """Go to the ends of the streams: what was before is nobody's news."""
        self.position = self._newest(keys.EVENTS)
        self._commands = self._newest(keys.COMMANDS)

    def read(self) -> News:
        """Wait for news, half a second at most."""
        streams: Any = self._redis.xread(
            {keys.EVENTS: self.position, keys.COMMANDS: self._commands}, count=AT_ONCE, block=BLOCK_MS
        )
        found = {str(name): entries for name, entries in streams or []}
        events = [_entry(*one) for one in found.get(keys.EVENTS, ())]
        commands = [_entry(*one) for one in found.get(keys.COMMANDS, ())]
        if events:
            self.position = events[-1][0]
        if commands:
            self._commands = commands[-1][0]
        sids = [str(body.get("sid", "")) for _, body in commands if body.get("type") == "logout"]
        return News(
            [one for one in events if self._recent.is_new(one[1])],
            sids,
            max(len(events), len(commands)) == AT_ONCE,
        )

    def is_cut(self, seq: str) -> bool:
        """Whether events that came after this one may be gone, because it is not there itself."""
        if seq != START:
            return not self._redis.xrange(keys.EVENTS, min=seq, max=seq)
        first = self._redis.xrange(keys.EVENTS, count=1)
        return bool(first) and int(self._redis.xlen(keys.EVENTS)) >= keys.STREAM_LENGTH

    def between(self, after: str, until: str) -> list[Entry]:
        """Return some events after one and up to another, the oldest first; none when there are no more."""
        if order_of(after) >= order_of(until):
            return []
        entries: Any = self._redis.xrange(keys.EVENTS, min=f"({after}", max=until, count=AT_ONCE)
        return [_entry(*one) for one in entries or []]

    def _newest(self, stream: str) -> str:
        entries: Any = self._redis.xrevrange(stream, count=1)
        return str(entries[0][0]) if entries else START


class UnkeptEvents:
    """What is told only to those who listen at the moment."""

    def __init__(self, redis: Redis) -> None:
        self._channel = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def read(self, timeout_s: float) -> dict[str, Any] | None:
        """Wait for one; None when none came."""
        if not self._channel.subscribed:
            self._channel.subscribe(keys.UNKEPT_EVENTS)
        message: Any = self._channel.get_message(timeout=timeout_s)
        return _body(message["data"]) if message is not None else None


def _entry(entry_id: Any, fields: Mapping[Any, Any] | None) -> Entry:
    return str(entry_id), _body((fields or {}).get(keys.STREAM_FIELD, ""))


def _body(text: str) -> dict[str, Any]:
    """Return an event; an empty one for what is none."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
