"""Session descriptions from and to text (RFC 8866 §5, §9).

Knows the line grammar and the limits against hostile bodies, nothing of what the lines mean.  Lossless: what
was read is what is written, with CRLF or bare LF.  Two things are tidied: a body that mixes both line ends
gets CRLF throughout, and empty lines after the last line go.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Sequence
from typing import Final

from kemi.core.decimals import is_number
from kemi.core.errors import SdpSyntaxError
from kemi.core.sdp.model import MediaDescription, SessionDescription, SessionSection

MAX_SIZE: Final = 64 * 1024
"""Characters; Chromium's largest audio and video offers stay below 10,000."""
MAX_LINES: Final = 2000
MAX_MEDIA: Final = 32

_ORIGIN: Final = re.compile(r"o=\S+ +\d+ +\d+ +IN +IP[46] +\S+ *", re.ASCII)
_MAX_PORT: Final = 65535
_HEAD: Final = operator.itemgetter(slice(0, 2))


def sdp_from_text(text: str) -> SessionDescription:
    """Read a description; raise SdpSyntaxError with the line and what is wrong with it."""
    newline, body, ends_with_newline = _tidied(text)
    session_text, *media_texts = body.split(f"{newline}m=")
    sections = [session_text.split(newline), *(f"m={media}".split(newline) for media in media_texts)]
    starts = list(itertools.accumulate(map(len, sections), initial=1))
    if starts[-1] > MAX_LINES + 1:
        raise SdpSyntaxError(f"{starts[-1] - 1} lines, at most {MAX_LINES} are taken")
    for lines, start in zip(sections, starts, strict=False):
        _check_types(lines, start)
    if len(media_texts) > MAX_MEDIA:
        raise SdpSyntaxError(
            f"{len(media_texts)} m-lines, at most {MAX_MEDIA} are taken", starts[MAX_MEDIA + 1]
        )
    session = _session(sections[0])
    media = tuple(
        _media(tuple(lines), session, start) for lines, start in zip(sections[1:], starts[1:], strict=False)
    )
    return SessionDescription(session, media, newline, ends_with_newline)


def sdp_to_text(description: SessionDescription) -> str:
    """Write a description."""
    newline = description.newline
    lines = list(description.session.lines)
    for media in description.media:
        lines += media.lines
    text = newline.join(lines)
    return text + newline if description.ends_with_newline else text


def _tidied(text: str) -> tuple[str, str, bool]:
    """Return the line end, the text with that alone and none at its end, and whether it had one there."""
    if len(text) > MAX_SIZE:
        raise SdpSyntaxError(f"{len(text)} characters, at most {MAX_SIZE} are taken")
    if "\0" in text:
        raise SdpSyntaxError("a NUL character", text.count("\n", 0, text.index("\0")) + 1)
    newline = "\n"
    if "\r" in text:
        newline = "\r\n"
        rest = text.replace("\r\n", "")
        if "\r" in rest:
            text = text.replace("\r\n", "\n")
            raise SdpSyntaxError("a carriage return inside", text.count("\n", 0, text.index("\r")) + 1)
        if "\n" in rest:
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    body = text.rstrip("\r\n")
    if not body:
        raise SdpSyntaxError("the body is empty")
    return newline, body, len(body) < len(text)


def _check_types(lines: Sequence[str], start: int) -> None:
    """Raise SdpSyntaxError where a line has no type; ``start`` is the number of the first."""
    if all(head[1:] == "=" for head in set(map(_HEAD, lines))):
        return
    number, line = next((number, line) for number, line in enumerate(lines, start) if line[1:2] != "=")
    raise SdpSyntaxError(f"{_shown(line)} is not <type>=<value>", number)


def _session(lines: Sequence[str]) -> SessionSection:
    if lines[0].rstrip(" ") != "v=0":
        raise SdpSyntaxError(f"{_shown(lines[0])} where v=0 must be", 1)
    if len(lines) < 2 or not lines[1].startswith("o="):
        raise SdpSyntaxError("no o= line after v=0", 2)
    if not _ORIGIN.fullmatch(lines[1]):
        raise SdpSyntaxError(f"{_shown(lines[1])} is not o=<user> <id> <version> IN IP4|IP6 <address>", 2)
    return SessionSection(tuple(lines))


def _media(lines: tuple[str, ...], session: SessionSection, line_number: int) -> MediaDescription:
    words = lines[0][2:].split(" ")
    if "" in words:
        words = [word for word in words if word]
    if len(words) < 4:
        raise SdpSyntaxError(f"{_shown(lines[0])} is not m=<media> <port> <proto> <format> ...", line_number)
    port = words[1].partition("/")[0]
    if not is_number(port) or int(port) > _MAX_PORT:
        raise SdpSyntaxError(f"{_shown(lines[0])} has no port between 0 and {_MAX_PORT}", line_number)
    return MediaDescription(lines, words[0].lower(), int(port), words[2], tuple(words[3:]), session)


def _shown(line: str) -> str:
    """Quote a line of a peer for a log line: short, printable, one line."""
    return ascii(line if len(line) <= 60 else line[:57] + "...")
