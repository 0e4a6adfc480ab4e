"""A process that opens connections to the public origin from one address, as fast as it can.

Knows sockets, TLS and the WebSocket handshake.  Must not know what is measured.  Reads a `FloodOrder` as JSON from
standard input, prints a `Flood` as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import os
import resource
import secrets
import socket
import ssl
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.peers.websocket import unverified_tls

TCP, TLS, WEBSOCKET = "TCP", "TLS", "WebSocket"
KINDS: Final = (TCP, TLS, WEBSOCKET)
SPARE_FILES: Final = 200
ANSWER_S: Final = 15.0
"""So long somebody waits for TLS or for the answer to a handshake."""
REFUSED, HELD, ENDED = "refused", "held", "ended"


@dataclass(frozen=True)
class FloodOrder:
    """What is to be opened, from where."""

    source: str
    host: str
    port: int
    origin: str
    connections: int
    at_once: int = 400
    """Connections that are being opened at a time."""
    kinds: tuple[str, ...] = KINDS
    realm: str = ""
    """Of the users whom each WebSocket asks for, two each; "": it says nothing."""
    held_s: float = 0.0
    """How long those that stand are held when all have been tried."""


@dataclass
class Flood:
    """What became of it."""

    outcomes: dict[str, int] = field(default_factory=dict)
    """Kind and what became of such a connection -> how often."""
    most: int = 0
    """Connections that had not been ended at one moment, those being refused among them."""
    seconds: float = 0.0
    """From the first to the last attempt."""
    statuses: dict[str, int] = field(default_factory=dict)
    """HTTP status of WebSocket handshakes that were answered -> how often."""


class Flooder:
    """The address."""

    def __init__(self, order: FloodOrder) -> None:
        self._order = order
        self._tls = unverified_tls()
        self._outcomes: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._open = 0
        self._most = 0
        self._over = asyncio.Event()
        self._room = asyncio.Semaphore(order.at_once)

    async def run(self) -> Flood:
        """Open all connections, hold them, end them."""
        order, began = self._order, time.monotonic()
        tasks = []
        for number in range(order.connections):
            await self._room.acquire()
            kind = order.kinds[number % len(order.kinds)]
            tasks.append(asyncio.create_task(self._connection(kind)))
        seconds = time.monotonic() - began
        await asyncio.sleep(order.held_s)
        self._over.set()
        await asyncio.gather(*tasks)
        return Flood(dict(self._outcomes), self._most, seconds, dict(self._statuses))

    async def _connection(self, kind: str) -> None:
        opening = True
        try:
            reader, writer = await asyncio.wait_for(self._opened(kind), ANSWER_S)
            self._open += 1
            self._most = max(self._most, self._open)
            try:
                if kind == WEBSOCKET and not await asyncio.wait_for(self._upgraded(reader, writer), ANSWER_S):
                    raise ConnectionError
                self._room.release()
                opening = False
                self._outcomes[f"{kind} {await self._held(reader)}"] += 1
            finally:
                self._open -= 1
                _end(writer)
        except (OSError, EOFError, TimeoutError):
            self._outcomes[f"{kind} {REFUSED}"] += 1
        finally:
            if opening:
                self._room.release()

    async def _opened(self, kind: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        order = self._order
        tls: ssl.SSLContext | None = None if kind == TCP else self._tls
        return await asyncio.open_connection(
            order.host,
            order.port,
            ssl=tls,
            server_hostname=None if tls is None else "localhost",
            local_addr=(order.source, 0),
        )

    async def _upgraded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        order = self._order
        lines = (
            "GET /sip HTTP/1.1", f"Host: localhost:{order.port}", "Upgrade: websocket", "Connection: Upgrade",
            f"Origin: {order.origin}", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: sip", "", "",
        )  # fmt: skip
        writer.write("\r\n".join(lines).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1].decode()
        self._statuses[status] += 1
        if status != "101":
            return False
        for _ in range(2 if order.realm else 0):
            writer.write(frame(register(order.realm)))
        return True

    async def _held(self, reader: asyncio.StreamReader) -> str:
        """Wait until the other end ends the connection, or all are to end; return which it was."""
        reading = asyncio.create_task(_until_end(reader))
        over = asyncio.create_task(self._over.wait())
        await asyncio.wait((reading, over), return_when=asyncio.FIRST_COMPLETED)
        ended = reading.done()
        reading.cancel()
        over.cancel()
        return ENDED if ended else HELD


async def _until_end(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65536):
            pass
    except OSError:
        pass


def _end(writer: asyncio.StreamWriter) -> None:
    """Reset it: who floods leaves no port of his waiting."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def register(realm: str) -> bytes:
    """Return a REGISTER for a user of whom nobody has heard."""
    aor, token = f"sip:nobody-{secrets.token_hex(4)}@{realm}", secrets.token_hex(8)
    lines = (
        f"REGISTER sip:{realm} SIP/2.0", f"Via: SIP/2.0/WSS flood.invalid;branch=z9hG4bK{token}", "Max-Forwards: 70",
        f"From: <{aor}>;tag={token}", f"To: <{aor}>", f"Call-ID: {token}", "CSeq: 1 REGISTER",
        "Contact: <sip:x@flood.invalid;transport=ws>;expires=600", "Content-Length: 0", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def frame(payload: bytes) -> bytes:
    """Return a masked text frame (RFC 6455 §5.2) of at most 65,535 bytes; the mask changes nothing."""
    return struct.pack("!BBH4s", 0x81, 0x80 | 126, len(payload), bytes(4)) + payload


def order_from_text(text: str) -> FloodOrder:
    """Parse an order."""
    raw = json.loads(text)
    return FloodOrder(**{**raw, "kinds": tuple(raw["kinds"])})


def order_to_text(order: FloodOrder) -> str:
    """Print an order."""
    return json.dumps(dataclasses.asdict(order))


async def _main() -> None:
    order = order_from_text(sys.stdin.readline())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, order.connections + SPARE_FILES)), hard))
    print(json.dumps(dataclasses.asdict(await Flooder(order).run())))


if __name__ == "__main__":
    asyncio.run(_main())
