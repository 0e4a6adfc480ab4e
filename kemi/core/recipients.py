"""Lists of recipients in the bodies of a page's requests: whom a service is asked to call or write to (RFC 5363).

A list makes as many calls as it has entries, so each is looked at like a Request-URI.  What hides entries from us is
refused: it could name anybody.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Final

from kemi.core.bodies import Body, parts_of
from kemi.core.errors import SipReject

LISTS: Final = "resource-lists"
MOST_RECIPIENTS: Final = 100
_HIDING = re.compile(
    rb"<!DOCTYPE|<!ENTITY|\0|encoding[ \t\r\n]*=[ \t\r\n]*[\"'](?!utf-8|us-ascii)",
    re.IGNORECASE,
)
_PLAIN: Final = frozenset({"", "identity", "7bit", "8bit", "binary"})
_URI = re.compile(rb"""\b(?:uri|ref|anchor)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def recipients_of(body: Body) -> list[str]:
    """Return whom the lists in a body name, [] where there is none; raise SipReject for a list that cannot be read."""
    if LISTS not in body.content_type.lower() and LISTS.encode() not in body.content.lower():
        return []
    found: list[str] = []
    for fields, content in parts_of(body):
        if LISTS in fields.get("content-type", "").lower():
            found += _entries(fields, content)
    if len(found) > MOST_RECIPIENTS:
        raise SipReject(f"more than {MOST_RECIPIENTS} recipients")
    return [uri for uri in found if not uri.lower().startswith(("http:", "https:"))]


def _entries(fields: Mapping[str, str], content: bytes) -> list[str]:
    encodings = {fields.get(f"content-{kind}", "").lower() for kind in ("encoding", "transfer-encoding")}
    if not encodings <= _PLAIN or _HIDING.search(content):
        raise SipReject(
            "a list of recipients is plain UTF-8 without entities",
            status=415,
            reason_phrase="Unsupported Media Type",
        )
    return [html.unescape((one or other).decode(errors="replace")) for one, other in _URI.findall(content)]
