"""Who listens to events in this process: each has a short queue, and whoever does not keep up is cut off.

Knows what a person may see, and threads; no HTTP and no WebSocket.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kemi.core.identity import one_spelling
from kemi.state.web.event_feed import order_of
from webapp_api import metrics
from webapp_api.event_documents import (
    KINDS_FOR_OWNERS,
    may_be_told,
    operator_document,
    owner_document,
    user_document,
)

MOST_WAITING: Final = 2000
"""Messages that wait for a listener: twenty seconds of a busy site for an operator, and far more for anybody else."""
BEAT_S: Final = 20.0
"""How often a listener hears where the stream is, whether or not there is news; and is looked at."""
CUT_S: Final = 5.0
"""How long the connection of somebody who is cut off may take to end by itself."""

LOGGED_OUT: Final = (4401, "logged out")
NOT_AN_OPERATOR: Final = (4403, "no operator any more")
GOING_AWAY: Final = (1001, "the server restarts")
TOO_SLOW: Final = (1013, "too slow")
SILENT: Final = (1008, "listeners have nothing to say")

POSITION: Final = "position"


@dataclass(frozen=True, slots=True)
class Audience:
    """Whose events somebody hears."""

    sid: str
    impus: tuple[str, ...] = ()
    """Public identities; nobody's for an operator."""
    owner: str = ""
    """Who it is: what was asked for on one page of a person is told to all of them, and to nobody else."""
    operator: bool = False
    since: float = 0.0
    """Nothing that happened earlier: who leases an identity must not hear of its former holder."""

    def document(self, seq: str, event: dict[str, Any]) -> dict[str, Any] | None:
        """Return what this audience is told of an event; None for nothing."""
        if self.operator:
            return operator_document(seq, event)
        if event.get("type") in KINDS_FOR_OWNERS:
            return owner_document(event) if event.get("owner") == self.owner else None
        if self.since and event.get("sid", self.sid) != self.sid:
            return None  # the former holder's registration
        if not may_be_told(event, self.since) or spelt(event.get("impu")) not in self.names:
            return None
        return user_document(seq, event, self.sid)

    @property
    def names(self) -> frozenset[str]:
        """The identities, spelt alike."""
        return frozenset(spelt(impu) for impu in self.impus)


def spelt(impu: object) -> str:
    """Return one spelling for all spellings of an identity."""
    return one_spelling(str(impu or ""))


@dataclass(slots=True, eq=False)
class Listener:
    """One connection."""

    audience: Audience
    wake: Callable[[], object]
    """Called when there is something in the queue."""
    abort: Callable[[], object]
    """Ends the connection at once, whoever is writing to it."""
    names: frozenset[str] = frozenset()
    floor: tuple[int, int] = (0, 0)
    """Events up to this one are known."""
    waiting: deque[str] = field(default_factory=deque)
    closing: tuple[int, str] | None = None
    due: bool = False
    """It is time to look whether this listener may go on."""
    beat_at: float = 0.0
    cut_at: float = 0.0

    def put(self, text: str) -> None:
        """Leave a message; cuts the listener off when too many wait."""
        if self.closing is not None:
            return
        if len(self.waiting) >= MOST_WAITING:
            self.cut(TOO_SLOW)
            return
        self.waiting.append(text)
        self.wake()

    def cut(self, why: tuple[int, str]) -> None:
        """End it; what waits is not sent any more."""
        if self.closing is None:
            self.closing, self.cut_at = why, time.monotonic()
            metrics.LISTENERS_CUT.labels(str(why[0])).inc()
            self.waiting.clear()
        self.wake()


class Hub:
    """All listeners of this process.  Any thread may call; nothing here waits for a connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[Listener, None] = {}
        self._of_identity: dict[str, dict[Listener, None]] = {}
        self._operators: dict[Listener, None] = {}
        self._of_session: dict[str, dict[Listener, None]] = {}
        self.position = ""
        """Sequence number of the last event that was given out; "" before the stream was looked at."""
        self.stopped = False

    def __len__(self) -> int:
        return len(self._listeners)

    def join(self, listener: Listener) -> str:
        """Let somebody listen; returns the position: what comes later will be in the queue."""
        audience = listener.audience
        listener.names = audience.names
        with self._lock:
            # Spread, because all may have come at once.
            listener.beat_at = time.monotonic() + random.uniform(BEAT_S / 2, BEAT_S)  # noqa: S311 no secret
            self._listeners[listener] = None
            metrics.LISTENERS.inc()
            for place in self._places(listener):
                place[listener] = None
            if self.stopped:
                listener.cut(GOING_AWAY)
            return self.position

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        with self._lock:
            if listener in self._listeners:
                del self._listeners[listener]
                metrics.LISTENERS.dec()
            for place in self._places(listener):
                place.pop(listener, None)
            for name in listener.names:
                if not self._of_identity.get(name, True):
                    del self._of_identity[name]
            if not self._of_session.get(listener.audience.sid, True):
                del self._of_session[listener.audience.sid]

    def _places(self, listener: Listener) -> list[dict[Listener, None]]:
        audience = listener.audience
        places = [self._of_session.setdefault(audience.sid, {})]
        if audience.operator:
            return [*places, self._operators]
        return [*places, *(self._of_identity.setdefault(name, {}) for name in listener.names)]

    # ------------------------------------------------------------ what the reader calls

    def tell(self, events: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Give events of the stream out."""
        with self._lock:
            for seq, event in events:
                self.position = seq
                self._tell(seq, event, order_of(seq))

    def tell_unkept(self, event: dict[str, Any]) -> None:
        """Give an event out that has no place in the stream."""
        with self._lock:
            self._tell("", event, None)

    def _tell(self, seq: str, event: dict[str, Any], order: tuple[int, int] | None) -> None:
        if self._operators and (document := operator_document(seq, event)) is not None:
            text = text_of(document)
            for listener in self._operators:
                if order is None or order > listener.floor:
                    listener.put(text)
        for listener in self._of_identity.get(spelt(event.get("impu")), ()):
            told = listener.audience.document(seq, event)
            if told is not None and (order is None or order > listener.floor):
                listener.put(text_of(told))

    def moved_to(self, position: str, *, gap: bool = False) -> None:
        """Say where the stream is; ``gap``: events were lost before that."""
        with self._lock:
            self.position = position
            if gap:
                for listener in self._listeners:
                    listener.floor = (0, 0)  # whoever numbers events now may be behind the one before
                    listener.put(position_text(position, gap=True))

    def end_sessions(self, sids: Iterable[str]) -> None:
        """Cut off who listens with one of these sessions."""
        with self._lock:
            for sid in sids:
                for listener in self._of_session.get(sid, ()):
                    listener.cut(LOGGED_OUT)

    def beat(self) -> None:
        """Let each listener hear now and then where the stream is; end those that were cut off and still stand."""
        now = time.monotonic()
        with self._lock:
            for listener in self._listeners:
                if listener.closing is not None:
                    if now - listener.cut_at >= CUT_S:
                        listener.abort()
                elif now >= listener.beat_at:
                    listener.beat_at = now + BEAT_S
                    if listener.due:
                        listener.cut(TOO_SLOW)  # has not even taken the last one
                    listener.due = True
                    listener.put(position_text(self.position))

    def stop(self) -> None:
        """Let everybody go: the process ends."""
        with self._lock:
            self.stopped = True
            for listener in self._listeners:
                listener.cut(GOING_AWAY)


def position_text(seq: str, *, gap: bool = False) -> str:
    """Return the message that says where the stream is, and whether something before that is missing."""
    return text_of({"type": POSITION, "seq": seq, "gap": gap})


def text_of(document: dict[str, Any]) -> str:
    """Return a message as it is sent."""
    return msgspec.json.encode(document).decode()
