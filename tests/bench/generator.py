"""Load client process: SIP over WebSocket calls in a closed loop or at a fixed rate.

Knows connections, registration of each, and pacing. Must not know what the gateway does; calls are in `load_call`.
Reads `LoadOrder` as a line of JSON, says "ready" when all connections are open, begins with the next line, prints
`LoadResult` as JSON, and lets its connections go when standard input ends: who counts what calls cost counts between
"ready" and the result.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import random
import secrets
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from tests.bench.frames import BINARY, PING, PONG, TEXT, FrameReader, frame_to_bytes, upgrade_request
from tests.bench.load_call import REALM, TARGET, LoadCall, header
from tests.bench.results import LoadResult
from tests.peers.digest import Credentials, authorization, challenge_from_text

_CALL_TIMEOUT_S: Final = 10.0
_MOST_CHALLENGES: Final = 3
_CHALLENGE: Final = "WWW-Authenticate"


@dataclass(frozen=True)
class LoadOrder:
    """What a load client shall do."""

    port: int
    host: str = "127.0.0.1"
    path: str = "/sip"
    seconds: float = 5.0
    connections: int = 20
    rate: float = 0.0
    """Calls per second; 0 is a closed loop with one call per connection."""
    phase: float = 0.0
    """Where between two ticks of the machine's clock, one for each call, the calls begin: of load clients side by side
    each has its own, or their calls would come in pairs or not as chance has it, run by run."""
    by_chance: bool = False
    """Calls at that rate come as people make them, independently of each other (Poisson), instead of evenly."""
    first_user: int = 0
    register: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    """Header fields of the HTTP upgrade."""
    authorizations: list[str] = field(default_factory=list)
    """Authorization value of the REGISTER of each connection."""
    realm: str = REALM
    target: str = TARGET
    """Whom everybody calls."""
    accounts: list[list[str]] = field(default_factory=list)
    """User, private identity and password of each connection, for a core that challenges; users are made up without."""


class LoadConnection(asyncio.Protocol):
    """One page's socket; messages are handled where they are read."""

    def __init__(self, order: LoadOrder, number: int) -> None:
        self.user = order.accounts[number][0] if order.accounts else f"alice{order.first_user + number}"
        self.host = f"{secrets.token_hex(6)}.invalid"
        self.calls: dict[str, LoadCall] = {}
        loop = asyncio.get_running_loop()
        self.upgraded: asyncio.Future[None] = loop.create_future()
        self.registered: asyncio.Future[str] = loop.create_future()
        self._call_id = secrets.token_hex(12)
        self._instance = uuid.uuid4().urn
        self._order = order
        self._number = number
        self._head = bytearray()
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        order = self._order
        transport.write(upgrade_request(f"{order.host}:{order.port}", order.path, order.headers))

    def data_received(self, data: bytes) -> None:
        """Cut frames and hand messages to their calls."""
        read_at_s = time.monotonic()
        if not self.upgraded.done():
            self._head += data
            head, end, data = bytes(self._head).partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self.upgraded.set_exception(ConnectionRefusedError(head.decode(errors="replace")))
                return
            self.upgraded.set_result(None)
        for frame in self._frames.feed(data):
            if frame.opcode == PING:
                self.transport.write(frame_to_bytes(frame.payload, PONG))
            elif frame.opcode in (TEXT, BINARY):
                self._message(frame.payload.decode(errors="replace"), read_at_s)

    @property
    def transport(self) -> asyncio.Transport:
        """The socket."""
        assert self._transport is not None
        return self._transport

    def send(self, message: str) -> None:
        """Send one message."""
        self.transport.write(frame_to_bytes(message.encode()))

    async def register(self) -> None:
        """Register once; a load client that is refused cannot go on."""
        credentials = self._order.authorizations
        answer = await self._register(1, credentials[self._number] if credentials else "")
        for cseq in range(2, 2 + _MOST_CHALLENGES):
            if not answer.startswith("SIP/2.0 401") or not self._order.accounts:
                break
            _, name, password = self._order.accounts[self._number]
            last = answer[answer.rfind(f"\r\n{_CHALLENGE}: ") :]  # as SIP.js and JsSIP do
            challenge = challenge_from_text(header(last, _CHALLENGE))
            uri = f"sip:{self._order.realm}"
            answer = await self._register(
                cseq, authorization(challenge, Credentials(name, password), "REGISTER", uri)
            )
        if not answer.startswith("SIP/2.0 200"):
            raise ConnectionRefusedError(f"REGISTER of {self.user} got {answer[8:11]}")

    async def _register(self, cseq: int, credentials: str) -> str:
        """Send one REGISTER and return its final response."""
        self.registered = asyncio.get_running_loop().create_future()
        realm = self._order.realm
        aor = f"sip:{self.user}@{realm}"
        authorization_line = f"Authorization: {credentials}\r\n" if credentials else ""
        self.send(
            f"REGISTER sip:{realm} SIP/2.0\r\n"
            f"Via: SIP/2.0/WSS {self.host};branch=z9hG4bK{secrets.token_hex(8)}\r\nMax-Forwards: 70\r\n"
            f"From: <{aor}>;tag={secrets.token_hex(4)}\r\nTo: <{aor}>\r\nCall-ID: {self._call_id}\r\n"
            f"CSeq: {cseq} REGISTER\r\nContact: <sip:{self.user}@{self.host};transport=ws;ob>;reg-id=1;"
            f'+sip.instance="<{self._instance}>"\r\nExpires: 600\r\n'
            f"Supported: outbound, path\r\n{authorization_line}Content-Length: 0\r\n\r\n"
        )
        return await asyncio.wait_for(self.registered, _CALL_TIMEOUT_S)

    def _message(self, message: str, read_at_s: float) -> None:
        if header(message, "CSeq").endswith("REGISTER"):
            if not self.registered.done() and not message.startswith("SIP/2.0 1"):
                self.registered.set_result(message)
            return
        call = self.calls.get(header(message, "Call-ID"))
        if call is not None:
            call.received(message, read_at_s)


class Load:
    """All connections of one process and what they measured."""

    def __init__(self, order: LoadOrder) -> None:
        self.order = order
        self.result = LoadResult()
        self._connections: list[LoadConnection] = []
        self._running = 0
        self._idle = asyncio.Event()
        self._until_s = 0.0

    async def open(self) -> None:
        """Connect, and register where the order says so."""
        loop = asyncio.get_running_loop()
        order = self.order
        for number in range(order.connections):
            connection = LoadConnection(order, number)
            await loop.create_connection(lambda c=connection: c, order.host, order.port)  # type: ignore[misc]
            await connection.upgraded
            if order.register:
                await connection.register()
            self._connections.append(connection)

    async def run(self) -> LoadResult:
        """Load, drain."""
        cpu_s, start_s = time.process_time(), time.monotonic()
        self._until_s = start_s + self.order.seconds
        await (self._fixed_rate(start_s) if self.order.rate else self._closed_loop())
        self.result.elapsed_s = time.monotonic() - start_s
        self.result.cpu_s = time.process_time() - cpu_s
        return self.result

    async def close(self) -> None:
        """Let the connections go."""
        for connection in self._connections:
            connection.transport.close()

    async def _closed_loop(self) -> None:
        for connection in self._connections:
            self._start(connection, again=True)
        await self._idle.wait()

    async def _fixed_rate(self, start_s: float) -> None:
        for number, due_s in enumerate(begins_s(self.order, start_s)):
            if due_s >= self._until_s:
                break
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self._start(self._connections[number % len(self._connections)], again=False)
        if self._running:
            await self._idle.wait()

    def _start(self, connection: LoadConnection, *, again: bool) -> None:
        self._idle.clear()
        self._running += 1
        loop = asyncio.get_running_loop()

        def done(call: LoadCall, failure: str | None) -> None:
            if connection.calls.pop(call.call_id, None) is None:
                return
            timer.cancel()
            self._running -= 1
            if failure is None:
                self.result.calls.append(call.times)
            else:
                self.result.failures[failure] = self.result.failures.get(failure, 0) + 1
            if again and time.monotonic() < self._until_s:
                loop.call_soon(start_next)
            elif not self._running:
                self._idle.set()

        def start_next() -> None:
            self._start(connection, again=True)

        order = self.order
        call = LoadCall(
            connection.host, connection.user, connection.send, done, realm=order.realm, target=order.target
        )
        connection.calls[call.call_id] = call
        timer = loop.call_later(_CALL_TIMEOUT_S, done, call, "timeout")
        call.start()


def begins_s(order: LoadOrder, start_s: float) -> Iterator[float]:
    """Return when calls begin, without end, on the machine's monotonic clock."""
    if order.by_chance:
        while True:
            start_s += random.expovariate(order.rate)
            yield start_s
    tick = math.ceil(start_s * order.rate - order.phase)
    while True:
        yield (tick + order.phase) / order.rate
        tick += 1


def order_from_text(text: str) -> LoadOrder:
    """Parse an order."""
    return LoadOrder(**json.loads(text))


def order_to_text(order: LoadOrder) -> str:
    """Print an order."""
    return json.dumps(dataclasses.asdict(order))


class LoadClient(Protocol):
    """What a load client process does, part by part."""

    async def open(self) -> None:
        """Open everything that is no part of the load."""

    async def run(self) -> LoadResult:
        """Load."""

    async def close(self) -> None:
        """Let go what was opened."""


async def in_parts(load: LoadClient) -> None:
    """Say when all is open, load with the next line of standard input, and let go when it ends."""
    await load.open()
    print(json.dumps("ready"), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(dataclasses.asdict(await load.run())), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await load.close()


async def _main() -> None:
    await in_parts(Load(order_from_text(sys.stdin.readline())))


if __name__ == "__main__":
    asyncio.run(_main())
