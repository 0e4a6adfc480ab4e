"""Watches one node: pings it, counts its calls, notices a restart."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from rtpengine.agent import metrics
from rtpengine.agent.settings import HealthSettings, NodeSettings
from rtpengine.health import Health, NodeState
from rtpengine.ng.commands import Command, Ping, R, Statistics
from rtpengine.ng.errors import NgError, NgErrorReply, NgUnreachable
from rtpengine.transport.aio import AioClient

_LOGGER: Final = logging.getLogger(__name__)
PING_DEADLINE_S: Final = 2.0


class NodeWatch:
    """What is known of one node."""

    def __init__(
        self,
        node: NodeSettings,
        settings: HealthSettings,
        on_change: Callable[["NodeWatch"], None],
        on_count: Callable[[], None],
    ) -> None:
        """`on_change`: called when the state is another one, or the daemon was restarted; `on_count`: when calls were
        counted.
        """
        self.name = node.name
        self.version = node.version
        self.health = Health(settings.patience)
        self.calls: int | None = None
        self.counted = 0.0
        """When, in seconds since the epoch."""
        self.restarts = 0
        self._client: AioClient | None = None
        self._address = node.ng
        self._settings = settings
        self._on_change = on_change
        self._on_count = on_count
        self._uptime_s = 0
        self._pings: set[asyncio.Task[None]] = set()
        self._newest = 0
        """The number of the ping that went out last."""

    @property
    def state(self) -> NodeState:
        """Its state."""
        return self.health.state

    def silent_s(self) -> float | None:
        """Tell how long ago it answered, None if it never did."""
        answered_at = self.health.answered_at
        return None if answered_at is None else round(asyncio.get_running_loop().time() - answered_at, 3)

    async def ask(self, command: Command[R], **options: float) -> R:
        """Send a command; raises NgError, as `AioClient.request` does."""
        if self._client is None:
            raise NgUnreachable(f"{self.name}: not connected yet")
        return await self._client.request(command, **options)

    async def run(self) -> None:
        """Watch until cancelled."""
        while self._client is None:
            try:
                self._client = await AioClient.connect(self._address)
            except NgUnreachable:  # no route
                self._changing(self.health.refused)
                await asyncio.sleep(self._settings.statistics_s)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ping_for_ever())
                tasks.create_task(self._count_for_ever())
        finally:
            self._client.close()

    async def _ping_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changing(lambda: self.health.look(loop.time()))
            self.health.pinged(loop.time())
            self._newest += 1
            ping = loop.create_task(self._ping(self._newest))
            self._pings.add(ping)
            ping.add_done_callback(self._pings.discard)
            await asyncio.sleep(self._settings.ping_s)

    async def _ping(self, number: int) -> None:
        began = time.perf_counter()
        try:
            await self.ask(Ping(), deadline_s=PING_DEADLINE_S)
        except NgUnreachable:
            if number == self._newest:  # one error of the socket ends all pings that are out
                self._changing(self.health.refused)
        except NgErrorReply:
            self._heard()  # whoever refuses is alive
        except NgError:
            pass
        else:
            metrics.PINGS.labels(self.name).observe(time.perf_counter() - began)
            self._heard()

    def _heard(self) -> None:
        now = asyncio.get_running_loop().time()
        self._changing(lambda: self.health.answered(now))

    async def _count_for_ever(self) -> None:
        while True:
            if self.state in (NodeState.UP, NodeState.RETURNING):
                await self._count()
            await asyncio.sleep(self._settings.statistics_s)

    async def _count(self) -> None:
        try:
            found = await self.ask(Statistics())
        except NgError as error:
            _LOGGER.info("event=node_not_counted node=%s detail=%r", self.name, str(error))
            return
        self.calls, self.counted = found.calls, time.time()
        metrics.CALLS.labels(self.name).set(found.calls)
        if found.uptime_s < self._uptime_s:
            self.restarts += 1
            metrics.RESTARTS.labels(self.name).inc()
            _LOGGER.warning("event=node_restarted node=%s", self.name)
            self._on_change(self)
        else:
            self._on_count()
        self._uptime_s = found.uptime_s

    def _changing(self, step: Callable[[], None]) -> None:
        before = self.state
        step()
        if self.state is not before:
            metrics.CHANGES.labels(self.name, self.state.value).inc()
            metrics.UP.labels(self.name).set(int(self.state is NodeState.UP))
            if self.state is NodeState.DOWN:
                self.calls = None
                metrics.CALLS.remove(self.name)
            level = logging.WARNING if self.state in (NodeState.DOWN, NodeState.SUSPECT) else logging.INFO
            _LOGGER.log(
                level, "event=node_state_changed node=%s state=%s was=%s", self.name, self.state, before
            )
            self._on_change(self)
