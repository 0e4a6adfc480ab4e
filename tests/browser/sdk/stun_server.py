"""A STUN server that tells everybody the same address (RFC 8489 §6.3.1)."""

from __future__ import annotations

import asyncio
import struct
from ipaddress import IPv4Address
from typing import Final, cast

_MAGIC_COOKIE: Final = 0x2112A442
_BINDING_REQUEST: Final = 0x0001
_BINDING_SUCCESS: Final = 0x0101
_XOR_MAPPED_ADDRESS: Final = 0x0020


class StunServer(asyncio.DatagramProtocol):
    """Answers binding requests with `mapped`, whoever asks."""

    def __init__(self, mapped: tuple[str, int]) -> None:
        self._mapped = mapped
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        kind, _, cookie = struct.unpack_from("!HHI", data)
        if kind != _BINDING_REQUEST or cookie != _MAGIC_COOKIE or self._transport is None:
            return
        host, port = self._mapped
        value = struct.pack("!xBHI", 1, port ^ (_MAGIC_COOKIE >> 16), int(IPv4Address(host)) ^ _MAGIC_COOKIE)
        attribute = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
        header = struct.pack("!HHI", _BINDING_SUCCESS, len(attribute), _MAGIC_COOKIE) + data[8:20]
        self._transport.sendto(header + attribute, addr)
