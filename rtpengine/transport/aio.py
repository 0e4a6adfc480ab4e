"""asyncio UDP shell of the ng client: many requests in flight on one socket."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final, Self, cast

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
from rtpengine.transport.address import family_of
from rtpengine.transport.log import log_outcome

_LOGGER: Final = logging.getLogger(__name__)


class AioClient(asyncio.DatagramProtocol):
    """Talks to one daemon from one event loop. Use `await AioClient.connect(address)` and `close()`."""

    def __init__(
        self,
        address: NodeAddress,
        *,
        deadline_s: float = 1.0,
        schedule: RetransmissionSchedule = DEFAULT_SCHEDULE,
        new_cookie: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        """Prepare; `connect` opens the socket."""
        self.address = address
        self._deadline_s = deadline_s
        self._core = NgClient(new_cookie, schedule=schedule)
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[bytes, asyncio.Future[Reply]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def connect(cls, address: NodeAddress, **options: Any) -> Self:
        """Open the socket; `options` are those of the constructor. Raises NgUnreachable without a route."""
        client = cls(address, **options)
        try:
            await client._loop.create_datagram_endpoint(
                lambda: client, remote_addr=(address.host, address.port), family=family_of(address)
            )
        except OSError as error:
            raise NgUnreachable(f"{address}: {error.strerror or error}") from None
        return client

    @property
    def counters(self) -> Counters:
        """What happened so far."""
        return self._core.counters

    async def request(self, command: Command[R], *, deadline_s: float | None = None) -> R:
        """Send `command` and return its reply; raises as `UdpClient.request` does."""
        if self._transport is None:
            raise NgUnreachable(f"{self.address}: client is closed")
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        request = self._core.send(command, self._loop.time(), deadline_s=deadline_s)
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._waiters[request.cookie] = waiter
        self._transport.sendto(request.datagram)
        self._set_timer()
        try:
            return cast("R", await waiter)  # the core read it as this command's reply
        finally:
            self._forget(request)

    async def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        """Send commands at once, to be carried out in any order; raises the first error after all have ended."""
        results = await asyncio.gather(*map(self.request, commands), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return cast("list[Reply]", results)

    def close(self) -> None:
        """Close the socket; requests in flight end with NgUnreachable."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._fail(NgUnreachable(f"{self.address}: client was closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Hand a datagram to the core (called by asyncio)."""
        del addr
        outcome = self._core.receive(data, self._loop.time())
        if outcome is not None:
            self._settle(outcome)
            self._set_timer()

    def error_received(self, exc: Exception) -> None:
        """End the requests in flight: the daemon's host refused one of them (called by asyncio)."""
        self._fail(NgUnreachable(f"{self.address}: {getattr(exc, 'strerror', None) or exc}"))

    def _fail(self, error: NgError) -> None:
        for outcome in self._core.fail(error, self._loop.time()):
            self._settle(outcome)
        self._set_timer()

    def _tick(self) -> None:
        now = self._loop.time()
        for outcome in self._core.expire(now):
            self._settle(outcome)
        for datagram in self._core.due(now):
            if self._transport is not None:
                self._transport.sendto(datagram)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wake_at = self._core.next_deadline()
        self._timer = None if wake_at is None else self._loop.call_at(wake_at, self._tick)

    def _settle(self, outcome: Outcome) -> None:
        log_outcome(_LOGGER, self.address, outcome)
        waiter = self._waiters[outcome.request.cookie]
        if waiter.done():
            return
        if isinstance(outcome.result, NgError):
            waiter.set_exception(outcome.result)
        else:
            waiter.set_result(outcome.result)

    def _forget(self, request: Request) -> None:
        del self._waiters[request.cookie]
        self._core.abandon(request, self._loop.time())
