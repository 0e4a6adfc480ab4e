"""Lists of recipients in the bodies of a page's requests: whom a service is asked to call or write to (RFC 5363).

A list makes as many calls as it has entries, so each is looked at like a Request-URI.  What hides entries from us is
refused: it could name anybody.

Services differ in what they take for a list, or for the end of a body part.  So a list is elements and nothing else,
without comments, CDATA and the like, in which elements could stand that others read; and a body of several parts names
no list but in parts that we read as one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from xml.parsers import expat

from kemi.core.bodies import Body, parts_of, unsupported
from kemi.core.errors import RemoteProtocolError, SipReject

ASKED_IN: Final = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH"})
"""Requests whose lists a service may read (RFC 5365 to RFC 5368)."""
LISTS: Final = "resource-lists"
DISPOSITION: Final = "recipient-list"
"""And ``recipient-list-history`` (RFC 5364)."""
MOST_RECIPIENTS: Final = 100
_MOST_ELEMENTS: Final = 1000
_MOST_BYTES: Final = 65_536
_DEEPEST: Final = 16
_WORDS: Final = (LISTS.encode(), DISPOSITION.encode())
_PACKED: Final = b"content-encoding"
_PLAIN: Final = frozenset({"", "identity", "7bit", "8bit", "binary"})
_CHARSET: Final = re.compile(r'charset\s*=\s*"?([^\s;"]*)')
"""Wherever it stands: it outranks what the list says of itself (RFC 7303 §3)."""
_CHARSETS: Final = frozenset({"utf-8", "us-ascii"})
_NAMING: Final = frozenset({"uri", "ref", "anchor"})
"""Attributes of ``entry``, ``entry-ref`` and ``external`` (RFC 4826 §3.4)."""


def recipients_of(body: Body) -> list[str]:
    """Return whom the lists in a body name, in order, [] where there is none; raise what a page gets for one that
    cannot be read in one way only (400, 415), or names too many (403)."""
    found: list[str] = []
    for fields, content in lists_of(body):
        _check_plain(fields, content)
        _read(content, found)
    return found


def lists_of(body: Body) -> list[tuple[Mapping[str, str], bytes]]:
    """Return header fields (names in lower case) and content of each list in a body, not yet read; raise as above where
    one may be hidden."""
    content_type = body.content_type.lower()
    has_parts = content_type.startswith("multipart")
    is_elsewhere = content_type.startswith("message") and "external-body" in content_type  # RFC 4483
    if has_parts or is_elsewhere:
        if has_parts and body.encoding.lower() not in _PLAIN:
            raise unsupported("body parts that are encoded together", "Accept-Encoding: identity")
        lower = body.content.lower()
        if not any(word in lower for word in (*_WORDS, _PACKED)):
            return []
    elif LISTS not in content_type and DISPOSITION not in body.disposition.lower():
        return []
    found = []
    said = 0
    for fields, head, content in parts_of(body):
        if LISTS in fields.get("content-type", "").lower():
            if not head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n"):
                raise RemoteProtocolError("the header fields of a list of recipients end with CR and LF")
            found.append((fields, content))
            said += _said(head) + _said(content)
        elif DISPOSITION in fields.get("content-disposition", "").lower():
            raise unsupported("a list of recipients is application/resource-lists+xml")
    if (has_parts or is_elsewhere) and _said(body.content) > said:
        raise unsupported("a list of recipients that is no body part by itself")
    return found


def _said(content: bytes) -> int:
    return sum(content.lower().count(word) for word in _WORDS)


def _check_plain(fields: Mapping[str, str], content: bytes) -> None:
    encodings = {fields.get(f"content-{kind}", "").lower() for kind in ("encoding", "transfer-encoding")}
    charsets = set(_CHARSET.findall(fields.get("content-type", "").lower()))
    if not encodings <= _PLAIN or not charsets <= _CHARSETS or b"\0" in content:
        raise unsupported("a list of recipients is plain UTF-8")
    if len(content) > _MOST_BYTES:
        raise SipReject(f"a list of recipients has more than {_MOST_BYTES} bytes")


def _read(content: bytes, found: list[str]) -> None:
    """Add whom one list names to ``found``."""
    parser = expat.ParserCreate("utf-8")
    parser.ordered_attributes = True
    depth = elements = 0

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _CHARSETS:
            raise unsupported("a list of recipients is plain UTF-8")

    def begins(_name: str, attributes: list[str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > _DEEPEST or elements > _MOST_ELEMENTS:
            raise SipReject("a list of recipients has too many elements")
        for name, value in zip(attributes[::2], attributes[1::2], strict=True):
            if name.rpartition(":")[2].lower() in _NAMING:
                found.append(value)
        if len(found) > MOST_RECIPIENTS:
            raise SipReject(f"more than {MOST_RECIPIENTS} recipients")

    def ends(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def hides(*_: object) -> None:
        raise unsupported(
            "a list of recipients has elements only: no document type, comments, CDATA, instructions"
        )

    parser.XmlDeclHandler = declared
    parser.StartElementHandler = begins
    parser.EndElementHandler = ends
    parser.StartDoctypeDeclHandler = parser.CommentHandler = hides
    parser.StartCdataSectionHandler = parser.ProcessingInstructionHandler = hides
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise RemoteProtocolError(f"a list of recipients is no XML: {error}") from None
