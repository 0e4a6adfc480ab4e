"""Load client process for Janus' SIP plugin: calls at a fixed rate, each ended as soon as it is accepted.

Knows Janus' JSON over WebSocket.  Pages are guests: no registrar, and no REGISTER, which is no part of a call.  They
have no candidate, so that nothing but signalling goes on.  Reads `JanusOrder` as JSON from standard input, prints
`LoadResult` as JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.bench.results import CallTimes, LoadResult
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


async def run(order: JanusOrder) -> LoadResult:
    """Connect, load, drain."""
    result = LoadResult()
    uri = f"sip:callee@127.0.0.1:{order.callee_port}"
    gate = asyncio.Semaphore(_AT_ONCE)

    async def opened(number: int) -> tuple[ClientConnection, Page]:
        async with gate:
            socket = await connect(
                f"ws://127.0.0.1:{order.port}", subprotocols=[Subprotocol("janus-protocol")],
                compression=None, ping_interval=None,
            )  # fmt: skip
            page = Page(socket, f"user{number}x{secrets.token_hex(3)}")
            await asyncio.wait_for(page.open(), _PATIENCE_S)
            return socket, page

    pages = await asyncio.gather(*(opened(number) for number in range(order.users)))
    free = deque(page for _, page in pages)

    def failed(reason: str) -> None:
        result.failures[reason] = result.failures.get(reason, 0) + 1

    async def one(page: Page) -> None:
        try:
            result.calls.append(await asyncio.wait_for(page.call(uri), _PATIENCE_S))
        except (CallError, TimeoutError) as error:
            failed(str(error) or "timeout")
            await asyncio.sleep(1)
        free.append(page)

    cpu_s, began = time.process_time(), time.monotonic()
    started, running = 0, set()
    while (now := time.monotonic()) < began + order.seconds:
        while started < (now - began) * order.rate:
            started += 1
            if not free:
                failed("every user is in a call")
                continue
            task = asyncio.create_task(one(free.popleft()))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.sleep(max(0.0, began + started / order.rate - time.monotonic()))
    if running:
        await asyncio.wait(running, timeout=2 * _PATIENCE_S)
    result.elapsed_s, result.cpu_s = time.monotonic() - began, time.process_time() - cpu_s
    await asyncio.gather(*(socket.close() for socket, _ in pages))
    return result


def janus_calls(order: JanusOrder) -> LoadResult:
    """Run a load client process."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench.janus_calls"],
        input=json.dumps(dataclasses.asdict(order)), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(ran.stdout)
    return LoadResult(**{**seen, "calls": [CallTimes(**call) for call in seen["calls"]]})


if __name__ == "__main__":
    json.dump(dataclasses.asdict(asyncio.run(run(JanusOrder(**json.load(sys.stdin))))), sys.stdout)
