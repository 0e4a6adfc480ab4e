"""The clock: access tokens, certificates and the time of every record hang on it."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import requests

from kemi.state.web.client import StateUnavailable, connect
from kemi.state.web.server import Server
from webapp_api.gwctl.machine.diagnosis import Diagnosis, Doctor
from webapp_api.gwctl.machine.host import Host

_SAYS: Final = Doctor("clock")
_SYNC: Final = "run chrony: apt-get install chrony; chronyc tracking says how it is"
WARN_S: Final = 1.0
WRONG_S: Final = 10.0
"""Tokens live for minutes, and clocks are allowed some seconds; see kemi/core/registration/token.py."""
DATE_S: Final = 1.0
"""What HTTP's Date is blunt by."""
_UNSYNCHRONIZED: Final = 0x40
_TIMEOUT_S: Final = 3.0
_DISCOVERY: Final = "/.well-known/openid-configuration"


async def clock(host: Host) -> AsyncIterator[Diagnosis]:
    """Ask the kernel whether somebody keeps the clock right, and compare it with others'."""
    yield _synchronized()
    if host.redis_url:
        try:
            began = time.time()
            facts = await asyncio.to_thread(lambda: Server(connect(host.redis_url)).facts())
            yield _compared("Redis", facts.time, began, time.time())
        except StateUnavailable:
            pass  # the check of Redis says so
    if host.web is not None and host.web.oidc is not None:
        yield await asyncio.to_thread(_provider, host.web.oidc.issuer)


def _synchronized() -> Diagnosis:
    status = _kernel_status()
    if status is None:
        return _SAYS.warning("synchronization", "the kernel does not say", _SYNC)
    if status & _UNSYNCHRONIZED:
        return _SAYS.warning("synchronization", "nobody keeps the clock right", _SYNC)
    return _SAYS.ok("synchronization", "the kernel says that the clock is kept right")


def _kernel_status() -> int | None:
    """Return the status bits of adjtimex(2), which asks when it is to change nothing."""
    timex = ctypes.create_string_buffer(512)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    # struct timex: modes; offset, freq, maxerror, esterror (long); status (int)
    return (
        None
        if state < 0
        else int.from_bytes(timex.raw[(at := 5 * ctypes.sizeof(ctypes.c_long)) : at + 4], "little")
    )


def _compared(who: str, theirs: float, began: float, ended: float, blunt_s: float = 0.0) -> Diagnosis:
    """Compare: theirs was read between two of ours."""
    ours = (began + ended) / 2
    off = max(0.0, abs(theirs + blunt_s / 2 - ours) - (ended - began) / 2 - blunt_s / 2)
    side = "ahead of" if theirs > ours else "behind"
    told = f"{off:.1f} s {side} this machine" if off >= 0.1 else "the same as here"
    if off >= WRONG_S:
        return _SAYS.error(f"clock of {who}", f"{told}: tokens are refused", _SYNC)
    if off >= WARN_S:
        return _SAYS.warning(f"clock of {who}", told, _SYNC)
    return _SAYS.ok(f"clock of {who}", told)


def _provider(issuer: str) -> Diagnosis:
    """Ask the OpenID Connect provider for its document, whose answer has the time."""
    began = time.time()
    try:
        answer = requests.get(f"{issuer.rstrip('/')}{_DISCOVERY}", timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        return _SAYS.error(f"provider {issuer}", f"cannot be asked: {error}", "nobody can log in by it")
    try:
        theirs = parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return _SAYS.warning(f"provider {issuer}", "does not tell the time")
    return _compared(f"provider {issuer}", datetime.timestamp(theirs), began, time.time(), DATE_S)
