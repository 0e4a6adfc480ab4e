"""What has to happen without a request: keys published and exchanged, the provider's keys fetched, events heard.

A thread in each web process; one of all leads, another takes over when it dies.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from werkzeug.exceptions import HTTPException

from kemi.state.web.client import StateUnavailable
from kemi.state.web.streams import UNREAD_AT_ONCE
from webapp_api.services import Services

_log = logging.getLogger(__name__)

BEAT_S: Final = 1.0
KEYS_EVERY_S: Final = 30.0
PROVIDER_KEYS_EVERY_S: Final = 300.0
PROVIDER_RETRY_S: Final = 10.0


@dataclass(slots=True)
class _Job:
    """Something to do again and again."""

    name: str
    run: Callable[[], object]
    every_s: float
    retry_s: float
    due: float = 0.0


class Housekeeping:
    """The jobs and their times."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._jobs = [
            _Job("events", self._hear_events, 0.0, BEAT_S),
            _Job("keys", services.keyring.maintain, KEYS_EVERY_S, BEAT_S),
        ]
        fetched = [("token_service_keys", keys) for keys in services.token_service_keys]
        if services.provider_keys is not None:
            fetched.append(("provider_keys", services.provider_keys))
        self._jobs += [
            _Job(name, keys.refresh, PROVIDER_KEYS_EVERY_S, PROVIDER_RETRY_S) for name, keys in fetched
        ]

    def start(self) -> None:
        """Begin, in a thread that does not keep the process alive."""
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the running job, and let another process lead."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=BEAT_S)

    def beat(self) -> None:
        """Do what is due, when this process leads."""
        try:
            if not self._services.leadership.hold():
                return
        except StateUnavailable as error:
            _log.warning("event=housekeeping_failed job=lead reason=%s", type(error).__name__)
            return
        for job in self._jobs:
            if self._clock() >= job.due:
                self._do(job)

    def _do(self, job: _Job) -> None:
        try:
            job.run()
            job.due = self._clock() + job.every_s
        except (StateUnavailable, HTTPException) as error:
            _log.warning("event=housekeeping_failed job=%s reason=%s", job.name, type(error).__name__)
            job.due = self._clock() + job.retry_s
        except Exception:
            _log.exception("event=housekeeping_failed job=%s", job.name)
            job.due = self._clock() + job.retry_s

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.beat()
            self._stopped.wait(BEAT_S)
        try:
            self._services.leadership.release()
        except StateUnavailable:
            return

    def _hear_events(self) -> None:
        events, until = self._services.events, self._clock() + BEAT_S
        more = True
        while more and not self._stopped.is_set():
            unread = events.unread()
            for _, event in unread:
                if event is not None and event.type == "deregistered" and event.sid:
                    self._free(event.impi, event.sid)
            if unread:
                events.handled(unread[-1][0])
            # Not for longer: the other jobs wait, and who leads has to say so.
            more = len(unread) >= UNREAD_AT_ONCE and self._clock() < until

    def _free(self, impi: str, sid: str) -> None:
        """One page of a guest's is gone; another tab, or the same page loaded anew, may still be registered."""
        leases = self._services.leases
        if leases.holds(impi, sid) and not self._services.registrations.any_of(sid, time.time()):
            leases.deregistered(impi, sid)
