"""A collector of HEP version 3, as strict as the specification: what is wrong in a packet raises ValueError.

It knows nothing of the encoder it judges (https://github.com/sipcapture/HEP, rev. 32).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import ip_address

from tests.peers.sip import SipMessage, message_from_bytes

_LENGTHS = {1: 1, 2: 1, 3: 4, 4: 4, 5: 16, 6: 16, 7: 2, 8: 2, 9: 4, 10: 4, 11: 1, 12: 4}
"""Chunk types of vendor 0 whose length is fixed."""
_TEXTS = (14, 15, 17, 19)
_NEEDED = (1, 2, 7, 8, 9, 10, 11, 12, 15)


@dataclass(frozen=True)
class HepPacket:
    """One packet, read."""

    protocol: int
    """IP protocol: 17 UDP, 6 TCP."""
    source: tuple[str, int]
    destination: tuple[str, int]
    at: float
    capture_id: int
    password: str
    node: str
    correlation: str
    payload: bytes
    raw: bytes = field(repr=False)

    @property
    def message(self) -> SipMessage:
        """The SIP message."""
        return message_from_bytes(self.payload)


def packet_from_bytes(data: bytes) -> HepPacket:
    """Read a datagram; raise ValueError."""
    if data[:4] != b"HEP3":
        raise ValueError("not HEP3")
    if int.from_bytes(data[4:6]) != len(data):
        raise ValueError(f"{len(data)} bytes, but its head says {int.from_bytes(data[4:6])}")
    chunks: dict[int, bytes] = {}
    at = 6
    while at < len(data):
        vendor, kind, length = (int.from_bytes(data[at + place : at + place + 2]) for place in (0, 2, 4))
        value = data[at + 6 : at + length]
        if length < 6 or at + length > len(data):
            raise ValueError(f"chunk {kind}: length {length}")
        if vendor or kind in chunks or not (kind in _TEXTS or _LENGTHS.get(kind) == len(value)):
            raise ValueError(f"chunk {kind} of vendor {vendor}: {value!r}")
        chunks[kind] = value
        at += length
    missing = [kind for kind in _NEEDED if kind not in chunks]
    ends = {2: (3, 4), 10: (5, 6)}.get(chunks.get(1, b"\0")[0], (0, 0))
    if missing or not all(kind in chunks for kind in ends) or len({3, 4, 5, 6} & set(chunks)) != 2:
        raise ValueError(f"chunks {sorted(chunks)}")
    if chunks[11] != b"\1" or int.from_bytes(chunks[10]) >= 1_000_000:
        raise ValueError("not SIP, or no microseconds")
    source, destination = (str(ip_address(chunks[kind])) for kind in ends)
    return HepPacket(
        protocol=chunks[2][0],
        source=(source, int.from_bytes(chunks[7])),
        destination=(destination, int.from_bytes(chunks[8])),
        at=int.from_bytes(chunks[9]) + int.from_bytes(chunks[10]) / 1e6,
        capture_id=int.from_bytes(chunks[12]),
        password=chunks.get(14, b"").decode("ascii"),
        node=chunks.get(19, b"").decode("ascii"),
        correlation=chunks.get(17, b"").decode(),
        payload=chunks[15],
        raw=data,
    )


class Collector(asyncio.DatagramProtocol):
    """Listens on a UDP socket and reads what comes."""

    def __init__(self) -> None:
        self.packets: list[HepPacket] = []
        self.broken: list[str] = []

    async def listen(self, host: str, port: int) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        self._transport = transport

    def close(self) -> None:
        """End."""
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Read a packet."""
        try:
            packet = packet_from_bytes(data)
            assert packet.message  # a whole message, as long as it says
        except (ValueError, AssertionError) as error:
            self.broken.append(f"{error}: {data!r}")
        else:
            self.packets.append(packet)

    def of_call(self, call_id: str) -> list[HepPacket]:
        """Return the packets of a call."""
        return [packet for packet in self.packets if packet.message.call_id == call_id]
