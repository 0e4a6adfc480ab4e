"""Commands to a gateway: what they are, and the channel of those that Redis does not keep."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import redis

from kemi.state import keys
from kemi.state.call_questions import ALL_CALLS, CallQuestion

if TYPE_CHECKING:
    from redis import Redis

ORDERS_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Logout:
    """Command: every registration ends whose token came from this web session before that ended."""

    session: str
    at: float
    """When it ended, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class EndCalls:
    """Command: the call of this Call-ID ends, or every call of this public identity; of both: that call if it is of
    that identity."""

    call_id: str = ""
    impu: str = ""
    by: str = "operator"
    """Who wants it: operator or user."""


@dataclass(frozen=True, slots=True)
class ListCalls:
    """Command: say which calls are running."""

    asked: str
    """Name of the question, which the answer repeats."""
    question: CallQuestion = ALL_CALLS


@dataclass(frozen=True, slots=True)
class EndRegistration:
    """Command: one binding ends, whose page may register again."""

    key: str


Command: TypeAlias = Logout | EndCalls | ListCalls | EndRegistration


class _Fields(msgspec.Struct):
    type: str = ""
    asked: str = ""
    sid: str = ""
    call_id: str = ""
    impu: str = ""
    by: str = ""
    key: str = ""
    at: float = 0.0


class OrderChannel:
    """Orders that Redis could not keep, because it takes no writes: whoever listens hears them once.

    It has a connection of its own.  That it is lost is no error: the next reading makes another one.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._channel: Any = None

    def read(self, now: float) -> list[Command]:
        """Return the orders that have come, without waiting; the first reading begins to listen."""
        found: list[Command] = []
        try:
            if self._channel is None:
                self._channel = self._redis.pubsub()  # type: ignore[no-untyped-call]
                self._channel.subscribe(keys.ORDERS)
            while len(found) < ORDERS_AT_ONCE and (message := self._channel.get_message()) is not None:
                command = command_from_text(str(message["data"]), now)
                if isinstance(command, EndCalls | EndRegistration):
                    found.append(command)
        except redis.RedisError:
            self.leave()
        return found

    def leave(self) -> None:
        """Listen no longer, until the next reading."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(redis.RedisError):
                channel.close()


def command_from_text(text: str, came_at: float) -> Command | None:
    """Return a command; None for what this release does not know, which another may."""
    try:
        command = msgspec.json.decode(text, type=_Fields)
    except msgspec.MsgspecError:
        return None
    if command.type == "logout" and command.sid:
        return Logout(command.sid, command.at or came_at)
    if command.type == "end_call" and (command.call_id or command.impu):
        return EndCalls(command.call_id, command.impu, "user" if command.by == "user" else "operator")
    if command.type == "end_registration" and command.key:
        return EndRegistration(command.key)
    if command.type == "list_calls" and command.asked:
        return _listing(command.asked, text)
    return None


def _listing(asked: str, text: str) -> ListCalls | None:
    try:
        return ListCalls(asked, msgspec.json.decode(text, type=CallQuestion))
    except msgspec.MsgspecError:
        return None
