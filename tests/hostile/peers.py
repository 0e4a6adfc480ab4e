"""Pages and a core that go on whatever comes, and everybody who sends mutants.

Knows sockets and what was sent.  Must not know how messages are spoiled.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.peers.core import ScriptedCore
from tests.peers.sip import SipRequest, SipResponse, message_from_bytes, message_to_bytes
from tests.peers.trace import Direction, Entry, Trace
from tests.peers.udp import Address
from tests.peers.websocket import Handshake, PageSocket
from tests.peers.wic import ScriptedWic, WicIdentity


class PatientTrace(Trace):
    """Mutants may confuse a peer: it is counted, and nobody stops waiting for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.confused = 0

    def fail(self, failure: BaseException) -> None:
        """Count."""
        del failure
        self.confused += 1

    def record(self, direction: Direction, message: SipRequest | SipResponse) -> Entry:
        """Keep what those who wait can read; raise ValueError for the rest."""
        _ = message.cseq, message.from_tag, message.to_tag, message.rseq
        return super().record(direction, message)

    def messages(self, call_id: str) -> list[bytes]:
        """Return the messages of a call as they were on the wire."""
        return [message_to_bytes(entry.message) for entry in self.of_call(call_id)]


class PatientCore(ScriptedCore):
    """A core that answers what it understands of mutants that were passed on."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.trace: PatientTrace = PatientTrace("core")

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Go on after what no core could read."""
        try:
            super().datagram_received(data, addr)
        except Exception as error:
            self.trace.fail(error)


class PatientPage(ScriptedWic):
    """A page that goes on, and comes back when its connection was closed."""

    def __init__(self, handshake: Handshake, aor: str) -> None:
        super().__init__(handshake, WicIdentity(aor))
        self.trace: PatientTrace = PatientTrace(f"wic {aor}")
        self.closed_times = 0

    async def come_back(self) -> None:
        """Connect and register again if the gateway has closed the connection."""
        if self.lost.is_set():
            self.closed_times += 1
            await self.connect()
            with contextlib.suppress(AssertionError):
                await self.register()

    async def _read(self, page_socket: PageSocket) -> None:
        while (data := await page_socket.receive()) is not None:
            if not data.strip():
                continue
            try:
                message = message_from_bytes(data)
                self.trace.record(Direction.RECEIVED, message)
                self._dispatch(message)
            except Exception as error:
                self.trace.fail(error)
        self.lost.set()


class Stranger:
    """A page that never registers: bytes in, nothing expected."""

    def __init__(self, handshake: Handshake) -> None:
        self._handshake = handshake
        self._socket: PageSocket | None = None
        self._reader: asyncio.Task[None] | None = None
        self.heard = 0
        self.closed_times = 0

    async def send(self, data: bytes) -> None:
        """Send, over a new connection if the gateway has closed the last one."""
        if self._socket is None or (self._reader is not None and self._reader.done()):
            self.closed_times += self._socket is not None
            self._socket = await PageSocket.open(self._handshake)
            self._reader = asyncio.create_task(self._read(self._socket))
        await self._socket.send(text_or_bytes(data))

    async def _read(self, page_socket: PageSocket) -> None:
        while await page_socket.receive() is not None:
            self.heard += 1

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            self._reader.cancel()


class Datagrams(asyncio.DatagramProtocol):
    """A UDP socket of somebody who is not the core, and may be of its network."""

    def __init__(self) -> None:
        self.heard = 0

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Count."""
        del data, addr
        self.heard += 1


@dataclass
class Senders:
    """Everybody who sends mutants, by name."""

    gateway: Address
    page: PatientPage
    other: PatientPage
    stranger: Stranger
    core: PatientCore
    sent: Counter[str] = field(default_factory=Counter)
    transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Open what is of its own."""
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(Datagrams, (self.gateway[0], 0))

    async def close(self) -> None:
        """Close it."""
        if self.transport is not None:
            self.transport.close()
        await self.stranger.close()

    @property
    def ways(self) -> dict[str, Callable[[list[bytes]], Awaitable[None]]]:
        """How each of them sends some messages."""
        return {
            "own page": self._of(self.page),
            "other page": self._of(self.other),
            "page not registered": self._from_stranger,
            "core, UDP": self._from_core,
            "core's network, UDP": self._from_other_port,
            "core's network, TCP": self._over_tcp,
        }

    async def send(self, way: str, messages: list[bytes]) -> None:
        """Send messages one way."""
        self.sent[way] += len(messages)
        await self.ways[way](messages)

    def _of(self, page: PatientPage) -> Callable[[list[bytes]], Awaitable[None]]:
        async def send(messages: list[bytes]) -> None:
            for message in messages:
                await page.come_back()
                await page.send_raw(text_or_bytes(message))

        return send

    async def _from_stranger(self, messages: list[bytes]) -> None:
        for message in messages:
            await self.stranger.send(message)

    async def _from_core(self, messages: list[bytes]) -> None:
        for message in messages:
            self.core.transport.sendto(message[:65_000], self.gateway)

    async def _from_other_port(self, messages: list[bytes]) -> None:
        assert self.transport is not None
        for message in messages:
            self.transport.sendto(message[:65_000], self.gateway)

    async def _over_tcp(self, messages: list[bytes]) -> None:
        """A stream: what a wrong length leaves over is the next message's beginning."""
        reader, writer = await asyncio.open_connection(*self.gateway)
        try:
            for message in messages:
                writer.write(message)
                await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1 << 20), 0.05)
        except ConnectionError:
            pass  # the gateway has ended it, as it may
        finally:
            writer.close()


def text_or_bytes(data: bytes) -> str | bytes:
    """Return what goes into a text message, and as bytes what can only go into a binary one."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


async def time_of_options(gateway: Address, within_s: float) -> float:
    """Return the seconds until the gateway answers OPTIONS over UDP; raise TimeoutError."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()

    class Line(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Address) -> None:
            if not answered.done():
                answered.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Line, (gateway[0], 0))
    host, port = transport.get_extra_info("sockname")[:2]
    token = secrets.token_hex(8)
    lines = (
        f"OPTIONS sip:{gateway[0]}:{gateway[1]} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{token};rport",
        "Max-Forwards: 5", f"From: <sip:probe@{host}>;tag={token}", f"To: <sip:{gateway[0]}>", f"Call-ID: {token}",
        "CSeq: 1 OPTIONS", "Content-Length: 0", "", "",
    )  # fmt: skip
    began = loop.time()
    try:
        transport.sendto("\r\n".join(lines).encode(), gateway)
        data = await asyncio.wait_for(answered, within_s)
        assert data.startswith(b"SIP/2.0 200 "), data
        return loop.time() - began
    finally:
        transport.close()
