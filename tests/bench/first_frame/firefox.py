"""Debian's Firefox ESR with a camera.

Knows the browser and its clock.  Must not know calls.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Final, Self

from tests.bench.first_frame.camera import PAGE, START, CameraMedia
from tests.browser.firefox import Firefox, FirefoxTab

_CLOCK_TRIES: Final = 20


class FirefoxCamera:
    """The browser with one page of this origin; use as an async context manager."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._browser = Firefox()
        self._clock_s = 0.0

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._browser.__enter__)
        self._tab: FirefoxTab = await asyncio.to_thread(self._browser.new_tab)
        await asyncio.to_thread(self._tab.goto, self._origin)
        await self._evaluate(f"() => {{ {PAGE} }}")
        await self._evaluate(START)
        self._clock_s = await self._clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._browser.__exit__, kind, error, trace)

    def media(self) -> CameraMedia:
        """Return the media of one call."""
        return CameraMedia(self._evaluate, self._clock_s)

    async def _evaluate(self, function: str, argument: object = None) -> Any:
        return await asyncio.to_thread(self._tab.evaluate, function, argument)

    async def _clock(self) -> float:
        """Return the monotonic time at which the page's clock stood at zero; the fastest answer is the truest."""
        found: list[tuple[float, float]] = []
        for _ in range(_CLOCK_TRIES):
            before_s = time.monotonic()
            now_ms = await self._evaluate("() => performance.now()")
            after_s = time.monotonic()
            found.append((after_s - before_s, (before_s + after_s) / 2 - now_ms / 1000))
        return min(found)[1]
