"""What the decisions see of a SIP message: the facts of RFC 3261, already split and decoded.

Adapters fill these from Kamailio; tests fill them by hand.  ``headers`` reads any other header field on demand, so
that a message nobody asks about costs nothing.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass, field

HeaderReader = Callable[[str], list[str]]

_ANGLE = re.compile(r'(?:[^"<]|"(?:[^"\\]|\\.)*")*<([^<>]*)>')
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^;"]*))?')
_COMMA = re.compile(r",(?=(?:[^\"<>]|\"[^\"]*\"|<[^>]*>)*$)")


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
    content_type: str = ""
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


def addresses_from_headers(values: list[str]) -> list[str]:
    """Split header field values that may hold comma-separated name-addrs, in order."""
    return [part.strip() for value in values for part in _COMMA.split(value) if part.strip()]


def parameters(value: str) -> dict[str, str]:
    """Return the header parameters of an address: names in lower case, values without their quotes."""
    match = _ANGLE.match(value)
    tail = value[match.end() :] if match else value[len(value.partition(";")[0]) :]
    found: dict[str, str] = {}
    for name, text in _PARAMETER.findall(tail):
        found.setdefault(name.lower(), text[1:-1] if text.startswith('"') else text.strip())
    return found


def parameter(value: str, name: str) -> str | None:
    """Return header parameter ``name`` of an address ("" when it has no value, None when absent)."""
    return parameters(value).get(name)
