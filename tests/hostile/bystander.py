"""A page at another address, which goes on as every page does, whatever somebody else does to the site.

Knows registrations and calls.  Must not know who attacks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB
from tests.peers.core import ScriptedCore
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity

PATIENCE_S = 10.0


@dataclass
class Told:
    """What it has seen, in seconds for each attempt."""

    connections: list[float] = field(default_factory=list)
    """TCP, TLS, WebSocket and the first REGISTER of another page."""
    registers: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    """From the INVITE to the answer."""
    failures: list[str] = field(default_factory=list)


class Bystander:
    """Registers again and calls every second, and has another page connect."""

    def __init__(
        self, handshake: Handshake, identity: WicIdentity, core: ScriptedCore, every_s: float = 1.0
    ) -> None:
        self._handshake = handshake
        self._identity = identity
        self._core = core
        self._every_s = every_s
        self._over = False
        self.told = Told()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Told]:
        """Go on until the block ends."""
        async with ScriptedWic(self._handshake, self._identity) as page:
            response = await page.register()
            assert response.status == 200, response.start_line
            tasks = [
                asyncio.create_task(self._again(self._register, page)),
                asyncio.create_task(self._again(self._call, page)),
                asyncio.create_task(self._again(self._connect, page)),
            ]
            try:
                yield self.told
            finally:
                self._over = True
                await asyncio.gather(*tasks)

    async def _again(self, step: Callable[[ScriptedWic], Awaitable[None]], page: ScriptedWic) -> None:
        while not self._over:
            began = time.monotonic()
            try:
                await asyncio.wait_for(step(page), PATIENCE_S)
            except Exception as error:
                self.told.failures.append(
                    f"{step.__name__.strip('_')}: {type(error).__name__}: {error}"[:300]
                )
            await asyncio.sleep(max(0.0, began + self._every_s - time.monotonic()))

    async def _register(self, page: ScriptedWic) -> None:
        began = time.monotonic()
        response = await page.register()
        assert response.status == 200, response.start_line
        self.told.registers.append(time.monotonic() - began)

    async def _call(self, page: ScriptedWic) -> None:
        began = time.monotonic()
        call = await page.invite(BOB, AUDIO)
        await call.wait_answer(PATIENCE_S)
        self.told.calls.append(time.monotonic() - began)
        far_end = await self._core.wait_call()
        await far_end.wait_ack()
        response = await call.bye()
        assert response.status == 200, response.start_line

    async def _connect(self, _page: ScriptedWic) -> None:
        began = time.monotonic()
        identity = WicIdentity(self._identity.aor, credentials=self._identity.credentials)
        async with ScriptedWic(self._handshake, identity) as other:
            response = await other.register()
            assert response.status == 200, response.start_line
            self.told.connections.append(time.monotonic() - began)
            await other.unregister()
