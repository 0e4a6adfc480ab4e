"""Header fields of a message, taken apart once: who asks for twenty of them does not ask Kamailio twenty times.

Only heads that cannot be read in two ways are read here: whatever Kamailio might see otherwise is asked of Kamailio.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Final

from kemi.core.errors import RemoteProtocolError
from kemi.core.header_names import COMPACT_FORMS, COMPACT_FORMS_OF_EXTENSIONS

_LONG_FORMS: Final = {compact: name for name, compact in COMPACT_FORMS.items()} | {
    "l": "content-length",
    "s": "subject",
}
_TOKEN: Final = re.compile(r"[\w.!%*+`'~-]+", re.ASCII)
_KNOWN: Final[dict[str, str]] = {}
"""Names as they were written before -> their forms.  Whoever sends messages chooses names: they stay short and few."""
_LONGEST_KNOWN: Final = 40
_MOST_KNOWN: Final = 512
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

        "P-*" is all names that begin so; of heads that could be read in two ways, it is none.
        """
        forms, beginnings = _all_forms(names)
        found = {forms[form] for form in self._by_name.keys() & forms.keys()}
        if beginnings:
            found |= {form for form in self._by_name.keys() - forms.keys() if form.startswith(beginnings)}
        return found


class _Asked(Fields):
    """Those of a message that could be read in two ways."""

    __slots__ = ("_ask",)

    def __init__(self, ask: Callable[[str], list[str]]) -> None:
        super().__init__({})
        self._ask = ask

    def values(self, name: str) -> list[str]:
        return self._ask(name)

    def present(self, names: tuple[str, ...]) -> Iterable[str]:
        return names


def fields_from_head(head: str, ask: Callable[[str], list[str]]) -> Fields:
    """Read a head (start line and header fields, without the empty line behind them).

    ``ask`` returns the values of a name; it is asked of a head with lines that do not end in CR and LF, or are neither
    a header field nor the rest of one, or with a NUL.  Raises RemoteProtocolError for an empty head: Kamailio reads on
    behind empty lines, and may have no memory to hand a message over.
    """
    if not head:
        raise RemoteProtocolError("the message begins with an empty line")
    if "\r\n " in head or "\r\n\t" in head:
        *folded, last = _FOLD.split(head)
        head = " ".join((*(line.rstrip(" \t") for line in folded), last))
    ends = head.count("\r\n")
    if head.count("\n") != ends or head.count("\r") != ends or "\0" in head:
        return _Asked(ask)
    by_name: dict[str, list[str]] = {}
    known = _KNOWN.get
    lines = iter(head.split("\r\n"))
    next(lines)
    for line in lines:
        name, colon, value = line.partition(":")
        form = known(name) or _form_of_token(name)
        if not (colon and form):
            return _Asked(ask)
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
