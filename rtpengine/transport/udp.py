"""Blocking UDP shell of the ng client, for synchronous worker processes.

Requests go one by one or several at once, each with an overall deadline that includes its retransmissions. The
socket is created on first use and again after a fork: a child that shared its parent's socket would take its replies.
"""

import itertools
import logging
import os
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Final, cast

from rtpengine.ng.bencode import MAX_SIZE_BYTES
from rtpengine.ng.commands import Command, R
from rtpengine.ng.errors import NgError, NgUnreachable
from rtpengine.ng.protocol import (
    DEFAULT_SCHEDULE,
    Counters,
    NgClient,
    Outcome,
    Request,
    RetransmissionSchedule,
)
from rtpengine.ng.replies import Reply
from rtpengine.pool import NodeAddress
from rtpengine.transport.address import connected_socket, family_of, send, unreachable
from rtpengine.transport.log import log_outcome

_LOGGER: Final = logging.getLogger(__name__)
LOOK_S: Final = 0.03
# The socket waits by itself: a poll() before each reply would be a system call more.
_LOOK_TIMEVAL: Final = struct.pack("@ll", 0, int(LOOK_S * 1_000_000))


class UdpClient:
    """Talks to one daemon; not for use by several threads."""

    def __init__(
        self,
        address: NodeAddress,
        *,
        deadline_s: float = 1.0,
        schedule: RetransmissionSchedule = DEFAULT_SCHEDULE,
        clock: Callable[[], float] = time.monotonic,
        give_up: Callable[[], bool] | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            address: where the daemon listens.
            deadline_s: holds for requests that bring no own deadline.
            schedule: of retransmissions.
            clock: seconds that never go back.
            give_up: asked each LOOK_S or two while a reply is waited for: whether the daemon is known to be down.
        """
        self.address = address
        self._deadline_s = deadline_s
        self._clock = clock
        self._give_up = give_up
        self._core = NgClient(self._numbered_cookie, schedule=schedule)
        self._cookie_prefix = ""
        self._cookie_numbers = itertools.count()
        family_of(address)  # refuses a host name now
        self._socket: socket.socket | None = None
        # Not select(): a worker with many TCP connections has descriptors beyond its limit of 1024.
        self._poll = select.poll()
        self._owner_pid = 0

    @property
    def counters(self) -> Counters:
        """What happened so far in this process and, before a fork, in its parent."""
        return self._core.counters

    def request(self, command: Command[R], *, deadline_s: float | None = None) -> R:
        """Send `command` and return its reply.

        Raises NgTimeout after `deadline_s`, NgUnreachable as soon as the network refuses the datagram,
        NgErrorReply when the daemon refuses the command, NgBadDatagram when its reply cannot be read.
        """
        (reply,) = self.request_all((command,), deadline_s=deadline_s)
        return cast("R", reply)  # the core read it as this command's reply

    def request_all(
        self, commands: tuple[Command[Any], ...], *, deadline_s: float | None = None
    ) -> list[Reply]:
        """Send commands at once, to be carried out in any order; return their replies when all are there.

        Raises the first error, as `request` does, after all have ended.
        """
        connection = self._ready_socket()
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        started: list[Request] = []
        ended: dict[bytes, Reply | NgError] = {}
        try:
            for command in commands:
                started.append(self._core.send(command, self._clock(), deadline_s=deadline_s))
            for request in started:
                send(connection, request.datagram)
            while len(ended) < len(started):
                self._wait(connection, ended)
        except OSError as error:
            self._fail(unreachable(self.address, error), ended)
        finally:
            if len(ended) < len(started):
                for request in started:
                    self._core.abandon(request, self._clock())
        replies = []
        for request in started:
            result = ended[request.cookie]
            if isinstance(result, NgError):
                raise result
            replies.append(result)
        return replies

    def close(self) -> None:
        """Close the socket; the next request opens a new one."""
        if self._socket is not None:
            self._poll.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def send_only(self, commands: tuple[Command[Any], ...]) -> None:
        """Send commands once and wait for nothing; nobody hears whether they were carried out."""
        try:
            connection = self._ready_socket()
            for command in commands:
                request = self._core.send(command, self._clock(), deadline_s=self._deadline_s)
                self._core.abandon(request, self._clock())
                send(connection, request.datagram)
        except (OSError, NgUnreachable):
            return

    def _numbered_cookie(self) -> str:
        return f"{self._cookie_prefix}-{next(self._cookie_numbers):x}"

    def _wait(self, connection: socket.socket, ended: dict[bytes, Reply | NgError]) -> None:
        """Wait for one datagram or what has to be done before; note what has ended."""
        now, wake_at = self._clock(), self._core.next_deadline()
        if wake_at is None or wake_at <= now:
            for outcome in self._core.expire(now):
                self._note(outcome, ended)
            for datagram in self._core.due(now):
                connection.send(datagram)
            return
        if wake_at - now < LOOK_S and not self._poll.poll((wake_at - now) * 1000):
            return
        try:
            datagram = connection.recv(MAX_SIZE_BYTES)
        except BlockingIOError:  # nothing came for LOOK_S
            if self._give_up is not None and self._give_up():
                self._fail(NgUnreachable(f"{self.address}: known to be down"), ended)
            return
        received = self._core.receive(datagram, self._clock())
        if received is not None:
            self._note(received, ended)

    def _fail(self, error: NgError, ended: dict[bytes, Reply | NgError]) -> None:
        for outcome in self._core.fail(error, self._clock()):
            self._note(outcome, ended)

    def _note(self, outcome: Outcome, ended: dict[bytes, Reply | NgError]) -> None:
        log_outcome(_LOGGER, self.address, outcome)
        ended[outcome.request.cookie] = outcome.result

    def _ready_socket(self) -> socket.socket:
        """Return this process's socket; late replies to earlier requests may wait in it."""
        if self._socket is not None and self._owner_pid == os.getpid():
            return self._socket
        self.close()
        self._socket = connected_socket(self.address)
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LOOK_TIMEVAL)
        self._owner_pid = os.getpid()
        self._cookie_prefix = secrets.token_hex(8)  # a child must not repeat its parent's cookies
        self._poll.register(self._socket, select.POLLIN)
        return self._socket
