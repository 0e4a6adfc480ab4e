"""Bodies of several parts: where the session description is, and how another one takes its place (RFC 5621, RFC 2046).

Decisions see the session description alone; what is around it passes byte for byte, boundary and all.

* A part of disposition ``session`` (what application/sdp is unless it says otherwise) is the session's; there is one.
* Other forms of it in a multipart/alternative describe what we have changed, and go.
* ``early-session`` (RFC 3959) describes media that would run past the relay: it goes too, and is not offered.
* Whoever takes no parts gets the session description alone.
"""

from __future__ import annotations

import enum
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Message, Request, parameters

SDP: Final = "application/sdp"
MIXED: Final = "multipart/mixed"
CARRIERS: Final = frozenset({"INVITE", "ACK", "PRACK", "UPDATE"})
"""What session descriptions are exchanged in; bodies of other methods are the two ends' own."""
MAX_PARTS: Final = 16
MAX_KEPT: Final = 4096
"""Bytes of a body that is kept until it may be sent."""
MAX_DEPTH: Final = 3
MAX_FIELDS: Final = 16
_BOUNDARY = re.compile(r"[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]", re.ASCII)
_FIELD = re.compile(rb"([\w.!%*+`'~-]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_UNCHANGED_ENCODINGS: Final = ("", "7bit", "8bit", "binary")
_NOT_ENCODED: Final = ("", "identity")
_EARLY: Final = "early-session"


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a message, with what its header fields say of it."""

    content: bytes
    content_type: str = SDP
    disposition: str = ""
    encoding: str = ""
    """Content-Encoding."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a session description and nothing else."""
        return _value(self.content_type) == SDP and not self.disposition and not self.encoding


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to a body."""

    whole: tuple[str, str] | None = None
    """A new Content-Type and a new body, both "" to take it away; None: it stays but for the exchanges."""
    exchanges: tuple[tuple[str, str], ...] = ()
    """Texts that are in it once, and what takes their place."""


class _Kind(enum.Enum):
    SESSION = enum.auto()
    UNWANTED = enum.auto()
    OTHER = enum.auto()
    CONTAINER = enum.auto()


@dataclass(slots=True)
class _Part:
    """Where a part is: from its delimiter to the next one; the content begins behind its header fields."""

    begin: int
    content: int
    content_end: int
    end: int
    fields: dict[str, str]
    kind: _Kind
    parts: list[_Part] = field(default_factory=list)

    def leaves(self) -> Iterator[_Part]:
        """Return the parts that hold no others."""
        if self.kind is not _Kind.CONTAINER:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def has(self, *kinds: _Kind) -> bool:
        """Whether a leaf is of one of these kinds."""
        return any(leaf.kind in kinds for leaf in self.leaves())


# ---------------------------------------------------------------- reading


def describe(message: Message, body: Body) -> None:
    """Show the session description of a body as the message's own; raise what a request deserves (400, 415)."""
    try:
        root = _root_of(body)
    except (RemoteProtocolError, SipReject):
        if isinstance(message, Request) and message.method != "ACK":
            raise
        return  # nobody to be told: it has none
    message.required_parts = any(
        leaf.kind is _Kind.OTHER and _is_required(leaf.fields) for leaf in root.leaves() if leaf is not root
    )
    message.whole = _whole(body) if root.kind is _Kind.CONTAINER else ("", "")
    session = _session_of(root)
    if session is not None:
        message.content_type = SDP
        message.body = body.content[session.content : session.content_end].decode("utf-8", "replace")
    elif root.kind is _Kind.OTHER:
        message.content_type = body.content_type
        message.body = body.content.decode("utf-8", "replace")


def _whole(body: Body) -> tuple[str, str]:
    """Return type and text of a body that may be kept until it is sent once more; "" for one that may not."""
    if len(body.content) > MAX_KEPT or b"\0" in body.content or body.disposition or body.encoding:
        return "", ""
    try:
        return body.content_type, body.content.decode()
    except UnicodeDecodeError:
        return "", ""


def parts_of(body: Body) -> Iterator[tuple[Mapping[str, str], bytes, bytes]]:
    """Return header fields (names in lower case), their text with the delimiter before it, and content of a body, or of
    its parts; raise as ``describe`` does."""
    for leaf in _root_of(body).leaves():
        content = body.content
        yield leaf.fields, content[leaf.begin : leaf.content], content[leaf.content : leaf.content_end]


def takes_parts(accept: Iterable[str], contact: str) -> bool:
    """Whether a page says that it takes bodies of several parts: in Accept (RFC 3261 §20.1), or for calls towards it
    in the media type of its Contact (``type``, RFC 3840 §9, RFC 2913)."""
    named = [*accept, parameters(contact).get("type", "")]
    types = {_value(one) for value in named for one in value.split(",")}
    return bool(types & {MIXED, "multipart/*", "*/*"})


def _root_of(body: Body) -> _Part:
    """Read a body; every text that may have to be exchanged can be named."""
    fields = {
        "content-type": body.content_type,
        "content-disposition": body.disposition,
        "content-encoding": body.encoding,
    }
    size = len(body.content)
    root = _Part(0, 0, size, size, fields, _kind_of(fields))
    if root.kind is not _Kind.CONTAINER:
        return root
    _read_parts(body.content, root, 1)
    sessions = [leaf for leaf in root.leaves() if leaf.kind is _Kind.SESSION]
    if len(sessions) > 1:
        raise RemoteProtocolError("more than one session description (RFC 5621 §8.1)")
    if sum(1 for _ in root.leaves()) > MAX_PARTS:
        raise RemoteProtocolError(f"more than {MAX_PARTS} body parts")
    for leaf in root.leaves():
        if leaf.kind is not _Kind.OTHER:
            _text(body.content, leaf.begin, leaf.end)
    return root


def _read_parts(content: bytes, container: _Part, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RemoteProtocolError("too many body parts inside each other")
    for part in _split(content, container):
        container.parts.append(part)
        if len(container.parts) > MAX_PARTS:
            raise RemoteProtocolError(f"more than {MAX_PARTS} body parts")
        if part.kind is _Kind.CONTAINER:
            _read_parts(content, part, depth + 1)
    if _value(container.fields["content-type"]) == "multipart/alternative" and container.has(_Kind.SESSION):
        # the last is the best (RFC 2046 §5.1.4), and of the forms that we know there is one
        chosen = [leaf for leaf in container.leaves() if leaf.kind is _Kind.SESSION][-1]
        for leaf in container.leaves():
            leaf.kind = _Kind.SESSION if leaf is chosen else _Kind.UNWANTED


def _split(content: bytes, container: _Part) -> Iterator[_Part]:
    boundary = parameters(container.fields["content-type"]).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise RemoteProtocolError("a body of several parts has no boundary (RFC 2046 §5.1.1)")
    # not the whole body: a delimiter belongs to the container that it is in
    delimiter = re.compile(rb"(?:\A|(?<=\r\n))--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    inside = content[container.content : container.content_end]
    begin = None
    for found in delimiter.finditer(inside):
        if begin is not None:
            yield _part(content, container.content + begin, container.content + found.start())
        if found.group(1):
            if begin is None:
                break
            return
        begin = found.start()
    raise RemoteProtocolError("a body of several parts does not end with its boundary (RFC 2046 §5.1.1)")


def _part(content: bytes, begin: int, end: int) -> _Part:
    """Read one part: delimiter line, header fields, an empty line, content."""
    content_end = end - 2
    line_end = content.find(b"\r\n", begin, end)
    if content[line_end : line_end + 4] == b"\r\n\r\n":
        head, start = b"", line_end + 4
    else:
        head_end = content.find(b"\r\n\r\n", line_end, end)
        if head_end < 0 or head_end + 4 > end:
            raise RemoteProtocolError("a body part has no empty line behind its header fields")
        head, start = content[line_end + 2 : head_end], head_end + 4
    fields = _fields(head)
    return _Part(begin, start, max(start, content_end), end, fields, _kind_of(fields))


def _fields(head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    lines = re.sub(rb"\r\n[ \t]+", b" ", head).split(b"\r\n") if head else []
    if len(lines) > MAX_FIELDS:
        raise RemoteProtocolError(f"a body part has more than {MAX_FIELDS} header fields")
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("a line of a body part is no header field")
        name = match.group(1).decode().lower()
        if name in found:
            raise RemoteProtocolError(f"a body part has {name} twice")
        found[name] = match.group(2).decode("utf-8", "replace").strip()
    return found


def _kind_of(fields: dict[str, str]) -> _Kind:
    content_type = _value(fields.get("content-type", ""))
    disposition = _value(fields.get("content-disposition", ""))
    if content_type.startswith("multipart/"):
        _check_encoding(fields)
        return _Kind.CONTAINER
    if disposition == _EARLY:
        if _is_required(fields):
            raise unsupported("an early session (RFC 3959) is not supported")
        return _Kind.UNWANTED
    if content_type == SDP and disposition in ("", "session"):
        _check_encoding(fields)
        return _Kind.SESSION
    return _Kind.OTHER


def _check_encoding(fields: dict[str, str]) -> None:
    encoding = fields.get("content-encoding", "").lower()
    transfer = fields.get("content-transfer-encoding", "").lower()
    if encoding not in _NOT_ENCODED or transfer not in _UNCHANGED_ENCODINGS:
        raise unsupported("a session description that is encoded", "Accept-Encoding: identity")


def unsupported(detail: str, *lines: str) -> SipReject:
    """Return the refusal of a body (415)."""
    return SipReject(detail, status=415, reason_phrase="Unsupported Media Type", lines=lines)


def _is_required(fields: dict[str, str]) -> bool:
    return parameters(fields.get("content-disposition", "")).get("handling", "").lower() == "required"


def _value(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _session_of(root: _Part) -> _Part | None:
    return next((leaf for leaf in root.leaves() if leaf.kind is _Kind.SESSION), None)


def _text(content: bytes, begin: int, end: int) -> str:
    """Return a piece of the body by which it can be found again."""
    piece = content[begin:end]
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("a body part that is changed here is no text") from None
    if "\0" in text or content.find(piece) != begin:
        raise RemoteProtocolError("a body part that is changed here cannot be told from another")
    return text


# ---------------------------------------------------------------- writing


def exchanged(body: Body, sdp: str, *, parts: bool) -> Change:
    """Return how a body changes whose session description becomes ``sdp``; "": it has none any more.

    ``parts``: whether who gets it takes bodies of several parts.
    """
    alone = Change((SDP, sdp) if sdp else ("", ""))
    if not parts:
        return alone
    try:
        root = _root_of(body)
    except (RemoteProtocolError, SipReject):
        return alone
    if root.kind is _Kind.OTHER:
        return (_joined(body, sdp) or alone) if sdp else Change()
    if root.kind is not _Kind.CONTAINER or not root.has(_Kind.OTHER, *([_Kind.SESSION] if sdp else [])):
        return alone
    session = _session_of(root)
    if sdp and session is None:
        return _with_first(body.content, root, sdp) or alone
    try:
        exchanges = [
            (_text(body.content, part.begin, part.end), "") for part in _removed(root, keep=bool(sdp))
        ]
        if sdp and session is not None:
            end = session.content_end
            exchanges.append((_text(body.content, session.begin, end), _head(body.content, session) + sdp))
    except RemoteProtocolError:  # what cannot be changed by itself does not go on beside what we say
        return alone
    return Change(exchanges=tuple(exchanges))


def written_out(body: Body, change: Change) -> Change:
    """Return a change of the whole body instead of one of its parts, where it is text."""
    if change.whole is not None or not change.exchanges:
        return change
    content = body.content
    for old, new in change.exchanges:
        content = content.replace(old.encode(), new.encode(), 1)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return change
    return change if "\0" in text else Change((body.content_type, text))


def _removed(container: _Part, *, keep: bool) -> Iterator[_Part]:
    """Return the largest parts that hold nothing that stays."""
    staying = (_Kind.OTHER, _Kind.SESSION) if keep else (_Kind.OTHER,)
    for part in container.parts:
        if not part.has(*staying):
            yield part
        else:
            yield from _removed(part, keep=keep)


def _head(content: bytes, part: _Part) -> str:
    """Return delimiter and header fields of a part, without the length of what it held."""
    head = content[part.begin : part.content].decode()
    return re.sub(r"\r\ncontent-length[ \t]*:[^\r\n]*", "", head, flags=re.IGNORECASE)


def _with_first(content: bytes, root: _Part, sdp: str) -> Change | None:
    """Put a session description before the parts that stay."""
    first = next(part for part in root.parts if part.has(_Kind.OTHER))
    try:
        old = _text(content, first.begin, first.content)
    except RemoteProtocolError:
        return None
    delimiter = old.partition("\r\n")[0]
    new = f"{delimiter}\r\nContent-Type: {SDP}\r\n\r\n{sdp}\r\n{old}"
    removed = [(_text(content, part.begin, part.end), "") for part in _removed(root, keep=False)]
    return Change(exchanges=(*removed, (old, new)))


def _joined(body: Body, sdp: str) -> Change | None:
    """Make a body of two parts of one that is no session description."""
    try:
        content = _text(body.content, 0, len(body.content))
    except RemoteProtocolError:
        return None
    boundary = f"part-{zlib.crc32(body.content):08x}"
    if boundary in content or body.encoding:
        return None
    disposition = f"Content-Disposition: {body.disposition}\r\n" if body.disposition else ""
    text = (
        f"--{boundary}\r\nContent-Type: {SDP}\r\n\r\n{sdp}\r\n"
        f"--{boundary}\r\nContent-Type: {body.content_type}\r\n{disposition}\r\n{content}\r\n--{boundary}--\r\n"
    )
    return Change((f"{MIXED};boundary={boundary}", text))
