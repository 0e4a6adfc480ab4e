"""A load client process that calls at rates that change by a plan, and writes down what became of each call.

Knows pacing. Must not know what is measured of it. Reads `CrowdOrder` as JSON from standard input, prints a list of
`Outcome` rows as JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from dataclasses import dataclass, field

from tests.bench.generator import LoadConnection, LoadOrder
from tests.bench.load_call import LoadCall

PATIENCE_S = 10.0
"""So long a page waits for the end of a call; then it has failed."""
GOOD = "good"


@dataclass(frozen=True)
class CrowdOrder:
    """Rates in calls per second and how long each lasts, from a moment of the monotonic clock on."""

    load: LoadOrder
    rates: list[tuple[float, float]] = field(default_factory=list)


Outcome = tuple[float, float, str]
"""When the INVITE was sent and the call answered (0: never), both of the machine's monotonic clock, and what became of
it: `GOOD`, or how it failed."""


class Crowd:
    """The pages of one process."""

    def __init__(self, order: CrowdOrder) -> None:
        self._order = order
        self._connections: list[LoadConnection] = []
        self._outcomes: list[Outcome] = []
        self._running = 0
        self._retry_after: list[int] = []

    async def connect(self) -> None:
        """Open and register all pages."""
        loop, load = asyncio.get_running_loop(), self._order.load
        for number in range(load.connections):
            connection = LoadConnection(load, number)
            await loop.create_connection(lambda c=connection: c, load.host, load.port)  # type: ignore[misc]
            await connection.upgraded
            await connection.register()
            self._connections.append(connection)

    async def run(self) -> list[Outcome]:
        """Call as the order says, and wait until no call is left."""
        number = 0
        begin = time.monotonic()
        for rate, seconds in self._order.rates:
            started = 0
            while (passed := time.monotonic() - begin) < seconds:
                while started < passed * rate:
                    self._start(self._connections[number % len(self._connections)])
                    number += 1
                    started += 1
                await asyncio.sleep(max(0.0, min(seconds, started / rate) - (time.monotonic() - begin)))
            begin += seconds
        while self._running:
            await asyncio.sleep(0.05)
        for connection in self._connections:
            connection.transport.close()
        return self._outcomes

    def _start(self, connection: LoadConnection) -> None:
        self._running += 1

        def done(call: LoadCall, failure: str | None) -> None:
            if connection.calls.pop(call.call_id, None) is None:
                return
            timer.cancel()
            self._running -= 1
            self._outcomes.append((call.times.invite_at_s, call.times.answered_at_s, failure or GOOD))

        load = self._order.load
        call = LoadCall(
            connection.host, connection.user, connection.send, done, realm=load.realm, target=load.target
        )
        connection.calls[call.call_id] = call
        timer = asyncio.get_running_loop().call_later(PATIENCE_S, done, call, "timeout")
        call.start()


def order_from_text(text: str) -> CrowdOrder:
    """Parse an order."""
    raw = json.loads(text)
    return CrowdOrder(LoadOrder(**raw["load"]), [(rate, seconds) for rate, seconds in raw["rates"]])


def order_to_text(order: CrowdOrder) -> str:
    """Print an order."""
    return json.dumps(dataclasses.asdict(order))


async def _main() -> None:
    crowd = Crowd(order_from_text(sys.stdin.readline()))
    await crowd.connect()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(await crowd.run()))


if __name__ == "__main__":
    asyncio.run(_main())
