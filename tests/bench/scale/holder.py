"""Load client process that holds calls: sets them up, asks inside them, makes others beside them, lets pages go.

Knows connections, pacing and calls that stay. Must not know the gateway. The first line of standard input is a
`LoadOrder`; each further one is a JSON `Errand`, answered with one JSON `Done`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.generator import LoadConnection, LoadOrder, order_from_text
from tests.bench.load_call import LoadCall, header

_PATIENCE_S: Final = 15.0
_AT_ONCE: Final = 20


@dataclass(frozen=True)
class Errand:
    """One thing to do.

    hold: make `number` more calls and keep them.
    call_at_rate: make `number` calls and end them, `rate` a second.
    ask: send INFO inside held calls, in turn, `rate` a second, `number` in all.
    leave: let `number` pages without a call connect and register, and lose their connections at `rate` a second.
    """

    what: str
    number: int
    rate: float = 0.0


@dataclass(frozen=True)
class Done:
    """What became of it."""

    good: int
    seconds: float
    cpu_s: float
    failures: dict[str, int]


class HeldCall(LoadCall):
    """A call that is not ended, and may be asked about."""

    last = ""
    """The 200 to the INVITE, by which requests are addressed."""

    def __init__(
        self,
        host: str,
        user: str,
        send: Callable[[str], None],
        done: Callable[[LoadCall, str | None], None],
        *,
        realm: str,
        target: str,
    ) -> None:
        super().__init__(host, user, send, done, realm=realm, target=target)
        self._asked: dict[str, Callable[[str | None], None]] = {}
        """CSeq of an INFO -> who waits for its answer."""

    def _invite_response(self, message: str, status: int, read_at_s: float) -> None:
        if 200 <= status < 300 and not self.last:
            self.last, self._answered = message, True  # so no BYE follows the ACK
            super()._invite_response(message, status, read_at_s)
            self._done(self, None)
        else:
            super()._invite_response(message, status, read_at_s)

    def _response(self, message: str, read_at_s: float) -> None:
        cseq = header(message, "CSeq")
        if cseq.endswith("INFO"):
            done = self._asked.pop(cseq.partition(" ")[0], None)
            if done is not None:
                done(None if message[8:11] == "200" else f"INFO {message[8:11]}")
        else:
            super()._response(message, read_at_s)

    def ask(self, done: Callable[[str | None], None]) -> None:
        """Send INFO inside the call."""
        self._asked[str(self._cseq + 1)] = done
        self._in_dialog("INFO", self.last, header(self.last, "To"), "Info-Package: nothing\r\n")


class Holder:
    """All pages of this process."""

    def __init__(self, order: LoadOrder) -> None:
        self._order = order
        self._connections: list[LoadConnection] = []
        self._held: list[HeldCall] = []
        self._good = 0
        self._failures: Counter[str] = Counter()

    async def connect(self) -> None:
        """Open and register the pages that call."""
        for number in range(self._order.connections):
            self._connections.append(await self._page(number))

    async def _page(self, number: int) -> LoadConnection:
        connection = LoadConnection(self._order, number)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, self._order.host, self._order.port)
        await connection.upgraded
        await connection.register()
        return connection

    async def do(self, errand: Errand) -> Done:
        """Do one thing and say what came of it."""
        self._good, self._failures = 0, Counter()
        cpu_s, began_s = time.process_time(), time.monotonic()
        await getattr(self, f"_{errand.what}")(errand)
        return Done(self._good, time.monotonic() - began_s, time.process_time() - cpu_s, dict(self._failures))

    async def _hold(self, errand: Errand) -> None:
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int) -> None:
            async with room:
                call = await self._call(HeldCall, number)
                if isinstance(call, HeldCall):
                    self._held.append(call)

        await asyncio.gather(*(one(number) for number in range(errand.number)))

    async def _call(self, kind: type[LoadCall], number: int) -> LoadCall | None:
        """Make a call; held ones stay known to their connection."""
        connection = self._connections[number % len(self._connections)]
        ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def done(_: LoadCall, failure: str | None) -> None:
            if not ended.done():
                ended.set_result(failure)

        order = self._order
        call = kind(
            connection.host, connection.user, connection.send, done, realm=order.realm, target=order.target
        )
        connection.calls[call.call_id] = call
        call.start()
        failure = await self._in_time(ended)
        if failure is not None or kind is LoadCall:
            del connection.calls[call.call_id]
        return call if failure is None else None

    async def _in_time(self, ended: asyncio.Future[str | None]) -> str | None:
        try:
            failure = await asyncio.wait_for(ended, _PATIENCE_S)
        except TimeoutError:
            failure = "timeout"
        if failure is None:
            self._good += 1
        else:
            self._failures[failure] += 1
        return failure

    async def _at_rate(self, errand: Errand, one: Callable[[int], asyncio.Task[object]]) -> None:
        began_s, tasks = time.monotonic(), []
        for number in range(errand.number):
            await asyncio.sleep(max(0.0, began_s + number / errand.rate - time.monotonic()))
            tasks.append(one(number))
        await asyncio.gather(*tasks)

    async def _do_call(self, number: int) -> None:
        await self._call(LoadCall, number)

    async def _call_at_rate(self, errand: Errand) -> None:
        await self._at_rate(errand, lambda number: asyncio.create_task(self._do_call(number)))

    async def _ask(self, errand: Errand) -> None:
        async def one(number: int) -> None:
            ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

            def done(failure: str | None) -> None:
                if not ended.done():
                    ended.set_result(failure)

            self._held[number % len(self._held)].ask(done)
            await self._in_time(ended)

        await self._at_rate(errand, lambda number: asyncio.create_task(one(number)))

    async def _leave(self, errand: Errand) -> None:
        first = self._order.connections
        pages = [await self._page(first + number) for number in range(errand.number)]

        async def one(number: int) -> None:
            pages[number].transport.abort()
            self._good += 1

        await self._at_rate(errand, lambda number: asyncio.create_task(one(number)))


async def _main() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    holder = Holder(order_from_text((await reader.readline()).decode()))
    await holder.connect()
    print("ready", flush=True)
    while line := await reader.readline():
        done = await holder.do(Errand(**json.loads(line)))
        print(json.dumps(dataclasses.asdict(done)), flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
