"""The ng protocol core: which datagram to send now, which reply belongs to which command. No I/O, no clock.

A datagram is a cookie, one space and a dictionary, as bencode or JSON. rtpengine answers a cookie it has seen within
the last 30 s from its cache, so a retransmission with the SAME cookie carries a command out once only.

The owner of an `NgClient` must
- send what `send` returns, and every datagram of `due`;
- hand every received datagram to `receive`;
- come back at `next_deadline()` and call `expire` and `due`, in this order.
`now` is any clock in seconds that never goes back. One instance belongs to one socket and one thread.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias, cast

from rtpengine.ng import bencode, statistics
from rtpengine.ng.commands import Command, command_to_bytes, reply_from_ng
from rtpengine.ng.errors import NgBadDatagram, NgError, NgTimeout
from rtpengine.ng.replies import Dictionary, Done, Reply, SdpReply

# How many finished cookies are remembered to tell late and duplicate replies from foreign ones.
_REMEMBERED_COOKIES: Final = 256

# What most commands are answered with.
_DONE: Final[Dictionary] = {b"result": b"ok"}
_DONE_PAYLOAD: Final = bencode.encode({"result": "ok"})

# How a success ends; before it may stand what nobody asked for: rtpengine 12 tells the statistics of a call it ends.
_SUCCESS: Final = b"6:result2:oke"

AnyCommand: TypeAlias = Command[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetransmissionSchedule:
    """Seconds until the first retransmission and, growing by `factor`, until each further one."""

    first_s: float = 0.1
    factor: float = 2.0
    longest_s: float = 1.0

    def interval_s(self, retransmissions: int) -> float:
        """Tell how long to wait for a reply after so many retransmissions."""
        return min(self.first_s * self.factor**retransmissions, self.longest_s)


DEFAULT_SCHEDULE: Final = RetransmissionSchedule()


class Dropped(StrEnum):
    """Why a datagram was thrown away."""

    LATE = "late"
    """Its command had run out of time."""
    DUPLICATE = "duplicate"
    """Its command had been answered already; normal after a retransmission."""
    UNKNOWN = "unknown"
    """No command of ours had this cookie."""
    MALFORMED = "malformed"
    """It has no cookie."""


@dataclass(slots=True)
class Counters:
    """What happened since the client was made."""

    sent: int = 0
    retransmitted: int = 0
    answered: int = 0
    failed: int = 0
    dropped: dict[Dropped, int] = field(default_factory=lambda: dict.fromkeys(Dropped, 0))


@dataclass(slots=True, eq=False)
class Request:
    """A command on its way. `datagram` is to be sent as it is."""

    command: AnyCommand
    cookie: bytes
    datagram: bytes = field(repr=False)
    sent_at: float
    deadline: float
    retransmit_at: float
    retransmissions: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: a reply, or the error to raise; `elapsed_s` since it was first sent."""

    request: Request
    result: Reply | NgError
    elapsed_s: float


class NgClient:
    """Bookkeeping of the requests to one daemon."""

    def __init__(
        self,
        new_cookie: Callable[[], str],
        *,
        schedule: RetransmissionSchedule = DEFAULT_SCHEDULE,
    ) -> None:
        """Start without requests; `new_cookie` returns ASCII text without spaces, never twice the same."""
        self.counters = Counters()
        self._new_cookie = new_cookie
        self._schedule, self._first_s = schedule, schedule.interval_s(0)
        self._pending: dict[bytes, Request] = {}
        self._finished: deque[tuple[bytes, Dropped]] = deque(maxlen=_REMEMBERED_COOKIES)
        # Never later than the first thing to do. Not worked out anew for each reply: with many requests in flight that
        # would cost more than all the rest.
        self._wake_at = math.inf

    @property
    def pending(self) -> tuple[Request, ...]:
        """The requests that have neither reply nor error yet, oldest first."""
        return tuple(self._pending.values())

    def send(self, command: AnyCommand, now: float, *, deadline_s: float) -> Request:
        """Start a request that fails `deadline_s` from now; its datagram must be sent at once."""
        cookie = self._new_cookie().encode("ascii")
        if b" " in cookie or not cookie or cookie in self._pending:
            raise ValueError("cookie is empty, has a space or is in use")
        datagram = b"%b %b" % (cookie, command_to_bytes(command))
        if len(datagram) > bencode.MAX_SIZE_BYTES:
            raise NgBadDatagram("command too large for a datagram")
        deadline, retransmit_at = now + deadline_s, now + self._first_s
        request = Request(command, cookie, datagram, now, deadline, retransmit_at)
        first_to_do = min(deadline, retransmit_at)
        self._wake_at = min(self._wake_at, first_to_do) if self._pending else first_to_do
        self._pending[cookie] = request
        self.counters.sent += 1
        return request

    def receive(self, datagram: bytes, now: float) -> Outcome | None:
        """Take in a datagram; None when it answers nothing that is pending, which is counted."""
        cookie, separator, payload = datagram.partition(b" ")
        if not separator or not cookie:
            self._drop(Dropped.MALFORMED)
            return None
        request = self._pending.get(cookie)
        if request is None:
            self._drop(next((why for known, why in self._finished if known == cookie), Dropped.UNKNOWN))
            return None
        result: Reply | NgError
        try:
            result = _reply(request.command, payload)
        except NgError as error:
            result = error
        return self._finish(request, result, now, Dropped.DUPLICATE)

    def due(self, now: float) -> tuple[bytes, ...]:
        """Return the datagrams to send again, byte for byte what was sent before."""
        if now < self._wake_at:
            return ()
        datagrams = []
        self._wake_at = math.inf
        for request in self._pending.values():
            if request.retransmit_at <= now < request.deadline:
                request.retransmissions += 1
                request.retransmit_at = now + self._schedule.interval_s(request.retransmissions)
                datagrams.append(request.datagram)
            self._wake_at = min(self._wake_at, request.deadline, request.retransmit_at)
        self.counters.retransmitted += len(datagrams)
        return tuple(datagrams)

    def expire(self, now: float) -> tuple[Outcome, ...]:
        """End the requests whose deadline has come with NgTimeout."""
        if now < self._wake_at:
            return ()
        return tuple(
            self._finish(
                request, NgTimeout(request.command.command, now - request.sent_at), now, Dropped.LATE
            )
            for request in self.pending
            if request.deadline <= now
        )

    def fail(self, error: NgError, now: float) -> tuple[Outcome, ...]:
        """End all requests with `error`: the socket they were sent on is of no use."""
        return tuple(self._finish(request, error, now, Dropped.LATE) for request in self.pending)

    def abandon(self, request: Request, now: float) -> None:
        """Forget a request nobody waits for any more; its reply will count as late."""
        if request.cookie in self._pending:
            self._finish(
                request, NgTimeout(request.command.command, now - request.sent_at), now, Dropped.LATE
            )

    def next_deadline(self) -> float | None:
        """Return when to call `expire` and `due` next, None while no request is pending.

        Never late, but early when what had to be done then was answered meanwhile.
        """
        return self._wake_at if self._pending else None

    def _finish(self, request: Request, result: Reply | NgError, now: float, later: Dropped) -> Outcome:
        del self._pending[request.cookie]
        self._finished.append((request.cookie, later))
        if isinstance(result, NgError):
            self.counters.failed += 1
        else:
            self.counters.answered += 1
        return Outcome(request, result, now - request.sent_at)

    def _drop(self, why: Dropped) -> None:
        self.counters.dropped[why] += 1


def _reply(command: AnyCommand, payload: bytes) -> Reply:
    kind = command.reply_type
    if command.in_json:
        return statistics.reply_from_payload(command.command, kind, payload)
    if payload == _DONE_PAYLOAD or (kind is Done and payload.endswith(_SUCCESS)):
        return kind.from_ng(_DONE)
    if kind is SdpReply and (reply := SdpReply.from_payload(payload)) is not None:
        return reply
    return cast("Reply", reply_from_ng(command, _dictionary(payload)))


def _dictionary(payload: bytes) -> Dictionary:
    dictionary = bencode.decode(payload)
    if not isinstance(dictionary, dict):
        raise NgBadDatagram("reply is not a dictionary")
    return dictionary
