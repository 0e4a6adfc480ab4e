"""Load client process for Janus' SIP plugin: calls at a fixed rate, each ended as soon as it is accepted.

Knows Janus' JSON over WebSocket.  Pages are guests: no registrar, and no REGISTER, which is no part of a call.  They
have no candidate, so that nothing but signalling goes on.  Reads `JanusOrder` as a line of JSON and goes on as
`generator.in_parts` says: that sessions are opened is no part of a call, either.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.bench.generator import LoadOrder, begins_s, in_parts
from tests.bench.results import CallTimes, LoadResult
from tests.bench.runner import Mark, load_by
from tests.peers.sdp import page_offer

OFFER: Final = "".join(
    line + "\r\n"
    for line in page_offer(audio="sendrecv").splitlines()
    if not line.startswith(("a=candidate", "a=ssrc"))
)
_PATIENCE_S: Final = 10.0
_AT_ONCE: Final = 25


@dataclass(frozen=True)
class JanusOrder:
    """What the load client shall do."""

    port: int
    callee_port: int
    rate: float
    seconds: float
    users: int = 300
    """A user who calls again within a second may meet Janus' old call."""
    phase: float = 0.0
    """As of `LoadOrder`."""


class CallError(Exception):
    """A call did not go as it should."""


class Page:
    """One user on a WebSocket of its own."""

    def __init__(self, socket: ClientConnection, name: str) -> None:
        self._socket, self._name = socket, name
        self._ids: dict[str, int] = {}

    async def open(self) -> None:
        """Create session and handle, and become a guest."""
        self._ids = {"session_id": (await self._ask({"janus": "create"}))["data"]["id"]}
        attached = await self._ask({"janus": "attach", "plugin": "janus.plugin.sip"})
        self._ids["handle_id"] = attached["data"]["id"]
        await self._message(
            {"request": "register", "type": "guest", "username": f"sip:{self._name}@127.0.0.1"}
        )
        await self._event("registered")

    async def call(self, uri: str) -> CallTimes:
        """Call, hang up when it is accepted, wait for the end.

        Raises:
            CallError, TimeoutError: it did not come about.
        """
        times = CallTimes(self._name, time.monotonic())
        await self._message({"request": "call", "uri": uri}, {"type": "offer", "sdp": OFFER})
        await self._event("accepted")
        times.answered_at_s = time.monotonic()
        await self._message({"request": "hangup"})
        await self._event("hangup")
        return times

    async def _message(self, body: dict[str, Any], jsep: dict[str, str] | None = None) -> None:
        await self._send({"janus": "message", "body": body} | ({"jsep": jsep} if jsep else {}))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps({**message, **self._ids, "transaction": secrets.token_hex(6)}))

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        await self._send(message)
        while (reply := await self._read())["janus"] != "success":
            pass
        return reply

    async def _event(self, name: str) -> None:
        while True:
            data = (await self._read()).get("plugindata", {}).get("data", {})
            if "error" in data:
                raise CallError(f"{data.get('error_code')}")
            result = data.get("result", {})
            if result.get("event") == name:
                return
            if result.get("event") == "hangup":
                raise CallError(f"hangup {result.get('code')}")

    async def _read(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(await self._socket.recv())
        return reply


class Load:
    """All users of one process and what they measured."""

    def __init__(self, order: JanusOrder) -> None:
        self._order = order
        self._result = LoadResult()
        self._sockets: list[ClientConnection] = []
        self._free: deque[Page] = deque()

    async def open(self) -> None:
        """Open a session for each user, some at once."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def opened(number: int) -> None:
            async with gate:
                socket = await connect(
                    f"ws://127.0.0.1:{self._order.port}", subprotocols=[Subprotocol("janus-protocol")],
                    compression=None, ping_interval=None,
                )  # fmt: skip
                self._sockets.append(socket)
                page = Page(socket, f"user{number}x{secrets.token_hex(3)}")
                await asyncio.wait_for(page.open(), _PATIENCE_S)
                self._free.append(page)

        await asyncio.gather(*(opened(number) for number in range(self._order.users)))

    async def run(self) -> LoadResult:
        """Load, drain."""
        order, result = self._order, self._result
        cpu_s, began_s = time.process_time(), time.monotonic()
        running = set[asyncio.Task[None]]()
        for due_s in begins_s(LoadOrder(order.port, rate=order.rate, phase=order.phase), began_s):
            if due_s >= began_s + order.seconds:
                break
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if not self._free:
                self._failed("every user is in a call")
                continue
            task = asyncio.create_task(self._call(self._free.popleft()))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running, timeout=2 * _PATIENCE_S)
        result.elapsed_s, result.cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        return result

    async def close(self) -> None:
        """Let the sessions go."""
        await asyncio.gather(*(socket.close() for socket in self._sockets))

    async def _call(self, page: Page) -> None:
        uri = f"sip:callee@127.0.0.1:{self._order.callee_port}"
        try:
            self._result.calls.append(await asyncio.wait_for(page.call(uri), _PATIENCE_S))
        except (CallError, TimeoutError) as error:
            self._failed(str(error) or "timeout")
            await asyncio.sleep(1)
        self._free.append(page)

    def _failed(self, reason: str) -> None:
        self._result.failures[reason] = self._result.failures.get(reason, 0) + 1


def janus_calls(order: JanusOrder, processes: int = 1, mark: Mark = lambda: None) -> LoadResult:
    """Divide rate and users among load client processes, and run them side by side.

    Raises:
        RuntimeError: one of them ended before it had a result.
    """
    share = replace(order, rate=order.rate / processes, users=math.ceil(order.users / processes))
    orders = [replace(share, phase=number / processes) for number in range(processes)]
    return load_by("tests.bench.janus_calls", [json.dumps(asdict(one)) for one in orders], mark)


async def _main() -> None:
    await in_parts(Load(JanusOrder(**json.loads(sys.stdin.readline()))))


if __name__ == "__main__":
    asyncio.run(_main())
