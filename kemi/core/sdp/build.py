"""Descriptions of our own, line by line.

Knows in which order RFC 8866 §5 wants lines; what stands in them is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from kemi.core.sdp.model import Codec, MediaDescription, Origin, SessionDescription, SessionSection

_NO_SESSION: Final = SessionSection(())


def media_description(
    kind: str, port: int, proto: str, formats: Sequence[str], body: Iterable[str]
) -> MediaDescription:
    """Write an m-line with the lines below it; session_description gives it its session."""
    m_line = f"m={kind} {port} {proto} {' '.join(formats)}"
    return MediaDescription((m_line, *body), kind, port, proto, tuple(formats), _NO_SESSION)


def off_line(media: MediaDescription) -> MediaDescription:
    """Write a line of the core's side that is not used: port 0 (RFC 3264 §6, §8.2)."""
    return media_description(media.kind, 0, media.proto, media.formats, ())


def session_description(session: SessionSection, media: Iterable[MediaDescription]) -> SessionDescription:
    """Put m-lines made elsewhere under session lines, with CRLF line ends.

    Where the session has no c=, each line has one, also a line that is not used (RFC 8866 §5.7): that of another line.
    """
    lines = tuple(media)
    told = [_connection(line.lines) for line in lines]
    if None in told and _connection(session.lines) is None:
        spare = [one for one in told if one is not None][:1]
        lines = tuple(
            replace(line, lines=(line.lines[0], *spare, *line.body)) if own is None else line
            for line, own in zip(lines, told, strict=True)
        )
    bound = (MediaDescription(m.lines, m.kind, m.port, m.proto, m.formats, session) for m in lines)
    return SessionDescription(session, tuple(bound))


def _connection(lines: Sequence[str]) -> str | None:
    """Return the c= line of a section of ours, which comes before what it has many of."""
    return next((line for line in lines[1:5] if line.startswith("c=")), None)


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
