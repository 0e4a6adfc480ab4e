"""Blocking UDP shell of the ng client, for synchronous worker processes.

One request at a time, each with an overall deadline that includes its retransmissions. The socket is created
on first use and again after a fork: a child that shared its parent's socket would take its replies.
"""

import logging
import os
import secrets
import select
import socket
import time
from collections.abc import Callable
from typing import Final, cast

from rtpengine.ng.bencode import MAX_SIZE_BYTES
from rtpengine.ng.commands import Command, R
from rtpengine.ng.errors import NgError, NgUnreachable
from rtpengine.ng.protocol import DEFAULT_SCHEDULE, Counters, NgClient, Outcome, RetransmissionSchedule
from rtpengine.pool import NodeAddress
from rtpengine.transport.address import family_of
from rtpengine.transport.log import log_outcome

_LOGGER: Final = logging.getLogger(__name__)


class UdpClient:
    """Talks to one daemon; not for use by several threads."""

    def __init__(
        self,
        address: NodeAddress,
        *,
        deadline_s: float = 1.0,
        schedule: RetransmissionSchedule = DEFAULT_SCHEDULE,
        new_cookie: Callable[[], str] = lambda: secrets.token_hex(8),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is opened yet. `deadline_s` holds for requests that bring no own deadline."""
        self.address = address
        self._deadline_s = deadline_s
        self._clock = clock
        self._core = NgClient(new_cookie, schedule=schedule)
        self._family = family_of(address)
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
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        connection = self._ready_socket()
        request = self._core.send(command, self._clock(), deadline_s=deadline_s)
        try:
            connection.send(request.datagram)
            outcome = self._wait(connection)
        except OSError as error:
            (outcome,) = self._core.fail(_unreachable(self.address, error), self._clock())
        except BaseException:
            self._core.abandon(request, self._clock())
            raise
        log_outcome(_LOGGER, self.address, outcome)
        if isinstance(outcome.result, NgError):
            raise outcome.result
        return cast("R", outcome.result)  # the core read it as this command's reply

    def close(self) -> None:
        """Close the socket; the next request opens a new one."""
        if self._socket is not None:
            self._poll.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _wait(self, connection: socket.socket) -> Outcome:
        while True:
            now = self._clock()
            if expired := self._core.expire(now):
                return expired[0]
            for datagram in self._core.due(now):
                connection.send(datagram)
            wake_at = self._core.next_deadline()
            assert wake_at is not None
            if self._poll.poll(max(0.0, wake_at - now) * 1000):
                outcome = self._core.receive(connection.recv(MAX_SIZE_BYTES), self._clock())
                if outcome is not None:
                    return outcome

    def _ready_socket(self) -> socket.socket:
        """Return this process's socket, emptied of replies and ICMP errors that came for earlier requests."""
        if self._socket is not None and self._owner_pid == os.getpid():
            try:
                while True:
                    self._core.receive(self._socket.recv(MAX_SIZE_BYTES), self._clock())
            except BlockingIOError:
                return self._socket
            except OSError:
                # The refusal of an earlier datagram: the daemon may be back by now.
                pass
        self.close()
        self._socket = self._connected_socket()
        self._owner_pid = os.getpid()
        self._poll.register(self._socket, select.POLLIN)
        return self._socket

    def _connected_socket(self) -> socket.socket:
        connection = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            connection.setblocking(False)
            connection.connect((self.address.host, self.address.port))
        except OSError as error:
            connection.close()
            raise _unreachable(self.address, error) from None
        return connection


def _unreachable(address: NodeAddress, error: OSError) -> NgUnreachable:
    return NgUnreachable(f"{address}: {error.strerror or error}")
