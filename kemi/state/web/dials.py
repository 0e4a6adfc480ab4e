"""Click-to-dial: a call that a person has asked for, until one of the person's pages has placed it.

One page of all gets it; who it was, may ask again and hears the same.  Kept for some minutes, under a name that only
the person's pages hear.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from kemi.state import keys

if TYPE_CHECKING:
    from redis import Redis

KEPT_S: Final = 600
REQUESTED: Final = "dial_requested"

# KEYS: wish.  ARGV: what it is, how long it is kept in seconds, channel, what the pages are told.  Returns the wish of
# before.  One step, because a wish that is kept and that nobody has heard of would be a call for who asks again.
_ADD: Final = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return redis.call('GET', KEYS[1]) end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return false
"""


class DialState(enum.StrEnum):
    """How far it is."""

    REQUESTED = "requested"
    TAKEN = "taken"  #: a page has it, and places the call
    PLACED = "placed"  #: the call has a Call-ID: from here on it is a call as any other
    FAILED = "failed"  #: the page that took it could not: no microphone, say


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """One wish for a call."""

    id: str
    owner: str
    """Whose: name of the person, or of a guest's session."""
    to: str
    video: bool
    at: float
    """Seconds since the epoch."""
    until: float
    """Nobody may take it later."""
    state: DialState = DialState.REQUESTED
    page: str = ""
    """Which page has it."""
    call_id: str = ""
    why: str = ""
    """What the page could not."""


class DialStore:
    """All wishes of the last minutes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)

    def add(self, dial: Dial, impu: str) -> Dial:
        """Keep a wish and tell the person's pages; return it, or the one of the same name that was there before."""
        told = _event(REQUESTED, dial, impu, dial.at)
        there = self._add(
            keys=[keys.web_dial(dial.id)], args=[msgspec.json.encode(dial), KEPT_S, keys.UNKEPT_EVENTS, told]
        )
        return dial if there is None else msgspec.json.decode(there, type=Dial)

    def get(self, identifier: str) -> Dial | None:
        """Return a wish; None when there is none."""
        text = self._redis.get(keys.web_dial(identifier))
        return None if text is None else msgspec.json.decode(text, type=Dial)

    def change(self, identifier: str, step: Callable[[Dial], Dial | None]) -> Dial | None:
        """Let ``step`` change a wish, or leave it (None); return what it is then.  ``step`` may run more than once."""
        key = keys.web_dial(identifier)

        def once(pipe: Any) -> Any:
            text = pipe.get(key)
            found = None if text is None else msgspec.json.decode(text, type=Dial)
            changed = None if found is None else step(found)
            pipe.multi()
            if changed is not None:
                pipe.set(key, msgspec.json.encode(changed), xx=True, keepttl=True)
            return changed or found

        return cast("Dial | None", self._redis.transaction(once, key, value_from_callable=True))

    def tell(self, kind: str, dial: Dial, impu: str, now: float) -> None:
        """Let the person's pages know."""
        self._redis.publish(keys.UNKEPT_EVENTS, _event(kind, dial, impu, now))


def _event(kind: str, dial: Dial, impu: str, now: float) -> bytes:
    """Return what pages are told: nothing secret, and nothing that is kept."""
    event = {"type": kind, "owner": dial.owner, "dial": dial.id, "impu": impu, "at": now}
    if dial.call_id:
        event["call_id"] = dial.call_id
    return msgspec.json.encode(event)
