"""Whether something that is done every now and then is done already again, by a clock that may be set back.

Times are seconds since the epoch, for they are compared with what others have written; a clock that is corrected must
not make anybody wait for as long as it was corrected by.
"""

from __future__ import annotations


def is_early(now: float, due_at: float, most_s: float) -> bool:
    """Whether ``now`` is before ``due_at``; who would have to wait for longer than ``most_s`` has been told so by
    another clock, and does not wait."""
    return due_at - most_s <= now < due_at
