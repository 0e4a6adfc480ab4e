"""WebSocket framing for a load client (RFC 6455), as cheap as the standard allows.

Knows frames. Must not know SIP. The mask is all zero: legal on the wire, free to apply, and of
no use as protection, which a load client on loopback does not need.
"""

from __future__ import annotations

import base64
import os
import struct
from dataclasses import dataclass
from typing import Final

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_ZERO_MASK: Final = b"\0\0\0\0"


@dataclass(frozen=True)
class Frame:
    """One unfragmented frame."""

    opcode: int
    payload: bytes


def frame_to_bytes(payload: bytes, opcode: int = TEXT) -> bytes:
    """Print a client frame."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + _ZERO_MASK + payload


class FrameReader:
    """Cuts a byte stream of unmasked server frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames completed by `data`."""
        self._buffer += data
        frames = []
        while (cut := self._next()) is not None:
            frames.append(cut)
        return frames

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            start = 4
        elif size == 127:
            start = 10
        if len(buffer) < start:
            return None
        if start > 2:
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        frame = Frame(buffer[0] & 0x0F, bytes(buffer[start : start + size]))
        del buffer[: start + size]
        return frame


def upgrade_request(host: str, path: str, headers: dict[str, str]) -> bytes:
    """Print the HTTP upgrade of a SIP WebSocket (RFC 7118 §4.1)."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Protocol: sip",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
