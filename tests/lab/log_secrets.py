"""Looks for secrets in logs and in traces of calls: tokens, digest responses, passwords, PINs, keys that a page
pressed, and ICE passwords in traces.

`Lab.stop` hands every lab's log folder here before it is removed; the fixture `no_secret_in_logs` reads the findings
when the session ends.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import redis

from kemi.state import keys
from tests.lab.ports import LOOPBACK
from tests.lab.services.conference import PINS
from tests.lab.subscribers import SUBSCRIBERS

_PATTERNS: Final = {
    "an access token": re.compile(r"[\w-]*eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"),
    "a Bearer credential": re.compile(r"Bearer\s+(?:access_token=)?\"?[\w.~+/-]{20,}", re.IGNORECASE),
    "a key by INFO": re.compile(r"Signal\s*=\s*[0-9A-D*#]"),
    "a key by ng": re.compile(r"\d:code1:.*play DTMF|play DTMF.*\d:code1:"),
    "a digest response": re.compile(r"response=\"?[0-9a-f]{32,}", re.IGNORECASE),
}
_ICE_PASSWORD: Final = re.compile(r"ice-pwd:(?!\*{3}$)", re.IGNORECASE)
_REDIS_S: Final = 2.0
_LEAST_PIN: Final = 10
"""A shorter one may be part of any number."""
_PASSWORDS: Final = (
    *(subscriber.password for subscriber in SUBSCRIBERS if subscriber.password),
    *(pin for pin in PINS if len(pin) >= _LEAST_PIN),
)
_PASSWORD: Final = re.compile(
    "|".join(
        # Those of web accounts and of trunks, which parts and scenarios make themselves.
        [r"web-login-\w+", "(?:trunk|registrar)-secret"]
        + [re.escape(text) for text in sorted(set(_PASSWORDS), key=len, reverse=True)]
    )
)

found: list[str] = []
"""What all labs of this process have let slip so far."""


def leaks_in_text(text: str) -> Iterator[str]:
    """Name what a log text holds that it should not, with the line's beginning."""
    for line in text.splitlines():
        for what, pattern in (*_PATTERNS.items(), ("a password", _PASSWORD)):
            if pattern.search(line):
                yield f"{what}: {line[:160]}"


def search_traces(redis_port: int) -> None:
    """Search the traces that a lab's Redis has, if it is still there, and remember what was found."""
    client: Any = redis.Redis(LOOPBACK, redis_port, socket_timeout=_REDIS_S, socket_connect_timeout=_REDIS_S)
    try:
        with client:
            for name in client.scan_iter(match=f"{keys.trace('')}*", count=1_000):
                kept = b"".join(map(zlib.decompress, client.lrange(name, 0, -1))).decode(errors="replace")
                found.extend(f"{name.decode()}: {leak}" for leak in leaks_in_trace(kept))
    except redis.RedisError:  # a test has ended or stopped it
        return


def leaks_in_trace(text: str) -> Iterator[str]:
    """Name what a trace holds that it should not."""
    yield from leaks_in_text(text)
    for line in text.splitlines():
        if _ICE_PASSWORD.search(line):
            yield f"an ICE password: {line[:160]}"


def search(folder: Path) -> None:
    """Search all logs of a folder and remember what was found."""
    for path in sorted(folder.glob("**/*")):
        if path.is_file():
            found.extend(f"{path.name}: {leak}" for leak in leaks_in_text(path.read_text(errors="replace")))
