"""The browsers of the matrix and the mapped calls: what fails once fails one call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.browser.matrix import engines
from tests.browser.matrix.cells import Engine
from tests.browser.matrix.engines import Browsers
from tests.browser.matrix.far_end import Device
from tests.browser.matrix.mapping import Step, mapped
from tests.browser.matrix.mapping_run import MappingRun, Talk


class Chromium:
    """Playwright, its only kind of browser, that browser and its pages in one; counts how often each was wanted."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.started = self.launched = 0
        self.connected = True
        self.chromium = self

    def start(self) -> Chromium:
        assert not self.started, "using Playwright Sync API inside the asyncio loop"
        self.started += 1
        return self

    def launch(self, **options: Any) -> Chromium:
        self.launched += 1
        if self.launched <= self.failures:
            raise TimeoutError("no browser in 30 s")
        self.connected = True
        return self

    def is_connected(self) -> bool:
        return self.connected

    def new_context(self, **options: Any) -> Any:
        return SimpleNamespace(new_page=lambda: SimpleNamespace(on=lambda *args: None), close=lambda: None)

    def close(self) -> None: ...

    def stop(self) -> None: ...


def test_a_chromium_that_did_not_start_or_crashed_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chromium = Chromium(failures=1)
    monkeypatch.setattr(engines, "sync_playwright", lambda: chromium)
    with Browsers() as browsers:
        with pytest.raises(TimeoutError):
            browsers.new_tab(Engine.CHROMIUM)
        browsers.new_tab(Engine.CHROMIUM)
        browsers.new_tab(Engine.CHROMIUM)
        assert chromium.launched == 2
        chromium.connected = False
        browsers.new_tab(Engine.CHROMIUM)
        assert (chromium.started, chromium.launched) == (1, 3)


def test_a_call_of_which_the_core_was_told_nothing_is_described() -> None:
    call: Any = SimpleNamespace(call_id="x", trace=SimpleNamespace(of_call=lambda name: []), ladder=list)
    page: Any = SimpleNamespace(describe=lambda: "a page")
    device = Device("device", 440.0, call=call)
    try:
        talk = Talk(SimpleNamespace(), SimpleNamespace(), page, device, next(mapped()), "user")  # type: ignore[arg-type]
        assert talk.describe().startswith("a page; core: [], told []")
    finally:
        device.close()


def test_a_browser_that_crashed_fails_its_own_calls_only() -> None:
    class Crashed:
        def new_tab(self, engine: Engine) -> Any:
            def fail(*args: object) -> None:
                raise ConnectionError("crashed")

            return SimpleNamespace(console=[], goto=fail, evaluate=fail, close=fail)

    lab: Any = SimpleNamespace(info=SimpleNamespace(web=SimpleNamespace(origin="https://localhost")))
    far_end: Any = SimpleNamespace()
    run = MappingRun(lab, far_end, Crashed())  # type: ignore[arg-type]
    call = next(mapped())
    outcome = run.outcome(call)
    assert list(outcome) == [Step.TALK]
    assert outcome[Step.TALK].startswith("ConnectionError('crashed')")
