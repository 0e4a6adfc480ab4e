"""asyncio UDP shell of the ng client: many requests in flight on one socket."""

import asyncio
import itertools
import logging
import secrets
import socket
from typing import Any, Final, Self, cast

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
from rtpengine.transport.address import connected_socket, send, unreachable
from rtpengine.transport.log import log_outcome

_LOGGER: Final = logging.getLogger(__name__)
_MOST_AT_ONCE: Final = 64
"""Replies that are read before others get their turn."""


class AioClient:
    """Talks to one daemon from one event loop. Use `await AioClient.connect(address)` and `close()`."""

    def __init__(
        self,
        address: NodeAddress,
        *,
        deadline_s: float = 1.0,
        schedule: RetransmissionSchedule = DEFAULT_SCHEDULE,
    ) -> None:
        """Prepare; `connect` opens the socket."""
        self.address = address
        self._deadline_s = deadline_s
        cookies = (
            f"{prefix}-{number:x}" for prefix in (secrets.token_hex(8),) for number in itertools.count()
        )
        self._core = NgClient(lambda: next(cookies), schedule=schedule)
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[bytes, asyncio.Future[Reply | NgError]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None

    @classmethod
    async def connect(cls, address: NodeAddress, **options: Any) -> Self:
        """Open the socket; `options` are those of the constructor. Raises NgUnreachable without a route."""
        client = cls(address, **options)
        client._socket = connected_socket(address)
        client._loop.add_reader(client._socket, client._read)
        return client

    @property
    def counters(self) -> Counters:
        """What happened so far."""
        return self._core.counters

    async def request(self, command: Command[R], *, deadline_s: float | None = None) -> R:
        """Send `command` and return its reply; raises as `UdpClient.request` does."""
        (reply,) = await self.request_all((command,), deadline_s=deadline_s)
        return cast("R", reply)  # the core read it as this command's reply

    async def request_all(
        self, commands: tuple[Command[Any], ...], *, deadline_s: float | None = None
    ) -> list[Reply]:
        """Send commands at once, to be carried out in any order; raises the first error after all have ended."""
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        started: list[Request] = []
        try:
            for command in commands:
                started.append(self._start(command, deadline_s))
            results = [await self._waiters[request.cookie] for request in started]
        finally:
            for request in started:
                del self._waiters[request.cookie]
                self._core.abandon(request, self._loop.time())
        for result in results:
            if isinstance(result, NgError):
                raise result
        return cast("list[Reply]", results)

    def close(self) -> None:
        """Close the socket; requests in flight end with NgUnreachable."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._fail(NgUnreachable(f"{self.address}: client was closed"))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, command: Command[Any], deadline_s: float) -> Request:
        if self._socket is None:
            raise NgUnreachable(f"{self.address}: client is closed")
        request = self._core.send(command, self._loop.time(), deadline_s=deadline_s)
        self._waiters[request.cookie] = self._loop.create_future()
        self._send(request.datagram)
        self._set_timer()
        return request

    def _send(self, datagram: bytes) -> None:
        """Send, or leave it to the retransmission where the network has no room."""
        if self._socket is None:
            return
        try:
            send(self._socket, datagram)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(unreachable(self.address, error))

    def _read(self) -> None:
        """Hand what has arrived to the core."""
        for _ in range(_MOST_AT_ONCE):
            if self._socket is None:
                return
            try:
                datagram = self._socket.recv(MAX_SIZE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(unreachable(self.address, error))
                return
            outcome = self._core.receive(datagram, self._loop.time())
            if outcome is not None:
                self._settle(outcome)

    def _fail(self, error: NgError) -> None:
        for outcome in self._core.fail(error, self._loop.time()):
            self._settle(outcome)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        for outcome in self._core.expire(now):
            self._settle(outcome)
        for datagram in self._core.due(now):
            self._send(datagram)
        self._set_timer()

    def _set_timer(self) -> None:
        """See to it that `_tick` comes no later than the core wants; early does no harm."""
        wake_at = self._core.next_deadline()
        if wake_at is None or (self._timer is not None and self._timer.when() <= wake_at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(wake_at, self._tick)

    def _settle(self, outcome: Outcome) -> None:
        log_outcome(_LOGGER, self.address, outcome)
        waiter = self._waiters[outcome.request.cookie]
        if not waiter.done():
            waiter.set_result(outcome.result)
