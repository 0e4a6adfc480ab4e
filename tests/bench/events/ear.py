"""A listener in a process of its own: reads a Wanted as JSON, says when it listens, and in the end what it heard when.

Knows WebSockets and the names in an event. Must not know calls.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

SETTLES_S: Final = 1.0


@dataclass(frozen=True)
class Wanted:
    """Who listens where."""

    url: str
    origin: str
    cookie: str
    certificate: str
    leaves_every_s: float = 0.0
    """How often it breaks off and comes back for what it has missed; 0: it stays."""


@dataclass
class Heard:
    """What a listener heard."""

    events: list[tuple[str, str, str, float, float]] = field(default_factory=list)
    """Sequence number, Call-ID, type, when on the clock that all processes share, and how long after it was noted."""
    gaps: int = 0
    connections: int = 0


async def _listen(wanted: Wanted, heard: Heard, stop: asyncio.Event) -> None:
    """Listen until told to stop."""
    while not stop.is_set():
        after = f"?after={heard.events[-1][0]}" if heard.events else ""
        async with connect(
            wanted.url + after,
            origin=Origin(wanted.origin),
            additional_headers={"Cookie": f"__Host-session={wanted.cookie}"},
            ssl=ssl.create_default_context(cafile=wanted.certificate),
            proxy=None,
        ) as socket:
            if not heard.connections:
                print(json.dumps({"listening": True}), flush=True)
            heard.connections += 1
            hearing = asyncio.create_task(_hear(socket, heard))
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait(
                [hearing, waiting], timeout=wanted.leaves_every_s or None, return_when="FIRST_COMPLETED"
            )
            hearing.cancel()
            waiting.cancel()


async def _hear(socket: ClientConnection, heard: Heard) -> None:
    async for text in socket:
        at, clock = time.monotonic(), time.time()
        event: dict[str, Any] = json.loads(text)
        if event["type"] == "position":
            heard.gaps += event["gap"]
        else:
            heard.events.append(
                (event["seq"], event.get("call_id", ""), event["type"], at, clock - event["at"])
            )


async def main() -> None:
    """Listen until there is a line on standard input."""
    wanted, heard, stop = Wanted(**json.loads(sys.stdin.readline())), Heard(), asyncio.Event()
    listening = asyncio.create_task(_listen(wanted, heard, stop))
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(SETTLES_S + wanted.leaves_every_s)
    stop.set()
    await listening
    print(json.dumps(asdict(heard)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
