"""Header fields of a message, taken apart once: who asks for twenty of them does not ask Kamailio twenty times.

Only heads that cannot be read in two ways are read here: whatever Kamailio might see otherwise is asked of Kamailio.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

from kemi.core.header_names import COMPACT_FORMS, COMPACT_FORMS_OF_EXTENSIONS

_LONG_FORMS: Final = {compact: name for name, compact in COMPACT_FORMS.items()} | {
    "l": "content-length",
    "s": "subject",
}

Fields = Mapping[str, list[str]]
"""Name in lower case, long where Kamailio knows the long form -> the values of all its header fields, unfolded."""


def fields_from_head(head: str) -> Fields | None:
    """Read a head (start line and header fields, without the empty line behind them).

    None for one with lines that do not end in CR and LF, or are neither a header field nor the rest of one, or with a
    NUL.
    """
    ends = head.count("\r\n")
    if head.count("\n") != ends or head.count("\r") != ends or "\0" in head:
        return None
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in head.split("\r\n")[1:]:
        if line[:1] in (" ", "\t"):
            if values is None:
                return None
            values[-1] = f"{values[-1]} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        if not colon:
            return None
        name = name.strip().lower()
        values = fields.setdefault(_LONG_FORMS.get(name, name), [])
        values.append(value.strip())
    return fields


def values_of(fields: Fields, name: str) -> list[str]:
    """Return the values of all header fields ``name``, in order; those of the compact form of an extension follow."""
    known, compact = _forms(name)
    values = fields.get(known, ())
    return [*values, *fields.get(compact, ())] if compact else [*values]


@functools.lru_cache(maxsize=256)
def _forms(name: str) -> tuple[str, str]:
    lower = name.lower()
    return _LONG_FORMS.get(lower, lower), COMPACT_FORMS_OF_EXTENSIONS.get(lower, "")
