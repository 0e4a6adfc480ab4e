"""WebSockets of those who only listen: the other side may say that it is alive, now and then."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import flask_sock
from simple_websocket import Server
from wsproto.events import CloseConnection

_MOST_FRAMES: Final = 20
_WITHIN_S: Final = 10.0
"""Browsers send pongs alone, other clients a ping each some ten seconds."""


class QuietServer(Server):  # type: ignore[misc]
    """A WebSocket on which nothing more is answered once too many frames have come."""

    talks = False
    """Too many frames came: it has to be closed."""
    _frames = 0
    _began = 0.0

    def handshake(self) -> None:
        """Begin, before anything is read."""
        super().handshake()
        events = self.ws.events
        self.ws.events = lambda: self._counted(events())

    def _counted(self, events: Iterable[Any]) -> Iterator[Any]:
        for event in events:
            now = time.monotonic()
            if now - self._began >= _WITHIN_S:
                self._began, self._frames = now, 0
            self._frames += 1
            if self._frames > _MOST_FRAMES and not self.talks:
                self.talks = True
                self.event.set()
            # What is on its way is read and dropped: a connection with something unread ends without a word.
            if not self.talks or isinstance(event, CloseConnection):
                yield event


# Flask-Sock has no setting for it.
flask_sock.Server = QuietServer
