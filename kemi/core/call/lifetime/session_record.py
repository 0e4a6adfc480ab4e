"""What is remembered of a session timer, and of our refreshes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SessionTimer:
    """A session with one side that ends unless it is refreshed (RFC 4028)."""

    interval_s: int
    we_refresh: bool


@dataclass(slots=True)
class OwnRefresh:
    """Our refresh of the session with the core, or of our target where none expires."""

    cseq: int = 0
    """Of the one that is out; 0: none is."""
    failures: int = 0
    """How often it was refused since the last one that was not."""
    by_invite: bool = False
    """Whether that is a re-INVITE."""
