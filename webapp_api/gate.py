"""How many requests this process works on at a time: the HTTP server has many more threads, for those who wait."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import ServiceUnavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_WAITING: Final = 64
"""Requests that wait for somebody else at a time; the HTTP server has so many threads for them, beside all others."""
_RETRY_S: Final = 1


class _Place:
    """What a request holds while it is worked on."""

    def __init__(self, free: threading.Semaphore, may_wait: threading.Semaphore) -> None:
        self._free = free
        self.may_wait = may_wait
        self.held = False

    def take(self) -> None:
        """Wait for it."""
        self._free.acquire()
        self.held = True

    def give_back(self) -> None:
        """Let another request have it; twice is as good as once."""
        if self.held:
            self.held = False
            self._free.release()


class _Here(threading.local):
    place: _Place | None = None
    """Of the request that this thread works on."""


_here = _Here()


class Gate:
    """WSGI layer: a password's hash takes memory and a processor, so that not all threads may compute one at a time."""

    def __init__(self, wsgi_app: "WSGIApplication", most: int) -> None:
        self._wsgi_app = wsgi_app
        self._free = threading.Semaphore(most)
        self._may_wait = threading.Semaphore(MOST_WAITING)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        place = _here.place = _Place(self._free, self._may_wait)
        place.take()
        try:
            return self._wsgi_app(environ, start_response)
        finally:
            _here.place = None
            place.give_back()


def step_aside() -> None:
    """Let other requests be worked on: this one will only wait from now on."""
    if _here.place is not None:
        _here.place.give_back()


@contextmanager
def stepped_aside() -> Iterator[None]:
    """Let other requests be worked on while this one waits for a client or another service.

    Outside of requests, and where the place is given back already, nothing happens.

    Raises:
        ServiceUnavailable: MOST_WAITING wait already.
    """
    place = _here.place
    if place is None or not place.held:
        yield
        return
    if not place.may_wait.acquire(blocking=False):
        raise ServiceUnavailable("Too many requests wait already; try again.", retry_after=_RETRY_S)
    place.give_back()
    try:
        yield
    finally:
        place.may_wait.release()
        place.take()


class Turns:
    """Lets some threads at a time do what costs much, each in its turn.

    A semaphore would give the place to who has just had it: that thread runs, the others have to be woken.
    """

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._free = most
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
