"""The page's WebSocket (RFC 7118), with every way of losing it.

Knows the handshake as HAProxy forwards it and socket-level ends. Must not know SIP.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

NO_CLOSE_FRAME = 1006
"""RFC 6455 §7.4.1: what is reported when there was none."""

ENDS_AFTER_S = 2.0
"""How long a browser waits for the server to end the connection (Chromium)."""


class Loss(StrEnum):
    """How a socket ends without a closing handshake."""

    RESET = "TCP RST: the network or the process died"
    FIN = "TCP FIN without a close frame: the tab was killed"


class BrowsersEnd(ClientConnection):
    """Ends the TCP connection itself, when the server has not a while after the closing handshake, as browsers do."""

    _is_ending = False

    def data_received(self, data: bytes) -> None:
        """Look for the server's Close frame."""
        super().data_received(data)
        if self.protocol.close_rcvd is not None and not self._is_ending:
            self._is_ending = True
            self.loop.call_later(ENDS_AFTER_S, self.transport.abort)


@dataclass(frozen=True)
class Handshake:
    """What the gateway reads from the HTTP upgrade.

    `forwarded_for` is the header HAProxy sets; leave it None when a real HAProxy is in front.
    """

    url: str
    origin: str | None = "https://softphone.example"
    forwarded_for: str | None = "198.51.100.7"
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ("sip",)
    source_port: int | None = None
    """Local port to connect from, as a TLS front that uses one again; None: the system chooses."""
    new_socket: Callable[[], socket.socket] | None = None
    """Makes the socket, where that has to be in another network."""
    source_address: str = ""
    """Local address to connect from: a client address of its own where a real HAProxy is in front."""


def unverified_tls() -> ssl.SSLContext:
    """Return a client context that accepts the lab's self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _local_address(handshake: Handshake) -> tuple[str, int] | None:
    if handshake.source_port is None and not handshake.source_address:
        return None
    return handshake.source_address or "127.0.0.1", handshake.source_port or 0


class PageSocket:
    """One WebSocket connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, handshake: Handshake) -> PageSocket:
        """Connect and upgrade.

        Raises:
            websockets.exceptions.InvalidStatus: the gateway refused the upgrade.
        """
        headers = dict(handshake.headers)
        if handshake.forwarded_for is not None:
            headers["X-Forwarded-For"] = handshake.forwarded_for
        connection = await connect(
            handshake.url,
            origin=handshake.origin,  # type: ignore[arg-type]  # NewType over str
            additional_headers=headers,
            subprotocols=[Subprotocol(name) for name in handshake.subprotocols],
            ssl=unverified_tls() if handshake.url.startswith("wss:") else None,
            compression=None,
            ping_interval=None,
            create_connection=BrowsersEnd,
            close_timeout=ENDS_AFTER_S,
            proxy=None,
            max_size=None,
            local_addr=_local_address(handshake),
            sock=await cls._connected(handshake),
        )
        return cls(connection)

    @staticmethod
    async def _connected(handshake: Handshake) -> socket.socket | None:
        if handshake.new_socket is None:
            return None
        made = handshake.new_socket()
        made.setblocking(False)
        url = urlsplit(handshake.url)
        try:
            await asyncio.get_running_loop().sock_connect(made, (url.hostname, url.port))
        except BaseException:
            made.close()
            raise
        return made

    @property
    def local_address(self) -> tuple[str, int]:
        """Our end, which is what the gateway sees as the flow."""
        host, port = self._connection.local_address[:2]
        return host, port

    @property
    def close_code(self) -> int | None:
        """Close code of the other end once the socket has ended; None without a close frame."""
        code = self._connection.close_code
        return None if code == NO_CLOSE_FRAME else code

    @property
    def subprotocol(self) -> str | None:
        """The negotiated subprotocol."""
        return self._connection.subprotocol

    async def send(self, data: str | bytes) -> None:
        """Send one frame; on a lost socket the message vanishes, as in a page."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(data)

    async def send_in_fragments(self, *parts: str) -> None:
        """Send one text message, a frame for each part."""
        await self._connection.send(parts)

    async def receive(self) -> bytes | None:
        """Return the next frame, None when the socket has ended."""
        try:
            data = await self._connection.recv()
        except ConnectionClosed:
            return None
        return data.encode() if isinstance(data, str) else data

    async def close(self) -> None:
        """End with the closing handshake."""
        await self._connection.close()

    def lose(self, loss: Loss) -> None:
        """End without the closing handshake."""
        transport = self._connection.transport
        if loss is Loss.RESET:
            raw: socket.socket = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
