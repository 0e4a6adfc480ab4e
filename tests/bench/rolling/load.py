"""Calls from and to pages at a fixed rate, whatever happens to the gateways.

Knows which calls failed and how long they took.  Must not know what is done to the gateways.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tests.integration.calls.offers import AUDIO
from tests.lab.subscribers import REALM
from tests.peers.core import RegistrarScript, ScriptedCore
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import IncomingCall, OutgoingCall

TARGET: Final = f"sip:bob@{REALM}"
SUCCESS: Final = range(200, 700)
_TRIES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_SETUP_S: Final = 12.0


@dataclass
class Outcome:
    """What became of all calls."""

    begun: dict[str, int] = field(default_factory=lambda: {"from pages": 0, "to pages": 0})
    failed: list[str] = field(default_factory=list)
    setup_s: dict[str, list[float]] = field(default_factory=lambda: {"from pages": [], "to pages": []})
    sent_again: int = 0
    """INVITEs of pages that met the closing of their connection, and were sent again over the next one."""
    away_s: list[float] = field(default_factory=list)
    """How long pages were without a registration when they changed the gateway."""


class LoadPage(ScriptedWic):
    """A page that comes back by itself, as the SDK does, and answers its calls."""

    def __init__(self, url: str, origin: str, number: int, outcome: Outcome) -> None:
        handshake = Handshake(url, origin=origin, forwarded_for=None)
        super().__init__(handshake, WicIdentity(f"sip:page{number}@{REALM}"))
        self._outcome = outcome
        self.is_back = asyncio.Event()
        self._own: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Register, and stay registered."""
        await self._come()
        self._own = [asyncio.create_task(self._stay()), asyncio.create_task(self._answer_calls())]

    @property
    def is_ready(self) -> bool:
        """Whether it can call."""
        return self.is_back.is_set() and not self.lost.is_set()

    def forget(self, call_id: str) -> list[str]:
        """Forget a call that is over: a run of many calls would search all of them for every message."""
        self.trace.forget(call_id)
        call = self.calls.pop(call_id, None)
        return call.violations if call is not None else []

    async def end(self) -> None:
        """Go for good."""
        for task in self._own:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.close()

    async def _come(self) -> None:
        for wait_s in (*_TRIES_S, None):
            try:
                await self.connect()
                response = await self.register()
                if response.status == 200:
                    self.is_back.set()
                    return
            except Exception as error:
                if wait_s is None:
                    raise ConnectionError(f"{self.identity.aor}: {error}") from error
            await asyncio.sleep(wait_s or 0)

    async def _stay(self) -> None:
        while True:
            await self.lost.wait()
            began = time.monotonic()
            self.is_back.clear()
            await asyncio.sleep(0.5 + random.random() / 2)  # as the SDK does
            await self._come()
            self._outcome.away_s.append(time.monotonic() - began)

    async def _answer_calls(self) -> None:
        while True:
            call = await self._incoming.get()
            self._spawn(self._answer(call))

    @staticmethod
    async def _answer(call: IncomingCall) -> None:
        await call.ring()
        await asyncio.sleep(0.2)
        with suppress(AssertionError):  # who called says what went wrong
            await call.answer(timeout_s=_SETUP_S)


class Load:
    """Pages, the core, and their calls."""

    def __init__(self, core: ScriptedCore, pages: list[LoadPage], outcome: Outcome, hold_s: float) -> None:
        self.core = core
        self.core.registrar = RegistrarScript(realm=REALM, associated_uris=())
        self.pages = pages
        self.outcome = outcome
        self.hold_s = hold_s
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, until: asyncio.Event) -> None:
        """Begin calls until told to stop, then wait for all of them."""
        due = time.monotonic()
        number = 0
        while not until.is_set():
            number += 1
            call = self._from_page() if number % 2 else self._to_page()
            task = asyncio.create_task(call)
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*self._running)

    async def _judged(self, what: str, call_id: str, steps: Awaitable[None]) -> None:
        try:
            await steps
        except (AssertionError, TimeoutError, OSError) as error:
            text = " ".join(str(error).split())[:400]
            self.outcome.failed.append(f"{what} {call_id}: {type(error).__name__}: {text}")

    async def _from_page(self) -> None:
        ready = [page for page in self.pages if page.is_ready]
        page = random.choice(ready)
        self.outcome.begun["from pages"] += 1
        began = time.monotonic()
        call = await page.invite(TARGET, AUDIO)
        if await self._met_the_end(page, call):
            page.forget(call.call_id)
            self.outcome.sent_again += 1
            await page.is_back.wait()
            call = await page.invite(TARGET, AUDIO)

        async def steps() -> None:
            response = await call.wait_status(SUCCESS, timeout_s=_SETUP_S)
            assert response.status == 200, response.start_line
            self.outcome.setup_s["from pages"].append(time.monotonic() - began)
            await asyncio.sleep(self.hold_s)
            response = await call.bye()
            assert response.status == 200, response.start_line

        await self._judged("from page", call.call_id, steps())
        self._forget(page, call.call_id)

    @staticmethod
    async def _met_the_end(page: LoadPage, call: OutgoingCall) -> bool:
        """Whether an INVITE was sent down a connection that the gateway was closing at that moment."""
        lost = asyncio.create_task(page.lost.wait())
        heard = asyncio.create_task(call.wait_status(range(100, 700), timeout_s=_SETUP_S))
        await asyncio.wait((lost, heard), return_when=asyncio.FIRST_COMPLETED)
        unheard = not heard.done()
        for task in (lost, heard):
            task.cancel()
        await asyncio.gather(lost, heard, return_exceptions=True)
        return unheard

    async def _to_page(self) -> None:
        page = random.choice(self.pages)
        self.outcome.begun["to pages"] += 1
        began = time.monotonic()
        call = self.core.call(page.identity.aor)

        async def steps() -> None:
            response = await call.wait_status(SUCCESS, timeout_s=_SETUP_S)
            assert response.status == 200, response.start_line
            self.outcome.setup_s["to pages"].append(time.monotonic() - began)
            await asyncio.sleep(self.hold_s)
            response = await call.bye()
            assert response.status == 200, response.start_line

        await self._judged("to page", call.call_id, steps())
        self._forget(page, call.call_id)

    def _forget(self, page: LoadPage, call_id: str) -> None:
        self.core.trace.forget(call_id)
        call = self.core.calls.pop(call_id, None)
        seen = [*page.forget(call_id), *(call.violations if call is not None else ())]
        if seen:
            self.outcome.failed.append(f"{call_id}: {seen}")
