"""Pages that come back when they lose their connection, as the SDK lets them.

Knows connecting and registering.  Must not know calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from websockets.exceptions import WebSocketException

from tests.bench.mixed.stage import MixedStage
from tests.lab.subscribers import REALM
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity

_RETRY_S: Final = 0.5
_ATTEMPT_S: Final = 5.0
_TROUBLE: Final = (OSError, TimeoutError, AssertionError, WebSocketException)


class KeptPage:
    """One page; `ready` while it is registered over a connection that is there."""

    def __init__(self, stage: MixedStage, handshake: Handshake, name: str) -> None:
        self._stage = stage
        self.wic = ScriptedWic(handshake, WicIdentity(f"sip:{name}@{REALM}"))
        self.ready = asyncio.Event()
        self.back_at = 0.0
        """Monotonic time of its newest registration."""
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and register for the first time."""
        await self._stage.join(self.wic)
        self._is_back()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Sign off and go."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        with contextlib.suppress(*_TROUBLE):
            await self.wic.unregister()
        await self.wic.close()

    def _is_back(self) -> None:
        self.back_at = time.monotonic()
        self.ready.set()

    async def _keep(self) -> None:
        while True:
            await self.wic.lost.wait()
            self.ready.clear()
            while not await self._comes_back():
                await asyncio.sleep(_RETRY_S)
            self._is_back()

    async def _comes_back(self) -> bool:
        try:
            async with asyncio.timeout(_ATTEMPT_S):  # wait_for may lose a cancellation (until Python 3.12)
                await self.wic.connect()
            if (await self.wic.register(timeout_s=_ATTEMPT_S)).status == 200:
                return True
        except _TROUBLE:
            pass
        if not self.wic.lost.is_set():
            with contextlib.suppress(OSError):
                self.wic.lose()
            await self.wic.lost.wait()
        return False
