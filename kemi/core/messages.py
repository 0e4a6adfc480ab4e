"""What the decisions see of a SIP message: the facts of RFC 3261, already split and decoded.

Adapters fill these from Kamailio; tests fill them by hand.  ``headers`` reads any other header field on demand, so
that a message nobody asks about costs nothing.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from kemi.core.errors import RemoteProtocolError

HeaderReader = Callable[[str], list[str]]

_ANGLE = re.compile(r'(?:[^"<]|"(?:[^"\\]|\\.)*")*<([^<>]*)>')
_PARAMETER = re.compile(r';\s*([^\s=;,"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^;,\s"]*))?')
_TOKEN = re.compile(r"[\w.!%*+`'~-]+", re.ASCII)
_TAG_PARAMETER = re.compile(
    r'("(?:[^"\\]|\\.)*\\?"?|<[^>]*>?)|;\s*tag\s*=\s*[^;\s]*', re.IGNORECASE | re.DOTALL
)
"""A tag; or, as group 1, what is in quotes or angle brackets and stays as it is even if it looks like one.  Quotes and
brackets need no end to match, so that no header field makes the search start over and over."""
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|<[^>]*>?|,|[^",<]+', re.DOTALL)
"""A comma, or what has none that counts.  Quotes and brackets need no end to match, so that each character is looked at
once: 16,000 commas would otherwise keep a worker busy for seconds."""


class Side(enum.StrEnum):
    """Where a message comes from or goes to."""

    WIC = "wic"
    IMS = "ims"


def _no_headers(_name: str) -> list[str]:
    return []


@dataclass(slots=True)
class Message:
    """What requests and replies have in common."""

    side: Side
    method: str
    call_id: str
    from_tag: str
    to_tag: str
    cseq: int
    contact: str = ""
    """The Contact header field's value, or ""."""
    body: str = ""
    """The session description, wherever in the body it is, and its type (kemi/core/bodies.py); or what else there is
    instead of parts."""
    content_type: str = ""
    required_parts: bool = False
    """Parts beside the session description say that they have to be understood."""
    whole: tuple[str, str] = field(default=("", ""), repr=False)
    """Content-Type and text of a body of several parts, where it is text and not long: to be sent once more."""
    headers: HeaderReader = field(default=_no_headers, repr=False)

    @property
    def has_sdp(self) -> bool:
        """Whether the body is a session description."""
        return bool(self.body) and self.content_type.lower().startswith("application/sdp")

    def tokens(self, name: str) -> set[str]:
        """Return the option tags or methods of all header fields ``name``, joined and in lower case."""
        return {
            token.strip().lower()
            for value in self.headers(name)
            for token in value.split(",")
            if token.strip()
        }


@dataclass(slots=True)
class Request(Message):
    """A request, with the flow it came in on."""

    request_uri: str = ""
    from_uri: str = ""
    to_uri: str = ""
    connection_id: str = ""
    """Kamailio's id of the WebSocket connection, or "" on the IMS side."""
    source: str = ""
    """``address:port`` the message came from."""


@dataclass(slots=True)
class Reply(Message):
    """A response."""

    status: int = 0
    reason_phrase: str = ""


def uri_from_address(value: str) -> str:
    """Return the URI of a name-addr or addr-spec (RFC 3261 §20.10): parameters outside <> are not part of it."""
    match = _ANGLE.match(value)
    return match.group(1).strip() if match else value.partition(";")[0].strip()


def is_tel(uri: str) -> bool:
    """Whether a URI is a telephone number (RFC 3966)."""
    return uri[:4].lower() == "tel:"


def readable_uri(uri: str, realm: str) -> str:
    """Return a URI as a page can read it in From and To: a tel URI as the SIP URI of its number (RFC 3261 §19.1.6),
    in which a ``#`` has to be escaped."""
    return f"sip:{uri[4:].replace('#', '%23')}@{realm};user=phone" if is_tel(uri) else uri


def addresses_from_headers(values: list[str]) -> list[str]:
    """Split header field values that may hold comma-separated name-addrs, in order.

    A comma between quotation marks or angle brackets does not separate, nor one behind such that do not end.
    """
    return [
        part for value in values for part in (_split(value) if "," in value else (value.strip(),)) if part
    ]


def _split(value: str) -> Iterator[str]:
    begin = 0
    for piece in _PIECE.finditer(value):
        if piece.group() == ",":
            yield value[begin : piece.start()].strip()
            begin = piece.end()
    yield value[begin:].strip()


def address_parts(value: str) -> tuple[str, str]:
    """Split an address into what is before its header parameters, and those with their semicolons."""
    match = _ANGLE.match(value)
    end = match.end() if match else value.find(";")
    return (value, "") if end < 0 else (value[:end], value[end:])


@lru_cache(maxsize=256)
def parameters(value: str) -> Mapping[str, str]:
    """Return the header parameters of an address: names in lower case, values without their quotes.

    Kept for a while: one address is asked for several of them, and a page says the same Contact in all its messages.
    """
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(address_parts(value)[1]):
        found.setdefault(match.group(1).lower(), (match.group(2) or "").strip('"'))
    return found


def parameter(value: str, name: str) -> str | None:
    """Return header parameter ``name`` (lower case) of an address, "" when it has no value, None when absent."""
    return parameters(value).get(name)


def with_parameters(value: str, change: Callable[[str, str], str | None]) -> str:
    """Return an address whose header parameters ``change`` has seen: from name (lower case) and value
    as written it makes the new text with its semicolon, None for the same."""

    def changed(match: re.Match[str]) -> str:
        new = change(match.group(1).lower(), match.group(2) or "")
        return match.group(0) if new is None else new

    address, rest = address_parts(value)
    return address + _PARAMETER.sub(changed, rest)


def with_tag(value: str, tag: str) -> str:
    """Return the value of From or To with this tag in the place of its own, "" for none at all.

    Raises:
        RemoteProtocolError: the tag is no token.
    """
    if tag and not _TOKEN.fullmatch(tag):
        raise RemoteProtocolError("a tag is not a token (RFC 3261 §25.1)")
    address, bracket, rest = value.rpartition(">")
    if bracket and (not rest or (rest[:5] == ";tag=" and _TOKEN.fullmatch(rest, 5))):
        # as nearly everybody writes it: the tag is the only parameter
        return f"{address}{bracket}{';tag=' + tag if tag else ''}"
    return _TAG_PARAMETER.sub(r"\1", value) + (f";tag={tag}" if tag else "")
