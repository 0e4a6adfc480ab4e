"""New calls at a fixed rate, and what the page is told of each.

Knows one short call and how it may end.  Must not know faults.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from tests.bench.mixed.stage import MixedStage
from tests.faults.pages import KeptPage
from tests.integration.calls.offers import AUDIO
from tests.lab.subscribers import REALM
from tests.peers.call_plan import FINAL, SUCCESS
from tests.peers.sip import SipResponse
from tests.peers.trace import Entry, NothingMatchedError
from tests.peers.wic_call import OutgoingCall

T = TypeVar("T")

PATIENCE_S: Final = 12.0
"""Who has heard nothing by then was told nothing."""
TALK_S: Final = 0.3
_BACK_S: Final = 20.0


class End(StrEnum):
    """How a new call, or a request to the web API, ended for the user."""

    DONE = "done"
    TOLD = "told"
    """A status that says why, or the connection ended, which a page sees at once."""
    SILENT = "silent"
    """Nothing was heard in `PATIENCE_S`."""
    BROKEN = "broken"
    """It was answered, and one side never heard of its end."""


@dataclass(frozen=True)
class Attempt:
    """One call or request; times are monotonic."""

    began_at: float
    took_s: float
    """Until the answer or the end."""
    end: End
    what: str = ""


class _ConnectionLost(Exception):
    """The page's connection ended while it waited."""


class NewCalls:
    """Begins calls until it is stopped; each is answered at once and lasts a moment."""

    def __init__(self, stage: MixedStage, pages: Sequence[KeptPage], per_s: float) -> None:
        self._stage = stage
        self._pages = pages
        self._per_s = per_s
        self.attempts: list[Attempt] = []
        self._open: set[asyncio.Task[None]] = set()
        self._beginning: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._beginning = asyncio.create_task(self._begin_for_ever())

    async def stop(self) -> None:
        """Begin no more, and wait for those that run."""
        if self._beginning is not None:
            self._beginning.cancel()
        if self._open:
            await asyncio.gather(*self._open)

    @property
    def newest(self) -> list[Attempt]:
        """All that have ended, in the order of their beginning."""
        return sorted(self.attempts, key=lambda attempt: attempt.began_at)

    async def _begin_for_ever(self) -> None:
        began, number = time.monotonic(), 0
        while True:
            page = self._pages[number % len(self._pages)]
            task = asyncio.create_task(self._one(page))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            number += 1
            due = began + number / self._per_s
            if time.monotonic() - due > 1:  # a busy machine: no burst afterwards
                began, number, due = time.monotonic(), 0, time.monotonic()
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _one(self, page: KeptPage) -> None:
        began = time.monotonic()
        if not page.ready.is_set():
            self.attempts.append(Attempt(began, 0.0, End.TOLD, "no connection"))
            return
        wic = await page.wic.invite(f"sip:callee@{REALM}", AUDIO)
        end, what, took_s = await self._play(page, wic, began)
        self.attempts.append(Attempt(began, took_s, end, what))
        self._stage.ended(page.wic, [wic.call_id])

    async def _play(self, page: KeptPage, wic: OutgoingCall, began: float) -> tuple[End, str, float]:
        try:
            final = await unless_lost(page, wic.wait_status(FINAL, timeout_s=PATIENCE_S))
        except NothingMatchedError:
            await wic.cancel()
            return End.SILENT, " ".join(wic.ladder()), PATIENCE_S
        except _ConnectionLost:
            took_s = time.monotonic() - began
            if wic.trace.select(lambda entry: _answers(entry, wic.call_id)):
                return await self._hang_up(page, wic), "", took_s
            page.wic.calls.pop(wic.call_id, None)  # a page that has given up does not know the call any more
            return End.TOLD, "connection lost", time.monotonic() - began
        took_s = time.monotonic() - began
        if final.status not in SUCCESS:
            phrase = final.start_line.partition(" ")[2]
            return End.TOLD, phrase, took_s
        await asyncio.sleep(TALK_S)
        return await self._hang_up(page, wic), "", took_s

    async def _hang_up(self, page: KeptPage, wic: OutgoingCall) -> End:
        """End the call, after a lost connection over the next one; both sides have to hear of it."""
        deadline = time.monotonic() + _BACK_S
        core = self._stage.core.trace
        while time.monotonic() < deadline:
            try:
                await asyncio.wait_for(page.ready.wait(), _BACK_S)
                await unless_lost(page, wic.ask(wic.request("BYE"), timeout_s=PATIENCE_S))
                await core.wait_request("BYE", call_id=wic.call_id, timeout_s=PATIENCE_S)
            except (NothingMatchedError, _ConnectionLost, TimeoutError):
                continue
            return End.DONE
        return End.BROKEN


def _answers(entry: Entry, call_id: str) -> bool:
    message = entry.message
    return (
        isinstance(message, SipResponse)
        and message.call_id == call_id
        and message.cseq.method == "INVITE"
        and message.status in SUCCESS
    )


async def unless_lost(page: KeptPage, work: Coroutine[Any, Any, T]) -> T:
    """Wait for something; raise _ConnectionLost when the page's connection ends meanwhile."""
    waiting = asyncio.ensure_future(work)
    lost = asyncio.ensure_future(page.wic.lost.wait())
    try:
        await asyncio.wait((waiting, lost), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise _ConnectionLost
    finally:
        for task in (waiting, lost):
            if not task.done():
                task.cancel()
