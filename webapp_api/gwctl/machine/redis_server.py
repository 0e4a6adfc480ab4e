"""Redis: reachable, able to keep what it is given, and the same after a restart."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

from kemi.state.connection import SentinelAddress, sentinel_address_from_url
from kemi.state.web.client import StateUnavailable, connect
from kemi.state.web.server import Server, ServerFacts
from webapp_api.gwctl.machine.diagnosis import Diagnosis, Doctor
from webapp_api.gwctl.machine.host import Host
from webapp_api.gwctl.machine.talk import reach, reason_of

_SAYS: Final = Doctor("redis")
OLDEST: Final = (6, 2)
"""GETDEL, and intervals that leave their end out."""
SLOW_S: Final = 0.1
"""The gateway gives up after 0.25 s."""


async def redis_server(host: Host) -> AsyncIterator[Diagnosis]:
    """Ask it."""
    if not host.redis_url:
        return
    sentinels = sentinel_address_from_url(host.redis_url)
    subject = _name_of(host.redis_url, sentinels)
    for address, port in sentinels.sentinels if sentinels else ():
        try:
            await reach(address, port)
            yield _SAYS.ok(f"Sentinel {address}:{port}", "listens")
        except (OSError, TimeoutError) as error:
            hint = "without a majority of them no other Redis takes over"
            yield _SAYS.error(f"Sentinel {address}:{port}", reason_of(error), hint)
    began = time.monotonic()
    try:
        facts = await asyncio.to_thread(lambda: Server(connect(host.redis_url)).facts())
    except StateUnavailable as error:
        hint = (
            "start it: systemctl start redis-server; address and password are in redis_url of both settings"
        )
        yield _SAYS.error(subject, f"cannot be used: {error}", hint)
        return
    took_s = time.monotonic() - began
    if took_s > SLOW_S:
        yield _SAYS.warning(
            subject, f"needed {took_s * 1000:.0f} ms to answer; the gateway gives up after 250 ms"
        )
    else:
        yield _SAYS.ok(subject, f"answers within {took_s * 1000:.0f} ms")
    for found in _judged(subject, facts, is_copy=host.is_redis_copy):
        yield found


def _name_of(url: str, sentinels: SentinelAddress | None) -> str:
    """Name the server without its password."""
    if sentinels is not None:
        return f"Redis {sentinels.name} (by Sentinels)"
    parts = urlsplit(url)
    return f"Redis {parts.hostname or parts.path}{f':{parts.port}' if parts.port else ''}"


def _judged(subject: str, facts: ServerFacts, *, is_copy: bool) -> list[Diagnosis]:
    found = []
    version = tuple(int(number) for number in re.findall(r"\d+", facts.version)[:2])
    if version < OLDEST:
        found.append(
            _SAYS.error(f"{subject}, version", f"{facts.version} is older than 6.2", "install a newer one")
        )
    else:
        found.append(_SAYS.ok(f"{subject}, version", facts.version))
    if (facts.role != "master" and not is_copy) or facts.loading:
        state = "is loading its data" if facts.loading else "is a copy of another one and takes no writes"
        found.append(_SAYS.error(f"{subject}, role", state, "redis_url must name the master"))
    if facts.policy != "noeviction":
        reason = f"{facts.policy} drops calls and registrations when memory is short"
        found.append(_SAYS.error(f"{subject}, memory policy", reason, "set maxmemory-policy noeviction"))
    else:
        found.append(_SAYS.ok(f"{subject}, memory policy", "noeviction"))
    found.append(_memory(f"{subject}, memory", facts))
    if facts.write_failed:
        reason = "its last snapshot or append could not be written, and it may refuse writes"
        found.append(
            _SAYS.error(f"{subject}, persistence", reason, "is the disk full, or the folder not its own?")
        )
    elif facts.append_only or facts.saves:
        how = "every change" if facts.append_only else "snapshots"
        found.append(_SAYS.ok(f"{subject}, persistence", f"{how} on disk"))
    else:
        reason = "nothing on disk: its restart loses accounts, keys, routes and registrations"
        found.append(
            _SAYS.warning(f"{subject}, persistence", reason, "in the inventory: redis_append_only: true")
        )
    return found


def _memory(subject: str, facts: ServerFacts) -> Diagnosis:
    used = f"{facts.used_bytes / 1e6:.0f} MB"
    if not facts.most_bytes:
        return _SAYS.warning(subject, f"{used}, without a limit", "in the inventory: redis_max_memory_mb")
    told = f"{used} of {facts.most_bytes / 1e6:.0f}"
    share = facts.used_bytes / facts.most_bytes
    if share > 0.9:
        return _SAYS.error(
            subject, f"{told}: it is about to refuse new state", "in the inventory: redis_max_memory_mb"
        )
    if share > 0.7:
        return _SAYS.warning(subject, told, "in the inventory: redis_max_memory_mb")
    return _SAYS.ok(subject, told)
