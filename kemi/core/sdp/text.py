"""Session descriptions from and to text (RFC 8866 §5, §9).

Knows the line grammar and the limits against hostile bodies, nothing of what the lines mean.  Lossless: what
was read is what is written, with CRLF or bare LF.  Three things are tidied: a body that mixes both line ends
gets CRLF throughout, blanks at the end of attributes go, and so does what is empty around the lines.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import Final

from kemi.core.decimals import is_number
from kemi.core.errors import SdpSyntaxError
from kemi.core.sdp.index import shown
from kemi.core.sdp.model import MediaDescription, SessionDescription, SessionSection

MAX_SIZE: Final = 64 * 1024
"""Characters; Chromium's largest audio and video offers stay below 10,000."""
MAX_LINES: Final = 2000
MAX_MEDIA: Final = 32
MAX_FORMATS: Final = 128
"""Of one m-line: payload types are 0 to 127 (RFC 8866 §5.14), and other protocols have one or two formats."""

_ORIGIN: Final = re.compile(r"o=.*\S\s+\S+\s+\S+\s+IN\s+IP[46](\s+\S+)?\s*", re.ASCII | re.IGNORECASE)
"""Nothing is read in it: a user name may have blanks, an id may be hexadecimal or negative, the address may lack."""
_MAX_PORT: Final = 65535
_SECOND: Final = operator.itemgetter(1)
_EQUALS: Final = {"="}


def sdp_from_own_text(text: str) -> SessionDescription:
    """Read a description that the gateway has made: the limits are for those of others."""
    return sdp_from_text(text, limited=False)


def sdp_from_text(text: str, *, limited: bool = True) -> SessionDescription:
    """Read a description; raise SdpSyntaxError with the line and what is wrong with it."""
    if limited and len(text) > MAX_SIZE:
        raise SdpSyntaxError(f"{len(text)} characters, at most {MAX_SIZE} are taken")
    text = text.lstrip("\r\n").rstrip(" \t\0")
    if "\0" in text:
        raise SdpSyntaxError("a NUL character", text.count("\n", 0, text.index("\0")) + 1)
    newline = "\r\n" if "\r" in text else "\n"
    if f" {newline}" in text or text.endswith(" "):
        text = newline.join(map(_without_blanks, text.split(newline)))
    first, *others = text.split(f"{newline}m=")
    sections = [first.split(newline), *(f"m={other}".split(newline) for other in others)]
    rest = "".join(map("".join, sections))
    if "\r" in rest or "\n" in rest:
        return sdp_from_text(_tidied(text), limited=limited)
    ends_with_newline = _without_empty_end(sections[-1])
    if limited and (count := sum(map(len, sections))) > MAX_LINES:
        raise SdpSyntaxError(f"{count} lines, at most {MAX_LINES} are taken")
    session = _session(sections[0])
    number = 1 + len(sections[0])
    media: list[MediaDescription] = []
    for lines in sections[1:]:
        if limited and len(media) == MAX_MEDIA:
            raise SdpSyntaxError(f"{len(others)} m-lines, at most {MAX_MEDIA} are taken", number)
        media.append(_media(tuple(lines), session, number))
        number += len(lines)
    return SessionDescription(session, tuple(media), newline, ends_with_newline)


def sdp_to_text(description: SessionDescription) -> str:
    """Write a description."""
    newline = description.newline
    lines = list(description.session.lines)
    for media in description.media:
        lines += media.lines
    text = newline.join(lines)
    return text + newline if description.ends_with_newline else text


def _tidied(text: str) -> str:
    """Return a text that mixes both line ends with CRLF throughout."""
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        raise SdpSyntaxError("a carriage return inside", text.count("\n", 0, text.index("\r")) + 1)
    return text.replace("\n", "\r\n")


def _without_blanks(line: str) -> str:
    """Return an attribute's line without the blanks that it ends with."""
    return line.rstrip(" ") if line.startswith("a=") else line


def _without_empty_end(lines: list[str]) -> bool:
    """Take the empty lines away that a text ends with; return whether there were any."""
    if lines[-1]:
        return False
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise SdpSyntaxError("the body is empty")
    return True


def _check_types(lines: Sequence[str], start: int) -> None:
    """Raise SdpSyntaxError where a line has no type; ``start`` is the number of the first."""
    try:
        if set(map(_SECOND, lines)) == _EQUALS:
            return
    except IndexError:
        pass
    number, line = next((number, line) for number, line in enumerate(lines, start) if line[1:2] != "=")
    raise SdpSyntaxError(f"{shown(line)} is not <type>=<value>", number)


def _session(lines: Sequence[str]) -> SessionSection:
    _check_types(lines, 1)
    if lines[0].rstrip(" ") != "v=0":
        raise SdpSyntaxError(f"{shown(lines[0])} where v=0 must be", 1)
    if len(lines) < 2 or not lines[1].startswith("o="):
        raise SdpSyntaxError("no o= line after v=0", 2)
    if not _ORIGIN.fullmatch(lines[1]):
        raise SdpSyntaxError(f"{shown(lines[1])} is not o=<user> <id> <version> IN IP4|IP6 <address>", 2)
    return SessionSection(tuple(lines))


def _media(lines: tuple[str, ...], session: SessionSection, line_number: int) -> MediaDescription:
    _check_types(lines, line_number)
    words = lines[0][2:].split()
    if len(words) < 4:
        raise SdpSyntaxError(f"{shown(lines[0])} is not m=<media> <port> <proto> <format> ...", line_number)
    port = words[1].partition("/")[0]
    if not is_number(port) or int(port) > _MAX_PORT:
        raise SdpSyntaxError(f"{shown(lines[0])} has no port between 0 and {_MAX_PORT}", line_number)
    if len(words) > 3 + MAX_FORMATS:
        raise SdpSyntaxError(f"{len(words) - 3} formats, at most {MAX_FORMATS} are taken", line_number)
    return MediaDescription(lines, words[0].lower(), int(port), words[2], tuple(words[3:]), session)
