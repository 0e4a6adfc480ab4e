"""SIP URIs and name-addr values as text and back (RFC 3261 §19.1, §20.10).

Knows their syntax only. Must not know which header field a value came from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class SipSyntaxError(ValueError):
    """The text is not a SIP message."""


@dataclass(frozen=True)
class SipUri:
    """The parts of a SIP URI that a peer routes on (RFC 3261 §19.1)."""

    scheme: str
    user: str
    host: str
    port: int | None
    params: tuple[tuple[str, str], ...] = ()

    def param(self, name: str) -> str | None:
        """Return a URI parameter, "" when it has no value, None when absent."""
        return next((value for key, value in self.params if key.lower() == name), None)


_URI = re.compile(r"^(sips?):(?:([^@]*)@)?(\[[^]]+\]|[^:;?]+)(?::(\d+))?((?:;[^?]*)?)(?:\?.*)?$", re.I)


def sip_uri_from_text(text: str) -> SipUri:
    """Parse a SIP or SIPS URI without angle brackets."""
    match = _URI.match(text.strip())
    if match is None:
        raise SipSyntaxError(f"not a SIP URI: {text!r}")
    scheme, user, host, port, params = match.groups()
    pairs = (part.partition("=") for part in params.split(";") if part)
    return SipUri(
        scheme.lower(),
        user or "",
        host,
        int(port) if port else None,
        tuple((key, value) for key, _, value in pairs),
    )


@dataclass(frozen=True)
class NameAddr:
    """name-addr or addr-spec with its header parameters (RFC 3261 §20.10)."""

    uri: str
    display_name: str = ""
    params: tuple[tuple[str, str], ...] = ()

    def param(self, name: str) -> str | None:
        """Return a header parameter, "" when it has no value, None when absent."""
        return next((value for key, value in self.params if key.lower() == name), None)

    @property
    def tag(self) -> str | None:
        """The From/To tag."""
        return self.param("tag")


_NAME_ADDR = re.compile(r'^\s*("(?:[^"\\]|\\.)*"|[^<"]*?)\s*<([^>]*)>\s*(.*)$', re.S)
_PARAM = re.compile(r';\s*([^=;\s]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^;]*))?')


def name_addr_from_text(text: str) -> NameAddr:
    """Parse one element of From, To, Contact, Route and their like."""
    match = _NAME_ADDR.match(text)
    if match is not None:
        display, uri, rest = match.groups()
    else:  # RFC 3261 §20: without brackets, parameters belong to the header field
        uri, _, rest = text.strip().partition(";")
        display, rest = "", f";{rest}" if rest else ""
    params = tuple((key, value.strip()) for key, value in _PARAM.findall(rest))
    return NameAddr(uri.strip(), display.strip().strip('"'), params)


def name_addr_to_text(value: NameAddr) -> str:
    """Print a name-addr, always with angle brackets."""
    display = f'"{value.display_name}" ' if value.display_name else ""
    params = "".join(f";{key}={val}" if val else f";{key}" for key, val in value.params)
    return f"{display}<{value.uri}>{params}"
