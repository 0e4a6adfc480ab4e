"""Where a line that the gateway adds to a session with a client stands, and what it is called.

A line that was switched off is used anew by the next one of its kind, under another mid, as browsers do it themselves
(RFC 3264 §8.2, RFC 8829 §5.2.2): else a description would grow for as long as video comes and goes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from kemi.core.sdp.model import MediaDescription
from kemi.core.sdp.text import MAX_MEDIA

_LINES_OF_ONE: Final = 2
"""An added medium has a line for each direction at most."""


def places_for(
    told: Sequence[MediaDescription], kind: str, count: int, end: int, after: int = -1
) -> list[int]:
    """Return the places of further lines of a kind, rising.

    Args:
        told: the lines as both sides know them: one that is switched off only now cannot be used at once.
        end: how many lines the new offer has so far.
        after: the line that they all have to follow.
    """
    free = [place for place in range(after + 1, len(told)) if _is_free(told[place], kind)][:count]
    return [*free, *range(end, end + count - len(free))]


def has_room(told: Sequence[MediaDescription], kinds: Collection[str]) -> bool:
    """Whether lines for these further kinds leave a description that is read in an answer (text.MAX_MEDIA)."""
    free = (sum(_is_free(line, kind) for line in told) for kind in kinds)
    return len(told) + sum(max(0, _LINES_OF_ONE - count) for count in free) <= MAX_MEDIA


def new_mids(prefix: str, lines: Sequence[MediaDescription], count: int) -> list[str]:
    """Return names that no line has, nor the one that had its place just before."""
    named = re.compile(rf"{prefix}(\d{{1,9}})", re.ASCII)
    found = (named.fullmatch(line.mid or "") for line in lines)
    first = 1 + max((int(match[1]) for match in found if match), default=-1)
    return [f"{prefix}{number}" for number in range(first, first + count)]


def _is_free(line: MediaDescription, kind: str) -> bool:
    return line.rejected and line.kind == kind
