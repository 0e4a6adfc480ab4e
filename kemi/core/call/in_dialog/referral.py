"""What is remembered of a REFER inside a call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Referral:
    """An accepted REFER whose CSeq, by which reports on it may name it, is not the same on both sides."""

    by_page: bool
    page: int
    core: int
