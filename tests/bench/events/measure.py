"""Holds a crowd at the web API of a lab, and lets calls happen whose messages are timed until a listener has the event.

Knows the lab and the peers. Must not know bars.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec
import requests
from websockets.asyncio.client import connect
from websockets.typing import Origin

from kemi.state.web.accounts import AccountStore
from kemi.state.web.client import connect as connect_to_redis
from kemi.state.web.sessions import LoginMethod, Session, SessionStore
from tests.bench.cpu import tree_cpu_s
from tests.bench.events.crowd import Crowd
from tests.bench.registration.memory import open_files, resident
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, Stage
from tests.integration.lab.web import Browser
from tests.lab.lab import Lab
from tests.peers.core_script import answers
from tests.peers.trace import Direction
from tests.peers.wic import ScriptedWic

PER_USER: Final = 10
CALL_S: Final = 0.4


@dataclass
class Held:
    """What a crowd costs."""

    listeners: int = 0
    still_there: int = 0
    opening_s: float = 0.0
    bytes_each: float = 0.0
    """Proportional set size of the web API's processes."""
    files: int = 0
    idle_cpu_share: float = 0.0
    """Of one core, while nothing happens."""
    api_s: list[float] = field(default_factory=list)
    """GET /api/session while the crowd listens, and nothing else happens."""
    failures: dict[str, int] = field(default_factory=dict)


@dataclass
class Delays:
    """From a message in the gateway to the listener's event, seconds."""

    ringing_s: list[float] = field(default_factory=list)
    answered_s: list[float] = field(default_factory=list)
    events_per_s: float = 0.0
    lost: int = 0


def sessions(lab: Lab, number: int) -> list[str]:
    """Log people in who all have accounts of their own, without a password's hash for each."""
    store, now, cookies = SessionStore(connect_to_redis(lab.info.redis_url), 3600), time.time(), []
    for user in range((number + PER_USER - 1) // PER_USER):
        secret = secrets.token_urlsafe(32)
        session = Session(
            sid=secrets.token_urlsafe(18),
            method=LoginMethod.PASSWORD,
            name=f"listener{user}",
            impi=f"listener{user}@ims.example",
            impus=[f"sip:listener{user}@ims.example"],
            expires_at=now + 3600,
        )
        store.begin(secret, session, now)
        cookies += [secret] * PER_USER
    return cookies[:number]


@asynccontextmanager
async def crowd(lab: Lab, port: int, number: int, held: Held) -> AsyncIterator[None]:
    """Let a crowd listen; says afterwards how many still do."""
    pid = lab.info.processes["web_api"]
    before = resident([pid]).total
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.events.crowd"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    order = Crowd(f"ws://127.0.0.1:{port}/api/events", lab.info.web.origin, sessions(lab, number))
    process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
    while "listening" not in (said := json.loads(await process.stdout.readline())):
        held.failures[said["failed"]] = held.failures.get(said["failed"], 0) + 1
    held.listeners, held.opening_s = said["listening"], said["took_s"]
    held.bytes_each = (resident([pid]).total - before) / max(1, held.listeners)
    held.files = open_files([pid])
    try:
        yield
    finally:
        process.stdin.write(b"\n")
        held.still_there = json.loads(await process.stdout.readline())["held"]
        await process.wait()


async def rest(lab: Lab, port: int, held: Held, seconds: float) -> None:
    """Measure what is used while nothing happens, then how soon another request is answered."""
    pid = lab.info.processes["web_api"]
    before = tree_cpu_s([pid])
    await asyncio.sleep(seconds)
    held.idle_cpu_share = (tree_cpu_s([pid]) - before) / seconds

    def ask() -> None:
        with requests.Session() as http:
            http.trust_env = False
            for _ in range(100):
                began = time.monotonic()
                assert http.get(f"http://127.0.0.1:{port}/api/session", timeout=5).status_code == 200
                held.api_s.append(time.monotonic() - began)

    await asyncio.to_thread(ask)


class _Ear:
    """An operator who hears everything through the TLS front, and when."""

    def __init__(self) -> None:
        self.heard: dict[tuple[str, str], float] = {}
        self.number = 0

    async def listen(self, lab: Lab) -> None:
        accounts = AccountStore(connect_to_redis(lab.info.redis_url))
        alice = accounts.get("alice")
        assert alice is not None
        accounts.put(msgspec.structs.replace(alice, operator=True))
        browser = Browser(lab)
        assert browser.log_in("alice", lab.info.web.accounts["alice"]).status_code == 201
        self._socket = await connect(
            f"{browser.origin.replace('https', 'wss')}/api/operator/events",
            origin=Origin(browser.origin),
            additional_headers={"Cookie": f"__Host-session={browser.cookie}"},
            ssl=ssl.create_default_context(cafile=str(lab.info.web.certificate)),
            proxy=None,
        )
        self._task = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        async for text in self._socket:
            at = time.monotonic()
            event: dict[str, Any] = json.loads(text)
            self.number += event["type"] != "position"
            self.heard[event.get("call_id", ""), event["type"]] = at

    async def close(self) -> None:
        await self._socket.close()
        await self._task


async def calls(stage: Stage, *, pages: int, rate: float, seconds: float) -> Delays:
    """Let pages call at a rate, each call of some four events; time two messages of each call."""
    ear, delays = _Ear(), Delays()
    await ear.listen(stage.lab)
    stage.core.script = answers()
    opened = [await stage.page() for _ in range(pages)]
    began, number = time.monotonic(), ear.number
    running: set[asyncio.Task[None]] = set()
    for count in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + count / rate - time.monotonic()))
        task = asyncio.create_task(_call(opened[count % pages]))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    delays.events_per_s = (ear.number - number) / (time.monotonic() - began)
    await asyncio.sleep(1)
    for entry in stage.core.trace.entries:
        message = entry.message
        kind = {180: "call_ringing", 200: "call_answered"}.get(getattr(message, "status", 0), "")
        if not kind or entry.direction is not Direction.SENT or message.cseq.method != "INVITE":
            continue
        heard_at = ear.heard.get((message.call_id, kind))
        if heard_at is None:
            delays.lost += 1
        else:
            (delays.ringing_s if kind == "call_ringing" else delays.answered_s).append(heard_at - entry.at_s)
    await ear.close()
    return delays


async def _call(page: ScriptedWic) -> None:
    call = await page.invite(BOB, AUDIO)
    await call.wait_answer()
    await asyncio.sleep(CALL_S)
    await call.bye()
