"""SIP messages as text and back: start line, header fields, tags, lists.

Knows RFC 3261 §7 (syntax, compact forms, comma lists) and the fields of RFC 3262. Must not know
transports, timers or dialogs. Bytes that are not UTF-8 survive a round trip (surrogateescape),
so that malformed messages can be sent and seen as they are.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from tests.peers.addresses import NameAddr, SipSyntaxError, name_addr_from_text
from tests.peers.multipart import Part, multipart, parts_of, sdp_of

COMPACT_FORMS: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}
"""RFC 3261 §7.3.3 and the extensions that registered a compact form."""

LIST_FIELDS: Final = frozenset(
    {
        *("via", "route", "record-route", "path", "service-route", "contact", "history-info", "diversion"),
        *("allow", "supported", "require", "proxy-require", "unsupported", "recv-info"),
        *("p-associated-uri", "p-asserted-identity"),
    }
)
"""Header fields whose value is a comma separated list (RFC 3261 §7.3.1)."""

REASON_PHRASES: Final = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    504: "Server Time-out",
    603: "Decline",
}


def canonical_name(name: str) -> str:
    """Return the lower-case long form of a header field name."""
    lower = name.strip().lower()
    return COMPACT_FORMS.get(lower, lower)


def split_list(value: str) -> list[str]:
    """Split a comma list, leaving commas inside quotes and angle brackets alone."""
    parts: list[str] = []
    current: list[str] = []
    quoted = bracketed = escaped = False
    for char in value:
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char in "<>" and not quoted:
            bracketed = char == "<"
        elif char == "," and not quoted and not bracketed:
            parts.append("".join(current).strip())
            current = []
            continue
        current.append(char)
    parts.append("".join(current).strip())
    return [part for part in parts if part]


@dataclass(frozen=True)
class CSeq:
    """CSeq value (RFC 3261 §20.16)."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


class Headers:
    """Ordered header fields; names match in any case and in compact form."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = [(name, str(value)) for name, value in fields]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __contains__(self, name: str) -> bool:
        return bool(self.fields(name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def fields(self, name: str) -> list[str]:
        """Return the values of every field of that name, one per line of the message."""
        wanted = canonical_name(name)
        return [value for key, value in self._fields if canonical_name(key) == wanted]

    def all(self, name: str) -> list[str]:
        """Return every value; list fields are split and joined over all lines."""
        values = self.fields(name)
        if canonical_name(name) not in LIST_FIELDS:
            return values
        return [part for value in values for part in split_list(value)]

    def get(self, name: str) -> str | None:
        """Return the first value, None when the field is absent."""
        return next(iter(self.all(name)), None)

    def add(self, name: str, value: str) -> None:
        """Append a field."""
        self._fields.append((name, value))

    def add_first(self, name: str, value: str) -> None:
        """Put a field before all others, as a new Via."""
        self._fields.insert(0, (name, value))

    def remove(self, name: str) -> None:
        """Drop every field of that name."""
        wanted = canonical_name(name)
        self._fields = [pair for pair in self._fields if canonical_name(pair[0]) != wanted]

    def replace(self, name: str, value: str) -> None:
        """Drop every field of that name and append one."""
        self.remove(name)
        self.add(name, value)

    def copy(self) -> Headers:
        """Return an independent copy."""
        return Headers(self._fields)


@dataclass
class SipMessage:
    """What requests and responses share."""

    headers: Headers = field(default_factory=Headers, kw_only=True)
    body: str = field(default="", kw_only=True)

    @property
    def start_line(self) -> str:
        """The first line without its line end."""
        raise NotImplementedError

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise SipSyntaxError(f"{self.start_line!r} has no {name}")
        return value

    @property
    def call_id(self) -> str:
        """Call-ID."""
        return self._required("Call-ID")

    @property
    def cseq(self) -> CSeq:
        """CSeq."""
        number, _, method = self._required("CSeq").partition(" ")
        return CSeq(int(number), method.strip())

    @property
    def from_(self) -> NameAddr:
        """From."""
        return name_addr_from_text(self._required("From"))

    @property
    def to(self) -> NameAddr:
        """To."""
        return name_addr_from_text(self._required("To"))

    @property
    def from_tag(self) -> str | None:
        """Tag of From."""
        return self.from_.tag

    @property
    def to_tag(self) -> str | None:
        """Tag of To."""
        return self.to.tag

    @property
    def via_branch(self) -> str:
        """Branch of the topmost Via: the transaction's name (RFC 3261 §17.1.3)."""
        match = re.search(r";\s*branch\s*=\s*([^;,\s]+)", self._required("Via"))
        return match.group(1) if match else ""

    @property
    def contact_uri(self) -> str | None:
        """URI of the first Contact."""
        value = self.headers.get("Contact")
        return None if value is None else name_addr_from_text(value).uri

    @property
    def record_route(self) -> list[str]:
        """Record-Route elements, top first."""
        return self.headers.all("Record-Route")

    @property
    def rseq(self) -> int | None:
        """RSeq (RFC 3262 §7.1)."""
        value = self.headers.get("RSeq")
        return None if value is None else int(value)

    def option_tags(self, name: str) -> frozenset[str]:
        """Return the option tags or methods of Supported, Require, Allow over all their lines."""
        return frozenset(self.headers.all(name))

    @property
    def has_sdp(self) -> bool:
        """Whether there is a session description, alone or among other parts."""
        return bool(self.sdp)

    @property
    def sdp(self) -> str:
        """The session description in the body, "" for none."""
        return sdp_of(self.headers.get("Content-Type") or "", self.body)

    @property
    def parts(self) -> list[Part]:
        """The parts of the body."""
        return parts_of(self.headers.get("Content-Type") or "", self.body)

    def set_body(self, body: str, content_type: str = "application/sdp") -> Self:
        """Replace the body and its Content-Type; return the message itself."""
        self.headers.remove("Content-Type")
        if body:
            self.headers.add("Content-Type", content_type)
        self.body = body
        return self

    def add_parts(self, *parts: Part) -> Self:
        """Put parts behind what is in the body; a single one alone stays as it is. Return the message itself."""
        every = [*self.parts, *parts]
        if len(every) == 1:
            for name, value in every[0].fields:
                self.headers.replace(name, value)
            return self.set_body(every[0].body, every[0].content_type)
        content_type, body = multipart(every)
        return self.set_body(body, content_type)


@dataclass
class SipRequest(SipMessage):
    """A request."""

    method: str
    request_uri: str

    @property
    def start_line(self) -> str:
        """Request-Line."""
        return f"{self.method} {self.request_uri} SIP/2.0"


@dataclass
class SipResponse(SipMessage):
    """A response."""

    status: int
    reason_phrase: str = ""

    @property
    def start_line(self) -> str:
        """Status-Line."""
        return f"SIP/2.0 {self.status} {self.reason_phrase}"

    @property
    def is_reliable(self) -> bool:
        """Whether it is a provisional response that wants a PRACK (RFC 3262 §4)."""
        return 100 < self.status < 200 and "100rel" in self.option_tags("Require") and self.rseq is not None


def message_from_text(text: str) -> SipRequest | SipResponse:
    """Parse one message; a body longer than Content-Length is cut (RFC 3261 §18.3).

    Raises:
        SipSyntaxError: no valid start line or header field.
    """
    head, _, body = text.partition("\r\n\r\n")
    lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    headers = Headers()
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise SipSyntaxError(f"not a header field: {line!r}")
        headers.add(name.strip(), value.strip())
    length = headers.get("Content-Length")
    if length is not None and length.isdigit():
        body = _text(_bytes(body)[: int(length)])
    words = lines[0].split(" ", 2)
    if len(words) < 2:
        raise SipSyntaxError(f"not a start line: {lines[0]!r}")
    if words[0] == "SIP/2.0":
        reason = words[2] if len(words) == 3 else ""
        return SipResponse(int(words[1]), reason, headers=headers, body=body)
    if len(words) != 3 or words[2] != "SIP/2.0":
        raise SipSyntaxError(f"not a start line: {lines[0]!r}")
    return SipRequest(words[0], words[1], headers=headers, body=body)


def message_to_text(message: SipMessage) -> str:
    """Print a message; Content-Length always tells the truth."""
    fields = [(n, v) for n, v in message.headers if canonical_name(n) != "content-length"]
    fields.append(("Content-Length", str(len(_bytes(message.body)))))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{message.start_line}\r\n{head}\r\n{message.body}"


def message_from_bytes(data: bytes) -> SipRequest | SipResponse:
    """Parse one message from the wire."""
    return message_from_text(_text(data))


def message_to_bytes(message: SipMessage) -> bytes:
    """Print a message for the wire."""
    return _bytes(message_to_text(message))


def response_to(
    request: SipRequest,
    status: int,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    sdp: str = "",
) -> SipResponse:
    """Make a response with the fields RFC 3261 §8.2.6.2 copies; Record-Route is the caller's choice.

    `to_tag` is added when the request had none.
    """
    to = request.headers.get("To") or ""
    if to_tag and request.to_tag is None:
        to += f";tag={to_tag}"
    fields = [("Via", via) for via in request.headers.all("Via")]
    fields += [
        ("From", request.headers.get("From") or ""),
        ("To", to),
        ("Call-ID", request.call_id),
        ("CSeq", str(request.cseq)),
        *headers,
    ]
    response = SipResponse(status, REASON_PHRASES.get(status, "Status"), headers=Headers(fields))
    return response.set_body(sdp)


def new_branch() -> str:
    """Return a fresh Via branch with the magic cookie."""
    return f"z9hG4bK{secrets.token_hex(8)}"


def new_tag() -> str:
    """Return a fresh From/To tag."""
    return secrets.token_hex(6)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
