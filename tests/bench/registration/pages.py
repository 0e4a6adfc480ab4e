"""Load client process: thousands of pages on secure WebSockets, told what to do line by line.

Knows sockets, TLS and pacing; what a page says is in `page`. Must not know the gateway. Reads one JSON `Task` a line
from standard input and answers each with one JSON `Outcome`; between tasks it answers pings. Its first line is the
`PagesOrder`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import json
import os
import random
import selectors
import socket
import ssl
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.bench.registration.page import Happening, PageIdentity, RegisteringPage, user_of
from tests.peers.websocket import unverified_tls

_READ_BYTES: Final = 1 << 16
_PAGES_PER_ADDRESS: Final = 50
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 10.0
"""Waits as the SDK's (webapp_api/sdk/src/reconnector.ts): each up to twice as long as the one before, and chance takes
up to half of it away.  The SDK begins with a wait, these pages with an attempt: nothing is worse for a gateway."""
_GRACE_S: Final = 10.0
_TICK_S: Final = 0.1
_SERVER: Final = "localhost"
_RESET: Final = struct.pack("ii", 1, 0)
_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux IP_BIND_ADDRESS_NO_PORT: the port is drawn in connect(), when the whole pair of ends is known."""
_STILL_TO_DO: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True)
class PagesOrder:
    """Who the pages are and where they connect."""

    host: str
    port: int
    origin: str
    realm: str
    more_ports: list[int] = field(default_factory=list)
    """Where some of the pages connect instead of `port`, in turn."""
    source: str = ""
    """The address that pages come from; "": fifty pages share one of 127.0.0.0/8, as behind a NAT."""
    tls: bool = True
    path: str = "/sip"
    first_page: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """More header fields of the HTTP upgrade, for a gateway without HAProxy in front."""
    authorizations: list[list[str]] = field(default_factory=list)
    """Authorization values of each page, beginning with `first_page`; empty: digest with the registrar's password."""


@dataclass(frozen=True)
class Task:
    """One thing to do.

    open: `pages` more pages connect and register, at most `at_once` at a time.
    refresh: every open page, or the last `pages` of them, registers again and again for `seconds`.
    drop: the connections of the first `pages` pages end by reset, at once.
    back: all dropped pages connect and register again, `at_once` at a time, as often as it takes within `seconds`.
    """

    what: str
    pages: int = 0
    at_once: int = 100
    seconds: float = 60.0
    patience_s: float = 0.0
    """How long a connection may take until its WebSocket is open; 0: as long as it likes."""
    again: bool = False
    """Whether an `open` page that fails tries again, as one that comes `back` does."""


@dataclass(frozen=True)
class Outcome:
    """What a task did; times on the machine's monotonic clock, which all processes share."""

    registered: int
    """Pages that are registered now."""
    transactions: int
    """Final responses to REGISTER during the task."""
    successes: int
    """Those of them that were 200."""
    began_at_s: float
    ended_at_s: float
    cpu_s: float
    retries: int
    failures: dict[str, int]


class Connection:
    """One page's socket."""

    def __init__(self, pages: Pages, page: RegisteringPage, source: str, port: int) -> None:
        self.page = page
        self.source = source
        self.port = port
        self.registered = False
        self.attempts = 0
        self._pages = pages
        self._socket: socket.socket | None = None
        self._connecting = False
        self._watched = 0
        self._unsent = b""

    def open(self) -> None:
        """Begin to connect; an earlier connection ends."""
        self.drop()
        self.attempts += 1
        order = self._pages.order
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.bind((self.source, 0))
        raw.connect_ex((order.host, self.port))
        self._unsent = self.page.upgrade(f"{order.host}:{self.port}", order.path)
        self._socket, self._connecting = raw, True
        self._watched = selectors.EVENT_WRITE
        self._pages.selector.register(raw, self._watched, self)

    def send(self, data: bytes) -> None:
        """Send, now or when there is room."""
        self._unsent += data
        self._try(self._write)

    def give_up(self, attempt: int) -> None:
        """End an attempt whose WebSocket is not open yet."""
        if self.attempts == attempt and self._socket is not None and not self.page.is_open:
            self.drop(by_reset=False)
            self._pages.done(self, "did not open in time")

    def ready(self) -> None:
        """The socket can do something."""
        self._try(self._go_on)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except _STILL_TO_DO as wanted:
            writing = isinstance(wanted, ssl.SSLWantWriteError)
            self._watch(selectors.EVENT_WRITE if writing else selectors.EVENT_READ)
        except OSError as error:
            self._lost(type(error).__name__)

    def _go_on(self) -> None:
        if self._connecting and self._socket is not None:
            self._connect(self._socket)
        self._write()
        self._read()

    def _connect(self, raw: socket.socket) -> None:
        number = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        if self._pages.tls is not None:
            if not isinstance(raw, ssl.SSLSocket):
                raw = self._pages.tls.wrap_socket(raw, server_hostname=_SERVER, do_handshake_on_connect=False)
                self._socket = raw
            raw.do_handshake()
        self._connecting = False

    def _write(self) -> None:
        while self._unsent and self._socket is not None:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def _read(self) -> None:
        while self._socket is not None:
            data = self._socket.recv(_READ_BYTES)
            if not data:
                self._lost("connection ended")
                return
            answer, happening = self.page.received(data)
            if answer:
                self._unsent += answer
                self._write()
            if happening is Happening.REGISTERED:
                self.registered = True
                self._pages.done(self, "")
            elif happening is Happening.REFUSED:
                self._lost(self.page.refusal)

    def _watch(self, events: int) -> None:
        if self._socket is not None and events != self._watched:
            self._watched = events
            self._pages.selector.modify(self._socket, events, self)

    def _lost(self, reason: str) -> None:
        self.drop()
        self._pages.done(self, reason)

    def drop(self, *, by_reset: bool = True) -> None:
        """End by reset, or as a browser does."""
        self.registered = False
        raw, self._socket = self._socket, None
        if raw is not None:
            self._pages.selector.unregister(raw)
            with contextlib.suppress(OSError):
                if by_reset:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raw.close()


class Pages:
    """All connections of one process."""

    def __init__(self, order: PagesOrder) -> None:
        self.order = order
        self.selector = selectors.DefaultSelector()
        self.tls = unverified_tls() if order.tls else None
        self._connections: list[Connection] = []
        self._failures: Counter[str] = Counter()
        self._retries = 0
        self._then: Callable[[Connection, str], None] = self._note_failure

    def run(self, task: Task) -> Outcome:
        """Do one task and say what came of it."""
        self._failures, self._retries = Counter(), 0
        before, granted = self._count("transactions"), self._count("successes")
        cpu_s, began_at_s = time.process_time(), time.monotonic()
        _TASKS[task.what](self, task)
        self._then = self._note_failure
        return Outcome(
            registered=sum(connection.registered for connection in self._connections),
            transactions=self._count("transactions") - before,
            successes=self._count("successes") - granted,
            began_at_s=began_at_s,
            ended_at_s=time.monotonic(),
            cpu_s=time.process_time() - cpu_s,
            retries=self._retries,
            failures=dict(self._failures),
        )

    def done(self, connection: Connection, failure: str) -> None:
        """A page is registered, or is not and has lost its connection."""
        self._then(connection, failure)

    def serve_once(self) -> None:
        """Wait a moment for the sockets and serve those that are ready."""
        for key, _ in self.selector.select(_TICK_S):
            if isinstance(key.data, Connection):
                key.data.ready()
            else:
                key.data()

    def _serve(self, until: Callable[[], bool]) -> None:
        while not until():
            self.serve_once()

    def _count(self, what: str) -> int:
        return sum(getattr(connection.page, what) for connection in self._connections)

    def _note_failure(self, _connection: Connection, failure: str) -> None:
        if failure:
            self._failures[failure] += 1

    def _open(self, task: Task) -> None:
        new = [self._new_page(len(self._connections) + number) for number in range(task.pages)]
        self._connections += new
        self._bring_up(new, task, again=task.again)

    def _back(self, task: Task) -> None:
        self._bring_up([c for c in self._connections if not c.registered], task, again=True)

    def _bring_up(self, connections: Iterable[Connection], task: Task, *, again: bool) -> None:
        waiting, under_way = deque(connections), set[Connection]()
        later: list[tuple[float, int, Connection]] = []
        limits: deque[tuple[float, int, Connection]] = deque()

        def done(connection: Connection, failure: str) -> None:
            under_way.discard(connection)  # a page that was registered already may lose its connection, too
            self._note_failure(connection, failure)
            if failure and again:
                self._retries += 1
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (connection.attempts - 1))
                at_s = time.monotonic() + wait_s * random.uniform(0.5, 1.0)
                heapq.heappush(later, (at_s, id(connection), connection))

        def finished() -> bool:
            now_s = time.monotonic()
            while later and later[0][0] <= now_s:
                waiting.append(heapq.heappop(later)[2])
            while limits and limits[0][0] <= now_s:
                _, attempt, connection = limits.popleft()
                connection.give_up(attempt)
            while waiting and len(under_way) < task.at_once:
                connection = waiting.popleft()
                under_way.add(connection)
                connection.open()
                if task.patience_s:
                    limits.append((now_s + task.patience_s, connection.attempts, connection))
            return not (under_way or waiting or later) or now_s > deadline_s

        for connection in waiting:
            connection.attempts = 0
        deadline_s = time.monotonic() + task.seconds
        self._then = done
        self._serve(finished)

    def _refresh(self, task: Task) -> None:
        until_s = time.monotonic() + task.seconds
        under_way = 0

        def done(connection: Connection, failure: str) -> None:
            nonlocal under_way
            self._note_failure(connection, failure)
            if not failure and time.monotonic() < until_s:
                again.append(connection)
            else:
                under_way -= 1

        again = deque(connection for connection in self._connections if connection.registered)
        if task.pages:
            again = deque(list(again)[-task.pages :])
        under_way = len(again)
        self._then = done

        def finished() -> bool:
            # From here and not from `done`, or one page's answers would call each other ever deeper.
            while again:
                connection = again.popleft()
                connection.send(connection.page.register())
            return not under_way or time.monotonic() > until_s + _GRACE_S

        self._serve(finished)

    def _drop(self, task: Task) -> None:
        for connection in self._connections[: task.pages]:
            connection.drop()

    def _new_page(self, number: int) -> Connection:
        order = self.order
        index = order.first_page + number
        credentials = tuple(order.authorizations[number]) if order.authorizations else ()
        page = RegisteringPage(
            PageIdentity(user_of(index), order.realm, credentials), order.origin, order.headers
        )
        block = index // _PAGES_PER_ADDRESS
        source = order.source or f"127.{1 + block // 62500}.{block // 250 % 250}.{1 + block % 250}"
        ports = order.port, *order.more_ports
        return Connection(self, page, source, ports[index % len(ports)])


_TASKS: Final[dict[str, Callable[[Pages, Task], None]]] = {
    "open": Pages._open,
    "refresh": Pages._refresh,
    "drop": Pages._drop,
    "back": Pages._back,
}


class Lines:
    """Lines of standard input, for a loop that may not block on them."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.ended = False
        self._lines: deque[bytes] = deque()
        self._rest = b""

    def read(self) -> None:
        """Read what is there; block when nothing is."""
        data = os.read(self.descriptor, _READ_BYTES)
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += lines

    def next(self) -> bytes | None:
        """Return the next line, None when there is none yet."""
        return self._lines.popleft() if self._lines else None


def main() -> None:
    """Run one load client process until standard input ends."""
    lines = Lines(sys.stdin.fileno())
    while (order := lines.next()) is None and not lines.ended:
        lines.read()
    if order is None:
        return
    pages = Pages(PagesOrder(**json.loads(order)))
    pages.selector.register(lines.descriptor, selectors.EVENT_READ, lines.read)
    while not lines.ended:
        task = lines.next()
        if task is None:
            pages.serve_once()
        else:
            print(json.dumps(dataclasses.asdict(pages.run(Task(**json.loads(task))))), flush=True)


if __name__ == "__main__":
    main()
