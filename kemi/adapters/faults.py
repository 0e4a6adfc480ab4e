"""What goes wrong in a part of housekeeping: written each time, counted, and now and then with its traceback."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS
from kemi.core.metrics import catalogue as series

TRACED_EVERY_S: Final = 60.0
"""A part comes ten times a second or more: one traceback tells as much as all of them."""


class Faults:
    """Those of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._not_before: dict[str, float] = {}
        """Part, or kind of event, that has failed -> when its next traceback may be written, by the clock."""

    def note(self, what: str, error: Exception, call_id: str = "") -> None:
        """Tell of the fault of a part, or of a kind of event; never raises, for the others wait for their turn."""
        detail = f"{type(error).__name__}: {error}"
        log_event(logging.ERROR, "housekeeping_failed", call_id=call_id, what=what, detail=detail)
        try:
            METRICS.count(series.ERRORS, "housekeeping")
        except Exception:
            logging.getLogger("gateway").exception("not counted")
        now = self._clock()
        if now >= self._not_before.get(what, now):
            self._not_before[what] = now + TRACED_EVERY_S
            logging.getLogger("gateway").error("traceback follows", exc_info=error)
