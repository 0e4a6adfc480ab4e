"""What a SIP message says of its place in a call's trace; no more of it is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kemi.core.call.record_key import INCOMING_TAG

PAGE: Final = "page"
CORE: Final = "core"

_START: Final = re.compile(r"(?:SIP/2\.0 (\d{3}) ?([^\r\n]*)|(\w[\w.!%*+`'~-]*) ([^\r\n]*) SIP/2\.0)\r?\n")
_CALL_ID: Final = re.compile(r"(?im)^(?:call-id|i)[ \t]*:\s*(\S+)")
_CSEQ: Final = re.compile(r"(?im)^cseq[ \t]*:\s*(\d+)\s+(\w+)")
_VIA: Final = re.compile(r"(?im)^(?:via|v)[ \t]*:\s*sip\s*/\s*2\.0\s*/\s*(\w+)")
_FROM: Final = re.compile(r"(?im)^(?:from|f)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)")
_TO: Final = re.compile(r"(?im)^(?:to|t)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)")
_TAG: Final = re.compile(r"(?i);\s*tag\s*=\s*([^;>,\s]+)")
_URI: Final = re.compile(r"<([^>]*)>|\s*(\w+:[^;\s]+)")
_PLAIN_CALL_ID: Final = "\r\nCall-ID: "


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
    from_tag: str
    to_tag: str

    @property
    def begins(self) -> bool:
        """Whether it is an INVITE that may begin a call."""
        return (
            not self.status and self.method == "INVITE" and (not self.to_tag or self.to_tag == self.own_tag)
        )


def facts_of(message: str) -> Facts | None:
    """Read a message; None: it is no SIP message of a call that can be named."""
    start = _START.match(message)
    call_id = _value(message, _PLAIN_CALL_ID, _CALL_ID)
    cseq = _CSEQ.search(message)
    if start is None or not call_id or cseq is None:
        return None
    via = _VIA.search(message)
    from_tag, to_tag = _tag(_FROM, message), _tag(_TO, message)
    own = next((tag for tag in (to_tag, from_tag) if tag.startswith(INCOMING_TAG)), "")
    return Facts(
        name=f"{start[1]} {start[2]}".rstrip() if start[1] else start[3],
        method=cseq[2].upper(),
        status=int(start[1]) if start[1] else 0,
        call_id=call_id,
        cseq=int(cseq[1]),
        own_tag=own,
        is_of_page=via is not None and via[1].upper() in ("WS", "WSS"),
        from_tag=from_tag,
        to_tag=to_tag,
    )


def parties_of(message: str) -> tuple[str, str]:
    """Return the URIs that a message says it is from and to, as they stand there."""
    return _uri(_FROM, message), _uri(_TO, message)


def _value(message: str, plain: str, pattern: re.Pattern[str]) -> str:
    at = message.find(plain)
    if at >= 0:
        return message[at + len(plain) : message.find("\r\n", at + len(plain))].strip()
    found = pattern.search(message)
    return found[1] if found else ""


def _tag(pattern: re.Pattern[str], message: str) -> str:
    field = pattern.search(message)
    found = _TAG.search(field[1].rpartition(">")[2]) if field else None
    return found[1] if found else ""


def _uri(pattern: re.Pattern[str], message: str) -> str:
    field = pattern.search(message)
    found = _URI.search(field[1]) if field else None
    return (found[1] or found[2] or "") if found else ""
