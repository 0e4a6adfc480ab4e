"""Holds a crowd at the web API of a lab, and lets calls happen whose messages are timed until a listener has the event.

Knows the lab and the peers. Must not know bars.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import msgspec
import requests

from kemi.state.web.accounts import AccountStore
from kemi.state.web.client import connect as connect_to_redis
from kemi.state.web.event_feed import order_of
from kemi.state.web.sessions import LoginMethod, Session, SessionStore
from tests.bench.cpu import tree_cpu_s
from tests.bench.events.crowd import Crowd
from tests.bench.events.ear import Heard, Wanted
from tests.bench.generator import LoadOrder, order_to_text
from tests.bench.registration.memory import open_files, resident
from tests.integration.lab.web import Browser
from tests.lab.lab import Lab
from tests.lab.subscribers import REALM

PER_USER: Final = 10
LEAVES_EVERY_S: Final = 2.0


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
    calls_per_s: float = 0.0
    events_per_s: float = 0.0
    lost: dict[str, int] = field(default_factory=dict)
    """By type. A 180 that a worker reads after the 200 behind it is no event any more."""
    since_note_s: list[float] = field(default_factory=list)
    """What of it, and of all other events, comes after the gateway's worker has made its note."""
    resumes: int = 0
    """How often another listener broke off and came back."""
    gaps: int = 0
    resumed_rightly: bool = False
    """It heard every event, once and in order."""
    failures: dict[str, int] = field(default_factory=dict)


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


@asynccontextmanager
async def _process(module: str, *arguments: str) -> AsyncIterator[_Process]:
    """A process of the load, apart from ours so that nobody waits for anybody."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    try:
        yield _Process(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


class _Process:
    """One of them, which is told and tells in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def tell(self, line: str) -> None:
        self._stdin.write(line.encode() + b"\n")

    async def said(self) -> Any:
        line = await self._stdout.readline()
        assert line, "it has ended"
        return json.loads(line)


def _operator(lab: Lab) -> Wanted:
    """An operator who hears everything, through the TLS front."""
    accounts = AccountStore(connect_to_redis(lab.info.redis_url))
    alice = accounts.get("alice")
    assert alice is not None
    accounts.put(msgspec.structs.replace(alice, operator=True))
    browser = Browser(lab)
    assert browser.log_in("alice", lab.info.web.accounts["alice"]).status_code == 201
    assert browser.cookie is not None
    url = f"{browser.origin.replace('https', 'wss')}/api/operator/events"
    return Wanted(url, browser.origin, browser.cookie, str(lab.info.web.certificate))


def _sequence(one: Heard, other: Heard) -> list[str]:
    """The sequence numbers that one heard while the other listened, too."""
    began, ended = order_of(other.events[0][0]), order_of(other.events[-1][0])
    return [seq for seq, *_ in one.events if began <= order_of(seq) <= ended]


async def calls(lab: Lab, core_port: int, *, pages: int, rate: float, seconds: float) -> Delays:
    """Let pages call at a rate, each call of four events; time two messages of each call.

    The callee rings and answers at once, so both were sent when its INVITE came.
    """
    delays = Delays()
    order = LoadOrder(
        port=lab.info.gateway.ws_port,
        seconds=seconds,
        connections=pages,
        rate=rate,
        register=True,
        headers={"Origin": lab.info.web.origin, "X-Forwarded-For": "198.51.100.7"},
        realm=REALM,
        target=f"sip:bob@{REALM}",
    )
    async with (
        _process("tests.bench.callee", "--port", str(core_port)) as callee,
        _process("tests.bench.events.ear") as ear,
        _process("tests.bench.events.ear") as restless,
        _process("tests.bench.generator") as generator,
    ):
        await callee.said()
        operator = _operator(lab)
        for one, leaves_every_s in ((ear, 0.0), (restless, LEAVES_EVERY_S)):
            one.tell(json.dumps(asdict(replace(operator, leaves_every_s=leaves_every_s))))
            await one.said()
        generator.tell(order_to_text(order))
        await generator.said()
        generator.tell("")
        load = await generator.said()
        for one in (ear, restless):
            one.tell("")
        heard, again = Heard(**await ear.said()), Heard(**await restless.said())
        callee.tell("report")
        arrivals: dict[str, float] = (await callee.said())["arrivals"]
    delays.calls_per_s = len(load["calls"]) / load["elapsed_s"]
    delays.failures = load["failures"]
    delays.events_per_s = len(heard.events) / (heard.events[-1][3] - heard.events[0][3])
    delays.since_note_s = [delay for _, _, _, _, delay in heard.events]
    delays.resumes, delays.gaps = again.connections - 1, again.gaps + heard.gaps
    delays.resumed_rightly = _sequence(again, heard) == _sequence(heard, again)
    heard_at = {(call_id, kind): at for _, call_id, kind, at, _ in heard.events}
    for call_id, sent_at in arrivals.items():
        for kind, found in (("call_ringing", delays.ringing_s), ("call_answered", delays.answered_s)):
            if (at := heard_at.get((call_id, kind))) is None:
                delays.lost[kind] = delays.lost.get(kind, 0) + 1
            else:
                found.append(at - sent_at)
    return delays
