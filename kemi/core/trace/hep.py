"""A SIP message as Homer, sngrep and Wireshark take it: HEP version 3 (EEP), one datagram for each message.

https://github.com/sipcapture/HEP, "HEP3/EEP network protocol specification" rev. 32, §2 and §3.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from kemi.core.trace.places import Place

MAGIC: Final = b"HEP3"
MOST_PAYLOAD: Final = 60_000
"""Bytes: a datagram has 65,507 at most."""

_UDP, _TCP = 17, 6
_AF_INET, _AF_INET6 = 2, 10
_SIP: Final = 1
_FAMILY, _PROTOCOL, _SOURCE_4, _DESTINATION_4, _SOURCE_6, _DESTINATION_6 = 1, 2, 3, 4, 5, 6
_SOURCE_PORT, _DESTINATION_PORT, _SECONDS, _MICROSECONDS, _KIND, _CAPTURE = 7, 8, 9, 10, 11, 12
_PASSWORD, _PAYLOAD, _CORRELATION, _NODE = 14, 15, 17, 19
_LENGTH: Final = re.compile(r"(?im)^((?:content-length|l)[ \t]*:[ \t]*)\d+")


@dataclass(frozen=True, slots=True)
class Capturer:
    """Who sends."""

    node: str
    capture_id: int
    password: str = ""


def packet(capturer: Capturer, at: float, place: Place, call_id: str, message: str) -> bytes:
    """Return the datagram; ``at``: seconds since the epoch, ``message``: what may be shown of it."""
    source, destination = _family(place)
    is_v4 = isinstance(source, IPv4Address)
    seconds, micros = divmod(round(at * 1_000_000), 1_000_000)
    chunks = [
        _chunk(_FAMILY, struct.pack("!B", _AF_INET if is_v4 else _AF_INET6)),
        _chunk(_PROTOCOL, struct.pack("!B", _UDP if place.protocol == "udp" else _TCP)),
        _chunk(_SOURCE_4 if is_v4 else _SOURCE_6, source.packed),
        _chunk(_DESTINATION_4 if is_v4 else _DESTINATION_6, destination.packed),
        _chunk(_SOURCE_PORT, struct.pack("!H", place.source[1])),
        _chunk(_DESTINATION_PORT, struct.pack("!H", place.destination[1])),
        _chunk(_SECONDS, struct.pack("!I", seconds)),
        _chunk(_MICROSECONDS, struct.pack("!I", micros)),
        _chunk(_KIND, struct.pack("!B", _SIP)),
        _chunk(_CAPTURE, struct.pack("!I", capturer.capture_id)),
        _chunk(_NODE, capturer.node.encode()),
        _chunk(_CORRELATION, call_id.encode()[:1000]),
        _chunk(_PAYLOAD, message.encode("utf-8", "replace")[:MOST_PAYLOAD]),
    ]
    if capturer.password:
        chunks.insert(-1, _chunk(_PASSWORD, capturer.password.encode()))
    body = b"".join(chunks)
    return MAGIC + struct.pack("!H", len(body) + 6) + body


def with_true_length(message: str) -> str:
    """Return a message whose Content-Length is that of the body it has now, after masking and cutting."""
    head, empty, body = message.partition("\r\n\r\n")
    if not empty:
        return message
    length = len(body.encode("utf-8", "replace"))
    return f"{_LENGTH.sub(lambda found: f'{found[1]}{length}', head)}{empty}{body}"


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, len(value) + 6) + value


def _family(place: Place) -> tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address]:
    """Return both addresses, of one family: a packet has one."""
    source, destination = ip_address(place.source[0]), ip_address(place.destination[0])
    if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
        return source, destination
    return _as_v6(source), _as_v6(destination)


def _as_v6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")
