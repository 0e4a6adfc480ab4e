"""The query of a request: numbers, words and cursors, each of one exact form; whatever else it has is BadRequest."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from flask import request
from werkzeug.exceptions import BadRequest

MOST: Final = 100
"""Entries of one page."""
USUAL: Final = 20
LONGEST: Final = 300
LONGEST_CALL_ID: Final = 8_000
"""Pages and trunks choose Call-IDs: about what fits into the address of a request (limit_request_line)."""
_CURSOR: Final = re.compile(r"[A-Za-z0-9_-]{0,1000}")
_SCHEME: Final = re.compile(r"(?:sips?|tel|urn):", re.IGNORECASE)

T = TypeVar("T")


def number(name: str, usual: float, least: float, most: float) -> float:
    """Return a number within limits."""
    written = _one(name)
    try:
        value = float(written) if written else usual
    except ValueError:
        value = most + 1
    if not least <= value <= most:
        raise BadRequest(f"{name} is a number from {least:g} to {most:g}.")
    return value


def limit() -> int:
    """Return how many entries a page may have."""
    value = number("limit", USUAL, 1, MOST)
    if value != int(value):
        raise BadRequest("limit is a whole number.")
    return int(value)


def choice(name: str, known: Sequence[str]) -> str:
    """Return one of some words, or "" when it is not there."""
    value = _one(name)
    if value and value not in known:
        raise BadRequest(f"{name} is {' or '.join(known)}.")
    return value


def text(name: str, longest: int = LONGEST) -> str:
    """Return a short text that can be printed, or "" when it is not there."""
    value = _one(name)
    if len(value) > longest or not value.isprintable():
        raise BadRequest(f"{name} has at most {longest} characters that can be printed.")
    return value


def identity(name: str = "impu") -> str:
    """Return a public identity, or "" when it is not there.

    The console's tables show identities without their scheme: what has none is taken as sip: with an @, else as tel:.
    """
    value = text(name)
    if not value or _SCHEME.match(value):
        return value
    return f"sip:{value}" if "@" in value else f"tel:{value}"


def page_of(entries: Sequence[T], name: Callable[[T], str]) -> tuple[list[T], str]:
    """Return a page of entries that are sorted by ``name``, and the cursor of the next one, "" at the end.

    A cursor is the name of the last entry, so that what comes and goes meanwhile neither hides nor repeats another.
    """
    most, after = limit(), cursor()
    following = [entry for entry in entries if after is None or name(entry) > after]
    page = following[:most]
    return page, cursor_of(name(page[-1])) if len(following) > most else ""


def cursor() -> str | None:
    """Return what the cursor names, or None when it is not there."""
    value = _one("cursor")
    if not value:
        return None
    try:
        if not _CURSOR.fullmatch(value):
            raise ValueError(value)
        return urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except ValueError as error:
        raise BadRequest("cursor is not one of ours.") from error


def cursor_of(name: str) -> str:
    """Return the cursor that names something."""
    return urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _one(name: str) -> str:
    values = request.args.getlist(name)
    if len(values) > 1:
        raise BadRequest(f"{name} is there twice.")
    return values[0] if values else ""
