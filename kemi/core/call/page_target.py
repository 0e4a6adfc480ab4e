"""Where a page takes the requests of its call: its remote target (RFC 3261 §12.1.1), which it must know as its own."""

from __future__ import annotations

import re
from typing import Final

from kemi.core.messages import uri_from_address

_NOBODY: Final = re.compile(r"@anonymous\.invalid(?=[;:?]|$)", re.IGNORECASE)
_TEMPORARY_GRUU: Final = re.compile(r";\s*gr\s*(?=[;?]|$)", re.IGNORECASE)
"""``gr`` without a value (RFC 5627 §3.2)."""


def page_target(contact: str, otherwise: str) -> str:
    """Return where requests of a dialog reach a page that names this Contact, ``otherwise`` where it names none.

    SIP.js and JsSIP that call anonymously write sip:anonymous@anonymous.invalid or a temporary GRUU there, and answer
    404 to whatever is sent to it, a BYE too: their calls would never end.  ``otherwise`` is the Contact that the page
    registered, or how it has been reached so far; no other client is over its connection.
    """
    uri = uri_from_address(contact)
    return otherwise if not uri or _NOBODY.search(uri) or _TEMPORARY_GRUU.search(uri) else uri
