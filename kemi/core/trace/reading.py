"""What a SIP message says of its place in a call's trace; no more of it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from kemi.core.call.record_key import INCOMING_TAG
from kemi.core.decimals import is_number
from kemi.core.trace.redaction import name_of
from kemi.core.trust import withholds_identity

PAGE: Final = "page"
CORE: Final = "core"

_START: Final = re.compile(r"(?:SIP/2\.0 (\d{3}) ?([^\r\n]*)|(\w[\w.!%*+`'~-]*) ([^\r\n]*) SIP/2\.0)\r?\n")
_CALL_ID: Final = ("\r\nCall-ID: ", re.compile(r"(?im)^(?:call-id|i)[ \t]*:\s*([^\r\n]*)"))
_CSEQ: Final = ("\r\nCSeq: ", re.compile(r"(?im)^cseq[ \t]*:\s*([^\r\n]*)"))
_VIA: Final = ("\r\nVia: ", re.compile(r"(?im)^(?:via|v)[ \t]*:\s*([^\r\n]*)"))
_FROM: Final = ("\r\nFrom: ", re.compile(r"(?im)^(?:from|f)[ \t]*:\s*([^\n]*(?:\n[ \t][^\n]*)*)"))
_TO: Final = ("\r\nTo: ", re.compile(r"(?im)^(?:to|t)[ \t]*:\s*([^\n]*(?:\n[ \t][^\n]*)*)"))
"""Header fields as nearly everybody writes them, which is found much faster, and in every other way."""
_PRIVACY: Final = re.compile(r"(?im)^privacy[ \t]*:\s*([^\n]*(?:\n[ \t][^\n]*)*)")
_PROTOCOL: Final = re.compile(r"(?i)sip\s*/\s*2\.0\s*/\s*(\w+)")
_TAG: Final = re.compile(r"(?i);\s*tag\s*=\s*([^;>,\s]+)")
_URI: Final = re.compile(r"<([^<>]*)>|(?<!\w)(\w+:[^;\s]+)")


@dataclass(slots=True)
class Facts:
    """A message's place."""

    name: str
    """Method, or status with reason."""
    method: str
    """Of CSeq."""
    status: int
    """0: a request."""
    call_id: str
    cseq: int
    own_tag: str
    """Ours, where the call goes towards a page; else ""."""
    is_of_page: bool
    """A page sent it or gets it: only pages speak WebSocket."""
    message: str = field(default="", repr=False, compare=False)

    @property
    def from_tag(self) -> str:
        """The tag in From."""
        return _tag(_value(self.message, _FROM))

    @property
    def to_tag(self) -> str:
        """The tag in To."""
        return _tag(_value(self.message, _TO))

    @property
    def request_uri(self) -> str:
        """Whom a request is for, without secrets; "" of a response."""
        start = _START.match(self.message)
        return name_of(start[4] or "") if start is not None else ""

    @property
    def withholds_caller(self) -> bool:
        """Whether who sent it does not want to be known."""
        return withholds_identity(lambda _: _PRIVACY.findall(self.message))

    @property
    def begins(self) -> bool:
        """Whether it is an INVITE that may begin a call."""
        return (
            not self.status and self.method == "INVITE" and (not self.to_tag or self.to_tag == self.own_tag)
        )


def facts_of(message: str) -> Facts | None:
    """Read a message; None: it is no SIP message of a call that can be named."""
    start = _START.match(message)
    call_id = _value(message, _CALL_ID)
    number, _, method = _value(message, _CSEQ).partition(" ")
    if start is None or not call_id or not is_number(number):
        return None
    via = _PROTOCOL.match(_value(message, _VIA))
    found = Facts(
        name=f"{start[1]} {start[2]}".rstrip() if start[1] else start[3],
        method=method.strip().upper(),
        status=int(start[1]) if start[1] else 0,
        call_id=call_id,
        cseq=int(number),
        own_tag="",
        is_of_page=via is not None and via[1].upper() in ("WS", "WSS"),
        message=message,
    )
    if INCOMING_TAG in message:
        tags = (found.to_tag, found.from_tag)
        found.own_tag = next((tag for tag in tags if tag.startswith(INCOMING_TAG)), "")
    return found


def top_via(message: str) -> str:
    """Return the value of the first Via, with those that stand on its line."""
    return _value(message, _VIA)


def parties_of(message: str) -> tuple[str, str]:
    """Return the URIs that a message says it is from and to."""
    return name_of(_uri(_value(message, _FROM))), name_of(_uri(_value(message, _TO)))


def _value(message: str, name: tuple[str, re.Pattern[str]]) -> str:
    plain, pattern = name
    at = message.find(plain)
    if at >= 0:
        at += len(plain)
        end = message.find("\r\n", at)
        if message[end + 2 : end + 3] not in (" ", "\t"):
            return message[at:end].strip()
    found = pattern.search(message)
    return found[1].strip() if found else ""


def _tag(value: str) -> str:
    found = _TAG.search(value.rpartition(">")[2])
    return found[1] if found else ""


def _uri(value: str) -> str:
    found = _URI.search(value)
    return (found[1] or found[2] or "") if found else ""
