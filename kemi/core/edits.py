"""How a message changes on its way through: said by the decisions, done by kemi/adapters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageEdits:
    """How a message changes on its way through."""

    request_uri: str | None = None
    next_hop: str | None = None
    """URI the message is sent to; None: an entry point of the home network."""
    from_value: str | None = None
    """A new From, whole."""
    to_value: str | None = None
    """A new To, whole."""
    from_tag: str | None = None
    to_tag: str | None = None
    """A new tag, or "" to take the tag away."""
    cseq: int | None = None
    remove: tuple[str, ...] = ()
    insert: tuple[str, ...] = ()
    """Header lines without CRLF; Route lines come first in the message."""
    vias: tuple[str, ...] = ()
    """Of a response: Via values to follow the topmost one."""
    body: str | None = None
    """A new session description in the place of the message's own, or "" to take that away.  Other parts of the body
    pass, where who gets it takes any (kemi/core/bodies.py)."""
