"""How long a message waits before one of our own workers takes it, measured from outside: by messages.

Kamailio answers them itself, without asking Python: the keep-alive of RFC 5626 §4.4.1 on TCP connections, and a STUN
request on the UDP port.  A connection stays with the worker that took it, because less than five seconds pass between
two messages, and Kamailio gives a connection to the worker that has the fewest: so there is one for each.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable
from typing import Final

_PING: Final = b"\r\n\r\n"
_BINDING_REQUEST: Final = bytes.fromhex("000100002112a442")
_LOST_S: Final = 1.0
"""A datagram without an answer after this time will get none: the queue of the port was full."""
_CLOSED: Final = (OSError, ConnectionError)


class _Probe:
    """One question at a time."""

    gives_up = False

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._asked_at = 0.0
        self._waiting = False
        self._last_s: float | None = None

    def open(self) -> socket.socket:
        """Make the socket; raise OSError."""
        raise NotImplementedError

    def question(self) -> bytes:
        """Return what is asked."""
        raise NotImplementedError

    def fileno(self) -> int:
        """Number of the socket."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is due."""
        return self._waiting

    def ask(self, now: float) -> None:
        """Ask, unless an answer is still due."""
        if self._waiting and self.gives_up and now - self._asked_at > _LOST_S:
            self._last_s, self._waiting = now - self._asked_at, False
        if self._waiting:
            return
        try:
            if self._socket is None:
                self._socket = self.open()
            self._socket.send(self.question())
        except _CLOSED:
            self.close()
            return
        self._asked_at, self._waiting = now, True

    def read(self, now: float) -> None:
        """Take the answer."""
        assert self._socket is not None
        try:
            answered = bool(self._socket.recv(2048))
        except BlockingIOError:
            return
        except _CLOSED:
            answered = False
        if not answered:
            self.close()
        elif self._waiting:
            self._last_s, self._waiting = now - self._asked_at, False

    def wait_s(self, now: float) -> float | None:
        """Return how long an answer took, or takes at least; None: nobody was asked."""
        if self._waiting:
            return max(self._last_s or 0.0, now - self._asked_at)
        return self._last_s

    def close(self) -> None:
        """Begin anew with the next question."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._waiting, self._last_s = None, False, None


class _Connection(_Probe):
    """A TCP connection, and so one TCP worker."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self._address = address

    def open(self) -> socket.socket:
        made = socket.create_connection(self._address, timeout=_LOST_S)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def question(self) -> bytes:
        return _PING


class _Datagrams(_Probe):
    """The UDP port, whose workers share one queue."""

    gives_up = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self._address = address
        self._number = 0

    def open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            made.connect(self._address)
        except OSError:
            made.close()
            raise
        return made

    def question(self) -> bytes:
        self._number += 1
        return _BINDING_REQUEST + self._number.to_bytes(12, "big")


class Probes:
    """One question for each TCP worker, and one for the UDP workers."""

    _QUICK_S: Final = 0.005
    """An answer that comes within this time is timed exactly; others are looked for with the next question."""

    def __init__(self, tcp: tuple[str, int], tcp_workers: int, udp: tuple[str, int]) -> None:
        self._tcp = [_Connection(tcp) for _ in range(tcp_workers)]
        self._udp = _Datagrams(udp)

    def look(self) -> tuple[list[float], float]:
        """Ask, and return how long answers of TCP workers take, and those of UDP workers; in seconds."""
        everybody: list[_Probe] = [*self._tcp, self._udp]
        self._read(everybody, 0.0)
        for probe in everybody:
            probe.ask(time.monotonic())
        until = time.monotonic() + self._QUICK_S
        while (left_s := until - time.monotonic()) > 0 and any(probe.is_waiting for probe in everybody):
            self._read(everybody, left_s)
        now = time.monotonic()
        waits = [wait for probe in self._tcp if (wait := probe.wait_s(now)) is not None]
        return waits, self._udp.wait_s(now) or 0.0

    @staticmethod
    def _read(probes: Iterable[_Probe], timeout_s: float) -> None:
        due = {probe.fileno(): probe for probe in probes if probe.is_waiting}
        if not due:
            return
        poll = select.poll()
        for number in due:
            poll.register(number, select.POLLIN)
        ready = poll.poll(timeout_s * 1000)
        now = time.monotonic()
        for number, _ in ready:
            due[number].read(now)

    def close(self) -> None:
        """Close all sockets."""
        for probe in (*self._tcp, self._udp):
            probe.close()
