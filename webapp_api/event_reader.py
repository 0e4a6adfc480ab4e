"""Reads the events of all gateways, once for each web process, and gives them to those who listen here."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from kemi.state.web.client import StateUnavailable
from webapp_api.services import Services

_log = logging.getLogger(__name__)

AGAIN_S: Final = 0.5
_STOP_S: Final = 2.0


class EventReader:
    """Two threads: one follows the streams, one hears what no stream keeps."""

    def __init__(self, services: Services, is_alive: Callable[[], bool] = lambda: True) -> None:
        """``is_alive``: whether this process goes on; once it does not, all listeners are sent away."""
        self._services = services
        self._is_alive = is_alive
        self._stopped = threading.Event()
        self._began = False
        self._doubtful = False
        self._away: set[str] = set()
        self._threads = [
            threading.Thread(target=self._run, args=(name, work), name=name, daemon=True)
            for name, work in (("event-streams", self._follow), ("unkept-events", self._hear))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send all listeners away and end."""
        self._stopped.set()
        self._services.hub.stop()
        for thread in self._threads:
            thread.join(timeout=_STOP_S)

    def _run(self, name: str, work: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            if not self._is_alive():
                self._services.hub.stop()
            try:
                work()
                self._away.discard(name)
            except Exception as error:
                self._failed(name, error)
                self._stopped.wait(AGAIN_S)

    def _failed(self, name: str, error: Exception) -> None:
        self._doubtful = True
        if name in self._away:
            return
        self._away.add(name)
        if isinstance(error, StateUnavailable):
            _log.warning("event=events_unreadable what=%s reason=%s", name, type(error).__name__)
        else:
            _log.error("event=events_unreadable what=%s", name, exc_info=error)

    def _follow(self) -> None:
        hub, feed = self._services.hub, self._services.feed
        hub.beat()
        if not self._began:
            feed.begin()
            self._began = True
            hub.moved_to(feed.position)
        if self._doubtful:
            # Redis was away: it may have lost what we read last, and what came after that.
            if feed.is_cut(feed.position):
                feed.begin()
                hub.moved_to(feed.position, gap=True)
            self._doubtful = False
        before = feed.position
        news = feed.read()
        if news.full and feed.is_cut(before):
            hub.moved_to(before, gap=True)
        hub.tell(news.events)
        hub.end_sessions(news.ended_sessions)

    def _hear(self) -> None:
        event = self._services.unkept.read(AGAIN_S)
        if event:
            self._services.hub.tell_unkept(event)
