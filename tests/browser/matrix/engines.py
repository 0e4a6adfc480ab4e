"""Pages of the web origin in real browsers, with one interface for all of them.

Knows playwright and our Firefox. Must not know SIP.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Protocol, Self

from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.browser.firefox import Firefox
from tests.browser.matrix.cells import Engine
from tests.browser.softphone import ARGUMENTS, CHROMIUM, PERMISSION

TONE_HZ: Final = 1000.0


class Tab(Protocol):
    """One page."""

    @property
    def console(self) -> list[str]:
        """What the page wrote into its console."""

    def goto(self, url: str) -> None:
        """Load a page."""

    def evaluate(self, function: str, argument: object = None) -> Any:
        """Call a function of the page with one argument."""

    def close(self) -> None:
        """Close the page."""


class ChromiumTab:
    """A page of Chromium."""

    def __init__(self, browser: Browser) -> None:
        # The lab signs its own certificate.
        self._context = browser.new_context(ignore_https_errors=True)
        self._page: Page = self._context.new_page()
        self.console: list[str] = []
        self._page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))

    def goto(self, url: str) -> None:
        self._page.goto(url)

    def evaluate(self, function: str, argument: object = None) -> Any:
        return self._page.evaluate(function, argument)

    def close(self) -> None:
        self._context.close()


class Browsers:
    """One browser of each kind, started when it is first wanted, and again when it has crashed."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._chromium: Browser | None = None
        self._firefox: Firefox | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._firefox is not None:
            self._firefox.__exit__(kind, error, trace)
        if self._chromium is not None:
            self._chromium.close()
        if self._playwright is not None:
            self._playwright.stop()

    def new_tab(self, engine: Engine) -> Tab:
        """Open an empty page."""
        if engine is Engine.FIREFOX:
            if self._firefox is not None and not self._firefox.is_running:
                self._firefox.__exit__(None, None, None)
                self._firefox = None
            if self._firefox is None:
                self._firefox = Firefox({"media.navigator.audio.fake_frequency": round(TONE_HZ)}).__enter__()
            return self._firefox.new_tab()
        if self._chromium is None or not self._chromium.is_connected():
            self._playwright = self._playwright or sync_playwright().start()  # a second one cannot be started
            self._chromium = self._playwright.chromium.launch(
                executable_path=CHROMIUM, headless=True, args=[*ARGUMENTS, *PERMISSION]
            )
        return ChromiumTab(self._chromium)


def tone_of_page(engine: Engine) -> float | None:
    """Return the tone a page has to make itself; Firefox's fake microphone is a tone, Chromium's beeps."""
    return TONE_HZ if engine is Engine.CHROMIUM else None
