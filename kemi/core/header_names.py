"""Names of header fields, long and compact (RFC 3261 §7.3.3 and its extensions)."""

from __future__ import annotations

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
