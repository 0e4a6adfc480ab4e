"""Header fields of a message, taken apart once: who asks for twenty of them does not ask Kamailio twenty times.

Only heads that cannot be read in two ways are read: whatever Kamailio or the next one might see otherwise is refused.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from kemi.core.errors import RemoteProtocolError
from kemi.core.header_names import COMPACT_FORMS, COMPACT_FORMS_OF_EXTENSIONS

_LONG_FORMS: Final = {compact: name for name, compact in COMPACT_FORMS.items()} | {
    "l": "content-length",
    "s": "subject",
}
_TOKEN: Final = re.compile(r"[\w.!%*+`'~#$&^|-]+", re.ASCII)
"""With what HTTP has beside SIP (RFC 9110 §5.6.2)."""
_KNOWN: Final[dict[str, str]] = {}
"""Names as they were written before -> their forms.  Whoever sends messages chooses names: they stay short and few."""
_LONGEST_KNOWN: Final = 40
_MOST_KNOWN: Final = 512
MOST_LINES: Final = 1000
"""Far more than any message has.  What Kamailio does with one header field it looks for among all others."""
_FOLD: Final = re.compile(r"\r\n[ \t]+")


class Fields:
    """The header fields of one message."""

    __slots__ = ("_by_name",)

    def __init__(self, by_name: dict[str, list[str]]) -> None:
        """``by_name``: name in lower case, long where Kamailio knows the long form -> values, unfolded, in order."""
        self._by_name = by_name

    def values(self, name: str) -> list[str]:
        """Return the values of all header fields ``name``, in order; those of an extension's compact form come last."""
        known, compact = _forms(name)
        found = self._by_name.get(known)
        if compact:
            return [*(found or ()), *self._by_name.get(compact, ())]
        return found[:] if found else []

    def present(self, names: tuple[str, ...]) -> Iterable[str]:
        """Return those of these names that there may be header fields of, compact forms included.

        "P-*" is all names that begin so.
        """
        forms, beginnings = _all_forms(names)
        found = {forms[form] for form in self._by_name.keys() & forms.keys()}
        if beginnings:
            found |= {form for form in self._by_name.keys() - forms.keys() if form.startswith(beginnings)}
        return found


def fields_from_head(head: str) -> Fields:
    """Read a head (start line and header fields, without the empty line behind them).

    Raise RemoteProtocolError for an empty one, for a line that does not end in CR and LF (RFC 3261 §7) or is neither a
    header field nor the rest of one, for a NUL, which §25.1 has behind a backslash, but no text that goes to Kamailio
    may have, and for more than MOST_LINES.
    """
    if not head:  # Kamailio reads on behind empty lines, and may have no memory to hand a message over
        raise RemoteProtocolError("the message begins with an empty line")
    ends = head.count("\r\n")
    if head.count("\n") != ends or head.count("\r") != ends or "\0" in head:
        raise RemoteProtocolError("lines end with CR and LF, and there is no NUL in a header field")
    if ends > MOST_LINES:
        raise RemoteProtocolError(f"there are more than {MOST_LINES} lines")
    if "\r\n " in head or "\r\n\t" in head:
        *folded, last = _FOLD.split(head)
        head = " ".join((*(line.rstrip(" \t") for line in folded), last))
    by_name: dict[str, list[str]] = {}
    known = _KNOWN.get
    lines = iter(head.split("\r\n"))
    next(lines)
    for line in lines:
        name, colon, value = line.partition(":")
        form = known(name) or _form_of_token(name)
        if not (colon and form):
            raise RemoteProtocolError("a line of the message is no header field")
        if form in by_name:
            by_name[form].append(value.lstrip(" \t").rstrip())
        else:
            by_name[form] = [value.lstrip(" \t").rstrip()]
    return Fields(by_name)


def _form_of_token(name: str) -> str:
    """Return the form of a name as it stands before its colon, "" for what is none."""
    token = name.rstrip(" \t")
    return _form(token) if _TOKEN.fullmatch(token) else ""


def _form(name: str) -> str:
    lower = name.lower()
    form = _LONG_FORMS.get(lower, lower)
    if len(name) <= _LONGEST_KNOWN and len(_KNOWN) < _MOST_KNOWN:
        _KNOWN[name] = form
    return form


@functools.lru_cache(maxsize=256)
def _forms(name: str) -> tuple[str, str]:
    return _form(name), COMPACT_FORMS_OF_EXTENSIONS.get(name.lower(), "")


@functools.lru_cache(maxsize=64)
def _all_forms(names: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return names by their forms, and the beginnings among them."""
    beginnings = tuple(name[:-1].lower() for name in names if name.endswith("*"))
    forms = {_form(name): name for name in names if not name.endswith("*")}
    return forms | {compact: name for name in names if (compact := _forms(name)[1])}, beginnings
