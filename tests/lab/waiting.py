"""Waiting for a condition with a deadline; the only place of the lab that sleeps."""

import time
from collections.abc import Callable
from typing import Final

POLL_S: Final = 0.02


class NotReady(TimeoutError):
    """What was waited for did not happen in time."""


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Poll until the condition holds; an OSError counts as not yet. Raise NotReady at the deadline."""
    deadline = time.monotonic() + timeout_s
    reason = ""
    while True:
        try:
            if condition():
                return
        except OSError as error:
            reason = f" ({error})"
        if time.monotonic() > deadline:
            raise NotReady(f"{what} not within {timeout_s:g} s{reason}")
        time.sleep(POLL_S)
