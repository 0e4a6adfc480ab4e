"""When a running call has lost its media (TS 24.229 §5.2.8): the relay does not know it any more, or is silent.

Only a medium that both sides send and receive can be missed.  On hold there need be none, and an announcement may
pause; whether such a far end is still there its session timer tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog
from kemi.core.sdp.model import Direction

GONE: Final = "the media relay has lost the call"


def watched(record: CallRecord) -> tuple[str, ...]:
    """Return the kinds of media the relay is to be asked about, () for a call that need have none."""
    if record.dialog is not Dialog.CONFIRMED or not record.acknowledged or record.exchange is not None:
        return ()
    if record.recovery is not None:
        return ()
    return tuple(medium.kind for medium in record.media if medium.active)


def why_lost(record: CallRecord, silent_s: Mapping[str, float | None], timeout_s: float) -> str:
    """Return why a call has to end, "" if it has not.

    Args:
        record: the call.
        silent_s: for each watched kind, how long ago the last packet came from either side; None: the relay does not
            know this medium.
        timeout_s: how long all of them may be silent; 0: for ever.
    """
    known = [silence for silence in silent_s.values() if silence is not None]
    if silent_s and not known:
        return GONE
    both_ways = any(
        medium.wic_direction is medium.ims_direction is Direction.SENDRECV
        for medium in record.media
        if medium.kind in silent_s
    )
    if both_ways and timeout_s and min(known) >= timeout_s:
        return f"no media for {timeout_s:g} s"
    return ""
