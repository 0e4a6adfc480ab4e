"""Looks for secrets in logs: tokens, digest responses, passwords, PINs and keys that a page pressed.

`Lab.stop` hands every lab's log folder here before it is removed; the fixture `no_secret_in_logs` reads the findings
when the session ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.lab.services.conference import PINS
from tests.lab.subscribers import SUBSCRIBERS

_PATTERNS: Final = {
    "an access token": re.compile(r"[\w-]*eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"),
    "a Bearer credential": re.compile(r"Bearer\s+(?:access_token=)?\"?[\w.~+/-]{20,}", re.IGNORECASE),
    "a key by INFO": re.compile(r"Signal\s*=\s*[0-9A-D*#]"),
    "a key by ng": re.compile(r"\d:code1:.*play DTMF|play DTMF.*\d:code1:"),
    "a digest response": re.compile(r"response=\"?[0-9a-f]{32,}", re.IGNORECASE),
}
_LEAST_PIN: Final = 10
"""A shorter one may be part of any number."""
_PASSWORDS: Final = (
    *(subscriber.password for subscriber in SUBSCRIBERS if subscriber.password),
    *(pin for pin in PINS if len(pin) >= _LEAST_PIN),
)
_PASSWORD: Final = re.compile(
    "|".join(re.escape(text) for text in sorted(set(_PASSWORDS), key=len, reverse=True))
)

found: list[str] = []
"""What all labs of this process have let slip so far."""


def leaks_in_text(text: str) -> Iterator[str]:
    """Name what a log text holds that it should not, with the line's beginning."""
    for line in text.splitlines():
        for what, pattern in (*_PATTERNS.items(), ("a password", _PASSWORD)):
            if pattern.search(line):
                yield f"{what}: {line[:160]}"


def search(folder: Path) -> None:
    """Search all logs of a folder and remember what was found."""
    for path in sorted(folder.glob("**/*")):
        if path.is_file():
            found.extend(f"{path.name}: {leak}" for leak in leaks_in_text(path.read_text(errors="replace")))
