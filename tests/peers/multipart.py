"""Bodies of several parts as text and back (RFC 2046 §5.1, RFC 5621).

Knows the syntax only. Must not know SIP. Bytes that are not UTF-8 are surrogates, as in `sip`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

BOUNDARY: Final = "=_a boundary:1"
_SDP: Final = "application/sdp"


@dataclass(frozen=True)
class Part:
    """One part; `fields` are further header fields."""

    content_type: str
    body: str
    fields: tuple[tuple[str, str], ...] = field(default=())

    def __str__(self) -> str:
        head = "".join(f"{n}: {v}\r\n" for n, v in (("Content-Type", self.content_type), *self.fields))
        return f"{head}\r\n{self.body}"


def multipart(parts: Iterable[Part], *, kind: str = "mixed", boundary: str = BOUNDARY) -> tuple[str, str]:
    """Return Content-Type and body."""
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'multipart/{kind};boundary="{boundary}"', f"{body}--{boundary}--\r\n"


def parts_of(content_type: str, body: str) -> list[Part]:
    """Return the parts of a body, one for a body of one kind, none for no body."""
    if not content_type.lower().startswith("multipart/"):
        return [Part(content_type, body)] if body else []
    match = re.search(r'boundary=(?:"([^"]*)"|([^;\s]*))', content_type)
    assert match, content_type
    boundary = match.group(1) or match.group(2)
    first, *pieces, last = f"\r\n{body}".split(f"\r\n--{boundary}")
    assert not first.strip() and last.startswith("--"), body
    found = []
    for piece in pieces:
        head, _, content = piece.removeprefix("\r\n").partition("\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.split("\r\n") if line]
        own = next((v for n, v in fields if n.lower() == "content-type"), "")
        found.append(Part(own, content, tuple((n, v) for n, v in fields if n.lower() != "content-type")))
    return found


def sdp_of(content_type: str, body: str) -> str:
    """Return the session description in a body, also inside of a part; "" for none."""
    for part in parts_of(content_type, body):
        kind = part.content_type.partition(";")[0].strip().lower()
        if kind == _SDP and "early-session" not in dict(part.fields).get("Content-Disposition", ""):
            return part.body
        if kind.startswith("multipart/") and (inner := sdp_of(part.content_type, part.body)):
            return inner
    return ""
