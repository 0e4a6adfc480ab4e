"""Numbers that others write: digits of ASCII, and not thousands of them, which int() refuses with an exception."""

from __future__ import annotations

from typing import Final, TypeVar

MOST_DIGITS: Final = 20
T = TypeVar("T")


def is_number(text: str) -> bool:
    """Say whether this is a plain decimal of a size that is no attack."""
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def number_or(default: T, text: str) -> int | T:
    """Return a number, or ``default`` for what is none."""
    return int(text) if is_number(text) else default


def retry_after_or(default: T, text: str) -> int | T:
    """Return the seconds of a Retry-After without its comment and parameters (RFC 3261 §20.33), or ``default``."""
    return number_or(default, text.partition(";")[0].partition("(")[0].strip())
