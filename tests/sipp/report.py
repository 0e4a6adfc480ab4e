"""What a lab tester reads: what was expected, whether it came, and what happened instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ScenarioFailed(AssertionError):
    """Something was not as expected; the text says what was and what happened."""


class Report:
    """One scenario's lines."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def note(self, text: str) -> None:
        """Say what is done."""
        self._say(f"          {text}")

    @contextmanager
    def expects(self, text: str) -> Iterator[None]:
        """Say whether what the block waits for came; raise ScenarioFailed if not."""
        began = time.monotonic()
        try:
            yield
        except (AssertionError, TimeoutError) as error:
            happened = str(error) or type(error).__name__
            self._say(
                f"FAILED    expected: {text}\n          happened: " + happened.replace("\n", "\n          ")
            )
            raise ScenarioFailed(f"expected: {text}\nhappened: {happened}") from error
        self._say(f"ok        {text}  ({time.monotonic() - began:.2f} s)")
