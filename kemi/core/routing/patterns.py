"""Patterns of what is called: ``+49*``, ``+4930X1``, ``1[0-4]X``, ``sip:*@conference.example``, ``urn:service:sos``.

A pattern without a star is the whole number; ``*`` alone is every number and every address.  Every pattern is written
out as plain beginnings when the table is built, so that a lookup asks a dictionary once for each digit, however many
rows there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Final
from urllib.parse import quote, unquote_to_bytes

MOST_BEGINNINGS: Final = 1000
"""Plain beginnings one pattern may stand for: three digits left open before the last fixed one."""
MAX_LENGTH: Final = 255
"""Characters of a pattern."""
_NUMBER: Final = re.compile(r"\+?(?:[0-9*#X]|\[(?:[0-9](?:-[0-9])?)+\])*", re.ASCII)
_ADDRESS: Final = re.compile(r"sip:(?:\*|[^*@\s]+)@(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])")
_SERVICE: Final = re.compile(r"urn:service:sos(?:\.[a-z0-9-]+)*")
_PART: Final = re.compile(r"\[[^\]]+\]|.")
_DIGITS: Final = "0123456789"
_PORT: Final = re.compile(r":[0-9]*$", re.ASCII)
USER_CHARACTERS: Final = "-_.!~*'()&=+$,;?/"
"""Beside letters and digits, what the user part of a sip: URI has without an escape (RFC 3261 §25.1)."""


class PatternError(ValueError):
    """This is no pattern; the message says why."""


class Pattern:
    """One pattern, taken apart."""

    __slots__ = ("beginnings", "is_prefix", "open_digits")

    def __init__(self, text: str) -> None:
        """Raise PatternError for what can match nothing."""
        self.open_digits = 0
        """Digits left open: of two rows with beginnings of one length the one that leaves fewer open is nearer."""
        if len(text) > MAX_LENGTH:
            raise PatternError(f"{text[:20]!r}… is longer than {MAX_LENGTH} characters")
        if text.startswith("sip:"):
            if not _ADDRESS.fullmatch(text):
                raise PatternError(f"{text!r} is not sip:NAME@DOMAIN or sip:*@DOMAIN")
            self.is_prefix = False
            self.open_digits = int(text.startswith("sip:*@"))
            address = one_address(text)
            if self.open_digits:
                address = f"sip:*@{address.rpartition('@')[2]}"
            self.beginnings: tuple[str, ...] = (address,)
            return
        if text.startswith("urn:"):
            if not _SERVICE.fullmatch(text):
                raise PatternError(
                    f"{text!r} is not urn:service:sos, or one below it as urn:service:sos.police"
                )
            self.is_prefix = False
            self.beginnings = (text,)
            return
        # A star is also a key of the telephone: as the last of several characters it leaves the rest open.
        self.is_prefix = text.endswith("*")
        digits = text[:-1] if self.is_prefix else text
        if not _NUMBER.fullmatch(digits) or not text or (digits == "+" and not self.is_prefix):
            raise PatternError(f"{text!r} is no pattern of a number: digits, X, [2-5], * at the end")
        if "X" not in digits and "[" not in digits:  # as nearly all of a large table
            self.beginnings = (digits,)
            return
        choices = [_choices(part) for part in _PART.findall(digits)]
        self.open_digits = sum(len(choice) > 1 for choice in choices)
        number = 1
        for choice in choices:
            number *= len(choice)
        if number > MOST_BEGINNINGS:
            raise PatternError(f"{text!r} stands for {number} beginnings, more than {MOST_BEGINNINGS}")
        self.beginnings = tuple("".join(one) for one in product(*choices))


def one_address(text: str) -> str:
    """Return the same text for all spellings of a sip: address, as it is looked up: escapes in one way (RFC 3261
    §19.1.4), the host without a port, which the policy does not look at either, and without its last dot.

    A user whose name is a star keeps it escaped: ``sip:*@DOMAIN`` is everybody there.
    """
    user, _, host = text.partition(":")[2].rpartition("@")
    host = _PORT.sub("", host).removesuffix(".")
    name = quote(unquote_to_bytes(user), safe=USER_CHARACTERS)
    return f"sip:{'%2A' if name == '*' else name}@{host}"


def _choices(part: str) -> str:
    if part == "X":
        return _DIGITS
    if not part.startswith("["):
        return part
    return "".join(dict.fromkeys(_members(part[1:-1])))


def _members(inside: str) -> Iterator[str]:
    for found in re.finditer(r"([0-9])(?:-([0-9]))?", inside):
        first, last = found.group(1), found.group(2) or found.group(1)
        if last < first:
            raise PatternError(f"[{inside}] runs backwards")
        yield from _DIGITS[int(first) : int(last) + 1]
