"""How time grows with the input: what is read once takes twice as long for twice the length, and no more.

A hostile peer writes the same piece thousands of times.  Where a reader starts over at each of them, 64 kB keep a
worker for seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

from tests.fuzz.target import Target

SHORT_BYTES: Final = 500
LONG_BYTES: Final = 8_000
MOST_S: Final = 0.03
"""What a long input may take in any case: growth is looked at only where it takes longer."""
MOST_GROWTH: Final = 5.0
"""Of time per byte, from a short to a long input; sixteen times would be a square."""

PIECES: Final = (
    b",", b";", b'"', b"<", b">", b"\\", b"=", b":", b"@", b" ", b"\t", b"?", b"&", b"%3b", b"%", b"(", b"[", b"-",
    b"a", b"1", b"+", b".", b"\r\n", b"\n", b"\r\n ", b"\xff", b"\0", b'\\"', b"''", b";a", b";a=", b';a="', b";a=b",
    b',"', b"<,", b',<sip:a@b>', b'"a",', b"a,", b"a:", b"a=", b"a ", b"sip:", b"sip:a:", b"sip:a@", b"tel:1", b"tag",
    b";tag=", b";user=phone", b"cause=200;", b"SIP;", b",SIP;cause", b"--b\r\n", b"--b", b"\r\nVia: x", b"\r\ni:",
    b"\r\nFrom: <", b"\r\na: b", b"bearer ", b"&key=", b"uri='", b'uri="', b"encoding=", b"v=0\r\n", b"a=mid:0\r\n",
    b"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", b"a=rtpmap:111 opus/48000/2\r\n", b"a=fmtp:111 a=1;b=2\r\n", b"111 ", b"a;",
    b"a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", b"a=group:BUNDLE 0\r\n", b"a=rtcp-fb:* nack\r\n", b"l", b"d",
    b"i1e", b"0:", b"1:a", b"[", b"{", b'{"a":', b'"a",', b"<a>", b"<a x='1'/>", b"&lt;", b"ck=", b", ck=",
)  # fmt: skip
BEFORE: Final = (
    b"", b"<", b'"', b"Digest ", b"sip:", b"sip:1@h", b"tel:", b"<sip:a@b>;", b"SIP;", b"v=0\r\n",
    b"multipart/mixed;boundary=b\n\n", b"application/resource-lists+xml\n\n",
    b"INVITE sip:a@b SIP/2.0\r\nAuthorization: Digest ", b"INVITE sip:a@b SIP/2.0\r\nFrom: ",
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", b"Signal=", b'{"name":"',
)  # fmt: skip
AFTER: Final = (b"", b"!", b"\r\n\r\n")


def _made_of(*, brief: bool) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Return what inputs are made of; brief: each piece with one beginning, every other time none."""
    for number, piece in enumerate(PIECES):
        chosen = (BEFORE[number % len(BEFORE)] if number % 2 else b"",) if brief else BEFORE
        for before in chosen:
            for after in (b"!",) if brief else AFTER:
                yield before, piece, after


def seconds(target: Target, data: bytes) -> float:
    """Return the time of one run; what comes out as an exception counts as well."""
    began = time.thread_time()
    with contextlib.suppress(Exception):  # the other tests look at what comes out
        target.run(data)
    return time.thread_time() - began


def slow(target: Target, *, brief: bool = False) -> Iterator[str]:
    """Return the inputs that a target reads more than once."""
    for before, piece, after in _made_of(brief=brief):

        def of(size: int, parts: tuple[bytes, bytes, bytes] = (before, piece, after)) -> bytes:
            return parts[0] + parts[1] * (size // len(parts[1])) + parts[2]

        took = seconds(target, of(LONG_BYTES))
        if took < MOST_S:
            continue
        at_short = min(seconds(target, of(SHORT_BYTES)) for _ in range(3))
        at_long = min(took, seconds(target, of(LONG_BYTES)))
        growth = (at_long / LONG_BYTES) / (at_short / SHORT_BYTES)
        if at_long >= MOST_S and growth > MOST_GROWTH:
            yield f"{before!r} + {piece!r} × n + {after!r}: {at_long:.3f} s, per byte × {growth:.1f}"
