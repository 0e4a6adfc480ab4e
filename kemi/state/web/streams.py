"""What web API and gateway tell each other: commands there, events here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import redis

from kemi.state import keys
from kemi.state.call_questions import CallQuestion, question_fields
from kemi.state.command_position import order_of

if TYPE_CHECKING:
    from redis import Redis


_ALSO_WHEN_FULL: Final = """#!lua flags=allow-oom
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[2], ARGV[3])
"""
"""A full Redis (7 or later) lets a script add that says so.  The stream has a length, so that it fills nothing."""


QUESTION_KEPT_MS: Final = 5_000
"""Who asks waits for less."""
_LOOKED_BACK: Final = 50
"""Entries before a new question that are looked at."""
UNREAD_AT_ONCE: Final = 500


class _Kind(msgspec.Struct):
    type: str = ""


_KIND: Final = msgspec.json.Decoder(_Kind)


class Event(msgspec.Struct, frozen=True):
    """What the gateway tells; of kinds not listed in kemi/state/keys.py only the type is of use."""

    type: str
    impu: str = ""
    impi: str = ""
    sid: str = ""
    node: str = ""
    at: float = 0.0


class CommandStream:
    """Commands to every gateway node.

    What ends something gets through to a Redis that is full, cannot save or is a replica, too: that is no reason to let
    a fraud go on.  A logout has to be kept, else a gateway that starts later does not know of it.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def logout(self, sid: str, impi: str, now: float) -> None:
        """End every registration whose token came from a web session."""
        self._order({"type": "logout", "sid": sid, "impi": impi, "at": now}, is_kept=True)

    def end_registration(self, key: str, now: float) -> None:
        """End one binding, by its key at its node; the page may register again."""
        self._order({"type": "end_registration", "key": key, "at": now})

    def end_calls(self, *, call_id: str = "", impu: str = "", by: str = "operator", now: float) -> None:
        """End the call of this Call-ID, or every call of this public identity; of both: that call if it is of it."""
        self._order({"type": "end_call", "call_id": call_id, "impu": impu, "by": by, "at": now})

    def list_calls(self, asked: str, now: float, question: CallQuestion) -> None:
        """Let every node say which calls are running that are asked for; ``asked`` names the question.

        Questions of before are taken out: thousands of them would push logouts out of the stream.  The newest one
        stays, for a gateway takes a stream that ends before what it has read for another one.
        """
        added = self._add(
            msgspec.json.encode(
                {**question_fields(question), "type": "list_calls", "asked": asked, "at": now}
            )
        )
        until = order_of(added)[0] - QUESTION_KEPT_MS
        before = self._redis.xrevrange(keys.COMMANDS, max=f"({added}", count=_LOOKED_BACK) or []
        over = [
            str(entry)
            for entry, fields in before
            if order_of(str(entry))[0] <= until and _is_question((fields or {}).get(keys.STREAM_FIELD))
        ]
        if over:
            self._redis.xdel(keys.COMMANDS, *over)

    def _order(self, command: Mapping[str, object], *, is_kept: bool = False) -> None:
        entry = msgspec.json.encode(command)
        try:
            self._add(entry)
        except redis.ResponseError as refused:
            values = (str(keys.STREAM_LENGTH), keys.STREAM_FIELD, entry)
            try:
                self._redis.eval(_ALSO_WHEN_FULL, 1, keys.COMMANDS, *values)
            except redis.ResponseError:  # it is not that it is full, or it knows no flags
                if is_kept or not self._redis.publish(keys.ORDERS, entry):
                    raise refused from None

    def _add(self, entry: bytes) -> str:
        return str(self._redis.xadd(keys.COMMANDS, {keys.STREAM_FIELD: entry}, maxlen=keys.STREAM_LENGTH))


def _is_question(entry: object) -> bool:
    try:
        return isinstance(entry, str | bytes) and _KIND.decode(entry).type == "list_calls"
    except msgspec.MsgspecError:  # an operator's own, with a slip
        return False


class EventStream:
    """Events of all gateway nodes, read once by whichever web process does so."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def unread(self, limit: int = UNREAD_AT_ONCE) -> list[tuple[str, Event | None]]:
        """Return the entries after the last one handled, with their ids; None for one that cannot be understood."""
        last = self._redis.get(keys.WEB_EVENTS_READ)
        first = f"({last!s}" if last else "-"
        entries = self._redis.xrange(keys.EVENTS, min=first, count=limit) or []
        return [(str(entry_id), _event(fields)) for entry_id, fields in entries]

    def handled(self, entry_id: str) -> None:
        """Note that everything up to this entry is done."""
        self._redis.set(keys.WEB_EVENTS_READ, entry_id)


def _event(fields: Mapping[Any, Any] | None) -> Event | None:
    try:
        return msgspec.json.decode((fields or {})[keys.STREAM_FIELD], type=Event)
    except (KeyError, msgspec.DecodeError):
        return None
