"""Many listeners in a process of their own: reads a Crowd as JSON, says when all listen, and how many still do then.

Knows WebSockets. Must not know what events mean.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

AT_ONCE: Final = 50


@dataclass(frozen=True)
class Crowd:
    """Who listens where."""

    url: str
    origin: str
    cookies: list[str] = field(default_factory=list)
    """One for each listener; each comes from an address of its own ten."""


async def _listen(crowd: Crowd, number: int, free: asyncio.Semaphore) -> ClientConnection | None:
    address = f"198.18.{number // 2500}.{number // 10 % 250 + 1}"
    headers = {"Cookie": f"__Host-session={crowd.cookies[number]}", "X-Forwarded-For": address}
    async with free:
        try:
            socket = await connect(
                crowd.url,
                origin=Origin(crowd.origin),
                additional_headers=headers,
                proxy=None,
                ping_interval=None,
                open_timeout=30,
                max_queue=1024,
            )
            await socket.recv()
        except (OSError, TimeoutError, WebSocketException) as error:
            print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)
            return None
        return socket


async def main() -> None:
    """Listen until standard input ends."""
    crowd = Crowd(**json.loads(sys.stdin.readline()))
    began, free = time.monotonic(), asyncio.Semaphore(AT_ONCE)
    opened = await asyncio.gather(*(_listen(crowd, number, free) for number in range(len(crowd.cookies))))
    sockets = [socket for socket in opened if socket is not None]
    print(json.dumps({"listening": len(sockets), "took_s": time.monotonic() - began}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    held = sum(socket.close_code is None for socket in sockets)
    print(json.dumps({"held": held}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
