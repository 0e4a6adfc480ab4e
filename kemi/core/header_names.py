"""Names of header fields, long and compact (RFC 3261 §7.3.3 and its extensions)."""

from __future__ import annotations

import functools
import re
from typing import Final

COMPACT_FORMS: Final = {
    "call-id": "i",
    "contact": "m",
    "content-type": "c",
    "event": "o",
    "from": "f",
    "refer-to": "r",
    "session-expires": "x",
    "supported": "k",
    "to": "t",
    "via": "v",
}
"""Long header names, lower case, to their compact forms (RFC 3261 §7.3.3) where Kamailio takes one for the other."""
COMPACT_FORMS_OF_EXTENSIONS: Final = {
    "accept-contact": "a",
    "content-encoding": "e",
    "identity": "y",
    "identity-info": "n",
    "referred-by": "b",
    "reject-contact": "j",
    "request-disposition": "d",
}
"""The same where Kamailio 5.6 does not: to it these are header fields of their own."""


@functools.lru_cache(maxsize=64)
def finder(names: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return an expression that finds these header names in a message, and which name each find stands for."""
    forms = {name.lower(): name for name in names}
    compact = COMPACT_FORMS | COMPACT_FORMS_OF_EXTENSIONS
    forms |= {compact[form]: name for form, name in forms.items() if form in compact}
    any_name = "|".join(re.escape(form) for form in forms)
    return re.compile(rf"\n({any_name})[ \t]*:", re.IGNORECASE | re.ASCII), forms
