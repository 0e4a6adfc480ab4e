"""Header fields as text: the tag of an address, and where in a message a field stands."""

from __future__ import annotations

import functools
import re

TOKEN = re.compile(r"[\w.!%*+`'~-]+", re.ASCII)
_TAG_PARAMETER = re.compile(
    r'("(?:[^"\\]|\\.)*\\?"?|<[^>]*>?)|;\s*tag\s*=\s*[^;\s]*', re.IGNORECASE | re.DOTALL
)
"""A tag; or, as group 1, what is in quotes or angle brackets and stays as it is even if it looks like one.  Quotes and
brackets need no end to match, so that no header field makes the search start over and over."""

COMPACT_FORMS = {
    "call-id": "i",
    "contact": "m",
    "content-type": "c",
    "event": "o",
    "from": "f",
    "refer-to": "r",
    "supported": "k",
    "to": "t",
    "via": "v",
}
"""Long header names, lower case, to their compact forms (RFC 3261 §7.3.3 and its extensions)."""


def untagged(value: str) -> str:
    """Take the tag out of a From or To."""
    address, bracket, parameters = value.rpartition(">")
    if bracket and (not parameters or (parameters[:5] == ";tag=" and TOKEN.fullmatch(parameters, 5))):
        return address + bracket  # as nearly everybody writes it: the tag is the only parameter
    return _TAG_PARAMETER.sub(r"\1", value)


@functools.lru_cache(maxsize=64)
def finder(names: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return an expression that finds these header names in a message, and which name each find stands for."""
    forms = {name.lower(): name for name in names}
    forms |= {COMPACT_FORMS[form]: name for form, name in forms.items() if form in COMPACT_FORMS}
    any_name = "|".join(re.escape(form) for form in forms)
    return re.compile(rf"\n({any_name})[ \t]*:", re.IGNORECASE | re.ASCII), forms
