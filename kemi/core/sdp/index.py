"""The lines of a section by name, found in one pass over them.

Knows where a line's name ends, nothing of what the lines mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

CODEC_LINES: Final = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")
"""How lines begin that say something of a payload type."""
OF_CODECS: Final = frozenset(line.removesuffix(":") for line in CODEC_LINES)
"""The same, as ``index_of`` has names."""


class Index(NamedTuple):
    """The lines of one section; names as they begin a line, ``a=mid`` or ``c=``.  Not to be changed."""

    values: dict[str, list[str]]
    """What follows ``a=name:`` or ``c=``, in order."""
    flags: dict[str, None]
    """Attributes without a value, in order."""
    codec_lines: list[str]
    """Whole lines about payload types, in order: four fifths of what a browser says of its camera."""


def index_of(lines: Iterable[str]) -> Index:
    """Sort lines by what stands before the first colon; raise SdpSyntaxError for one without a type."""
    values: dict[str, list[str]] = {}
    flags: dict[str, None] = {}
    codec_lines: list[str] = []
    for line in lines:
        head, colon, value = line.partition(":")
        if head in OF_CODECS:
            codec_lines.append(line)
            continue
        if line[0] != "a":
            head, value = line[:2], line[2:]
        elif not colon:
            flags[line] = None
            continue
        if head in values:
            values[head].append(value)
        else:
            values[head] = [value]
    return Index(values, flags, codec_lines)


def shown(line: str) -> str:
    """Quote a line of a peer for a log line: short, printable, one line."""
    return ascii(line if len(line) <= 60 else line[:57] + "...")
