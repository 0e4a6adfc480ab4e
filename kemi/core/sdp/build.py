"""Descriptions of our own, line by line.

Knows in which order RFC 8866 §5 wants lines; what stands in them is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kemi.core.sdp.model import Codec, MediaDescription, Origin, SessionDescription, SessionSection

_NO_SESSION: Final = SessionSection(())


def media_description(
    kind: str, port: int, proto: str, formats: Sequence[str], body: Iterable[str]
) -> MediaDescription:
    """Write an m-line with the lines below it; session_description gives it its session."""
    m_line = f"m={kind} {port} {proto} {' '.join(formats)}"
    return MediaDescription((m_line, *body), kind, port, proto, tuple(formats), _NO_SESSION)


def session_description(session: SessionSection, media: Iterable[MediaDescription]) -> SessionDescription:
    """Put m-lines made elsewhere under session lines, with CRLF line ends."""
    bound = (MediaDescription(m.lines, m.kind, m.port, m.proto, m.formats, session) for m in media)
    return SessionDescription(session, tuple(bound))


def session_section(origin: Origin, *attributes: str, connection: str | None = None) -> SessionSection:
    """Write the session lines of a description of our own (RFC 8866 §5)."""
    origin_line = f"o=- {origin.session_id} {origin.version} {address_to_text(origin.address)}"
    connection_lines = () if connection is None else (f"c={connection}",)
    return SessionSection(("v=0", origin_line, "s=-", *connection_lines, "t=0 0", *attributes))


def address_to_text(address: str) -> str:
    """Write an address as in o= and c=."""
    return f"IN IP{6 if ':' in address else 4} {address}"


def codec_to_lines(codec: Codec, *, feedback: bool = True) -> list[str]:
    """Write the attribute lines of one payload type."""
    payload_type = codec.payload_type
    lines = [f"a=rtpmap:{payload_type} {codec.encoding}"]
    if feedback:
        lines += [f"a=rtcp-fb:{payload_type} {value}" for value in codec.feedback]
    if codec.fmtp:
        lines.append(f"a=fmtp:{payload_type} {codec.fmtp}")
    return lines
