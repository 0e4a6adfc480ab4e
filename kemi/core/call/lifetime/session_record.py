"""What is remembered of a session timer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SessionTimer:
    """A session with one side that ends unless it is refreshed (RFC 4028)."""

    interval_s: int
    """0: nothing expires, and a target refresh of ours is not answered yet."""
    we_refresh: bool
    failures: int = 0
    """How often our refresh was refused since the last one that was not."""
    refresh_cseq: int = 0
    """CSeq of our refresh that is out."""
    by_invite: bool = False
    """Whether that is a re-INVITE."""
