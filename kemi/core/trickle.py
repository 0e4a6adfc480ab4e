"""Trickle ICE by SIP (RFC 8840) ends at the gateway, because ICE does: a page's only peer is the relay, which takes its
address from its checks.  So nobody is told that the other end knows it, and a page's candidates go nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kemi.core.edits import MessageEdits
from kemi.core.messages import HeaderReader, Request

PACKAGE: Final = "trickle-ice"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
_TAGS: Final = frozenset({PACKAGE, "ice"})
"""RFC 8840 §10.2, RFC 5768 §4."""
_SAID: Final = re.compile(r"ice(?:(?<=[\s,]ice)|(?<=[\s,]trickle-ice))\b")
"""In lower case, behind a comma.  Nearly nobody says so, and a look is all that it costs then: it begins with letters,
because what begins with a choice is tried at each character."""
_SAID_ANYWHERE: Final = re.compile(r"ice(?:(?<=[\s,:]ice)|(?<=trickle-ice))\b")
"""The same where a field's name may stand before it."""
_ENDING: Final = (("Supported", _TAGS), ("Require", _TAGS), ("Recv-Info", frozenset({PACKAGE})))


def has_candidates(request: Request) -> bool:
    """Whether an INFO tells of candidates."""
    if request.method != "INFO":
        return False
    packages = {name.partition(";")[0].strip() for name in request.tokens("Info-Package")}
    return PACKAGE in packages or request.content_type.partition(";")[0].strip().lower() == FRAGMENT


def without_ice(edits: MessageEdits, read: HeaderReader, head: str) -> MessageEdits:
    """Return edits that also take from a message what it says of ICE.

    ``read`` gives its header fields as they came, ``head`` is all of them: where nothing in it looks like that, none is
    read.
    """
    is_added = _says(edits.insert)
    if not is_added and not _SAID_ANYWHERE.search(head.lower()):
        return edits
    for name, ending in _ENDING:
        own = () if name in edits.remove else read(name)
        if is_added or (own and _says(own)):
            edits = _without(edits, name, ending, own)
    return edits


def _says(texts: Sequence[str]) -> bool:
    return _SAID.search(",".join(("", *texts)).lower()) is not None


def _without(edits: MessageEdits, name: str, ending: frozenset[str], own: Sequence[str]) -> MessageEdits:
    start = f"{name}: "
    added = [line.removeprefix(start) for line in edits.insert if line.startswith(start)]
    words = [word.strip() for value in (*own, *added) for word in value.split(",")]
    left = [word for word in words if word.partition(";")[0].strip().lower() not in ending]
    if left == words:
        return edits
    others = tuple(line for line in edits.insert if not line.startswith(start))
    lines = (f"{start}{', '.join(left)}",) if left else ()
    return replace(edits, remove=(*edits.remove, name), insert=(*others, *lines))
