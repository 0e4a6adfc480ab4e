"""How many requests this process works on at a time: the HTTP server has many more threads, for listeners."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PLACE: Final = "webapp_api.place"


class _Place:
    """What a request holds while it is worked on."""

    def __init__(self, free: threading.Semaphore) -> None:
        self._free = free
        self._held = False

    def take(self) -> None:
        """Wait for it."""
        self._free.acquire()
        self._held = True

    def give_back(self) -> None:
        """Let another request have it; twice is as good as once."""
        if self._held:
            self._held = False
            self._free.release()


class Gate:
    """WSGI layer: a password's hash takes memory and a processor, so that not all threads may compute one at a time."""

    def __init__(self, wsgi_app: "WSGIApplication", most: int) -> None:
        self._wsgi_app = wsgi_app
        self._free = threading.Semaphore(most)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        place = environ[_PLACE] = _Place(self._free)
        place.take()
        try:
            return self._wsgi_app(environ, start_response)
        finally:
            place.give_back()


def step_aside(environ: "WSGIEnvironment") -> None:
    """Let other requests be worked on: this one will only wait from now on."""
    environ[_PLACE].give_back()
