"""The SIP message Kamailio is working on, with its way of changing it.

Changes are collected and become visible only in what is sent (or after ``apply``); reading gives the message as it
came.  Bytes that are not UTF-8 are kept (as surrogates).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

Header = tuple[str, str]
COMPACT_FORMS: Final = {
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "t": "to",
    "v": "via",
}
"""Header names of one letter (RFC 3261 §7.3.3): Kamailio finds and removes these fields by either name."""
_SUBSTITUTION = re.compile(r"/(?P<pattern>(?:[^/\\]|\\.)*)/(?P<replacement>(?:[^/\\]|\\.)*)/(?P<flags>[ig]*)")


def long_name(name: str) -> str:
    """Return a header name in lower case and in its long form."""
    return COMPACT_FORMS.get(name.lower(), name.lower())


@dataclass
class FakeMessage:
    """One request, reply or HTTP request, and the flow it came in on."""

    first_line: str
    headers: list[Header]
    body: str
    protocol: str = "udp"
    source: tuple[str, int] = ("198.51.100.7", 5060)
    connection_id: int | None = None
    received_port: int = 5060
    """The port of ours it came in on."""

    variables: dict[str, str] = field(default_factory=dict)
    """What the script set: $ru, $du."""
    removed: set[str] = field(default_factory=set)
    inserted: list[str] = field(default_factory=list)
    appended: list[str] = field(default_factory=list)
    behind: dict[str, list[str]] = field(default_factory=dict)
    """Name of a header field -> lines to follow the last one of it."""
    substituted: dict[str, str] = field(default_factory=dict)
    new_body: str | None = None
    send_socket: str = ""

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        protocol: str = "udp",
        source: tuple[str, int] = ("198.51.100.7", 5060),
        connection_id: int | None = None,
        received_port: int = 5060,
    ) -> FakeMessage:
        """Read a message; lines may end in LF alone, so that tests can write it as text."""
        text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
        head, _, body = text.partition("\n\n")
        first_line, *lines = re.split(r"\n(?![ \t])", head.rstrip("\n"))
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.strip(), value.strip().replace("\n", "\r\n")))
        return cls(
            first_line, headers, body.replace("\n", "\r\n"), protocol, source, connection_id, received_port
        )

    # -- reading: the message as it came

    @property
    def is_reply(self) -> bool:
        """Whether it is a response."""
        return self.first_line.startswith("SIP/2.0 ")

    def values(self, name: str) -> list[str]:
        """Return the values of all header fields of this name."""
        return [value for header, value in self.headers if long_name(header) == long_name(name)]

    def value(self, name: str) -> str | None:
        """Return the first value, or None."""
        return next(iter(self.values(name)), None)

    @property
    def head(self) -> str:
        """The first line and the header fields as they came, with CRLF."""
        lines = [self.first_line, *(f"{name}: {value}" for name, value in self.headers)]
        return "".join(f"{line}\r\n" for line in lines)

    def parameter(self, name: str, parameter: str) -> str | None:
        """Return a header parameter of From or To."""
        match = re.search(rf";{parameter}=([^;> ]+)", self.value(name) or "", re.IGNORECASE)
        return match.group(1) if match else None

    def uri(self, name: str) -> str | None:
        """Return the URI of From or To."""
        value = self.value(name)
        if value is None:
            return None
        match = re.match(r'(?:[^"<]|"[^"]*")*<([^>]*)>', value)
        return match.group(1) if match else value.partition(";")[0]

    @property
    def method(self) -> str:
        """The request's method, or that of the reply's CSeq."""
        if self.is_reply:
            return (self.value("CSeq") or "").partition(" ")[2].strip()
        return self.first_line.partition(" ")[0]

    @property
    def request_uri(self) -> str:
        """The Request-URI, with the script's change."""
        return self.variables.get("$ru") or self.first_line.split(" ")[1]

    # -- changing

    def substitute(self, name: str, expression: str) -> bool:
        """Change a header field's value by a sed expression; True when it matched."""
        parsed = _SUBSTITUTION.fullmatch(expression)
        if parsed is None:
            raise ValueError(f"no substitution expression: {expression!r}")
        flags = re.IGNORECASE if "i" in parsed["flags"] else 0
        current = self.value(name)
        if current is None:
            return False
        # the C code matches the whole field body, which has the space after the colon
        changed, count = re.subn(
            parsed["pattern"], parsed["replacement"], " " + current, count=1, flags=flags
        )
        if count:
            self.substituted[long_name(name)] = changed.strip()
        return bool(count)

    def apply(self) -> None:
        """Make all changes visible at once (textopsx.msg_apply_changes)."""
        self.rewrite(self.sent())

    def rewrite(self, text: str) -> None:
        """Make this the message (textopsx.msg_set_buffer); what the script set beside it stays."""
        fresh = FakeMessage.from_bytes(text.encode("utf-8", "surrogateescape"))
        self.first_line, self.headers, self.body = fresh.first_line, fresh.headers, fresh.body
        self.removed, self.inserted, self.appended, self.behind = set(), [], [], {}
        self.substituted, self.new_body = {}, None

    def append_after(self, name: str, lines: list[str]) -> None:
        """Add header lines behind the last header field of this name."""
        self.behind.setdefault(long_name(name), []).extend(lines)

    def sent(self) -> str:
        """Return the message as it leaves, with all changes."""
        lines = [self.first_line]
        if "$ru" in self.variables:
            method, _, version = self.first_line.split(" ")
            lines = [f"{method} {self.variables['$ru']} {version}"]
        lines += self.inserted
        last = {long_name(name): index for index, (name, _) in enumerate(self.headers)}
        for index, (name, value) in enumerate(self.headers):
            if long_name(name) not in self.removed:
                lines.append(f"{name}: {self.substituted.get(long_name(name), value)}")
            if last[long_name(name)] == index:
                lines += self.behind.get(long_name(name), [])
        lines += self.appended
        body = self.body if self.new_body is None else self.new_body
        return "\n".join(lines).replace("\r\n ", "\n ") + "\n\n" + body.replace("\r\n", "\n")

    def sent_values(self, name: str) -> list[str]:
        """Return the values of a header field in the message as it leaves."""
        return FakeMessage.from_bytes(self.sent().encode("utf-8", "surrogateescape")).values(name)
