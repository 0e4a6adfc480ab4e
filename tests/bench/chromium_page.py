"""A Chromium with one empty page that a bench fills with a script, and whose clock is known.

Knows the browser and its clock.  Must not know calls.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from playwright.async_api import Browser, Page, Playwright, async_playwright

from tests.browser.softphone import ARGUMENTS, CHROMIUM, PERMISSION

_CLOCK_TRIES: Final = 20
_ORIGIN: Final = "https://bench.example/"
_ARGUMENTS: Final = (*ARGUMENTS, *PERMISSION, "--disable-features=WebRtcHideLocalIpsWithMdns")


class ChromiumPage:
    """One browser with one page for all calls; use as an async context manager."""

    page: Page
    clock_s: float
    """The monotonic time at which the page's clock stood at zero."""
    _playwright: Playwright
    _browser: Browser

    def __init__(self, script: str, start: str, argument: Any = None, *, permissions: Sequence[str]) -> None:
        """``script`` defines what the bench calls; ``start`` is evaluated with ``argument`` when the page is there."""
        self._script, self._start, self._argument = script, start, argument
        self._permissions = permissions

    async def __aenter__(self) -> Self:
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=_ARGUMENTS
        )
        context = await self._browser.new_context(permissions=self._permissions)
        self.page = await context.new_page()
        await self.page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="<p>page"))
        await self.page.goto(_ORIGIN)
        await self.page.add_script_tag(content=self._script)
        await self.page.evaluate(self._start, self._argument)
        self.clock_s = await self._clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._browser.close()
        await self._playwright.stop()

    async def _clock(self) -> float:
        """Ask some times; the fastest answer is the truest."""
        found: list[tuple[float, float]] = []
        for _ in range(_CLOCK_TRIES):
            before_s = time.monotonic()
            now_ms = await self.page.evaluate("() => performance.now()")
            after_s = time.monotonic()
            found.append((after_s - before_s, (before_s + after_s) / 2 - now_ms / 1000))
        return min(found)[1]
