"""Coordination of video orientation (CVO): a camera leaves its pictures as they are and says in a header extension of
RTP how they are to be turned (TS 26.114 §7.4.5, RFC 8285).

The relay passes header extensions byte for byte, so both sides must know this one by the same number: that of whoever
offered first, which an answer keeps (RFC 8285 §6).  A side that has not heard of it turns its pictures itself; so no
side hears of it before the other one has said that it knows it.
"""

from __future__ import annotations

from typing import Final

from kemi.core.sdp.build import media_description
from kemi.core.sdp.model import MediaDescription
from kemi.core.sdp.text import sdp_from_text

_EXTENSION: Final = "urn:3gpp:video-orientation"
"""Quarter turns, which browsers know; the finer kind (":6") they do not."""
_NUMBERS: Final = frozenset(map(str, range(1, 15)))
"""Of one-byte headers; what is offered for one direction only (``/sendonly``) is left alone."""
_LINE: Final = "a=extmap:"


def orientation_lines(media: MediaDescription) -> list[str]:
    """Return the line that offers the extension, or none: of this m-line, else of its session."""
    for section in (media, media.session):
        for value in section.attributes("extmap"):
            if _EXTENSION not in value:
                continue
            words = value.split()
            if words[1:2] == [_EXTENSION] and words[0] in _NUMBERS:
                return [f"{_LINE}{words[0]} {_EXTENSION}"]
    return []


def with_orientation_of(other: MediaDescription, media: MediaDescription) -> MediaDescription:
    """Write a line with the extension where the other line has it and without where not; the same line if it is so."""
    return _written(media, orientation_lines(other))


def answering(offered: MediaDescription, media: MediaDescription) -> MediaDescription:
    """Leave the extension out of an answer where it was not offered so."""
    lines = orientation_lines(media)
    return media if lines == orientation_lines(offered) else _written(media, [])


def without_orientation(one_line_sdp: str) -> str:
    """Leave the extension out of a text of ours."""
    return "\r\n".join(line for line in one_line_sdp.split("\r\n") if not line.startswith(_LINE))


def agreed_line(far: str, own: str) -> str:
    """Return the far end's line as the client may hear of it: with the extension where the client's own has it, too.

    Args:
        far: "" where there is none.
        own: the client's line; "" where there is none.
    """
    if _LINE not in far:
        return far
    lines = [orientation_lines(sdp_from_text(text).media[0]) if text else [] for text in (far, own)]
    return far if lines[0] == lines[1] else without_orientation(far)


def _written(media: MediaDescription, wanted: list[str]) -> MediaDescription:
    if wanted == orientation_lines(media):
        return media
    body = [line for line in media.body if not line.startswith(_LINE)]
    written = media_description(media.kind, media.port, media.proto, media.formats, [*body, *wanted])
    return MediaDescription(
        written.lines, written.kind, written.port, written.proto, written.formats, media.session
    )
