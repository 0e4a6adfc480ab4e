"""What a page asks of a conference that it is in."""

from __future__ import annotations

from kemi.core.call.in_dialog import transfers
from kemi.core.call.record_key import record_key
from kemi.core.messages import Request
from kemi.state.calls import CallStore


def removes_participant(calls: CallStore, request: Request) -> bool:
    """Whether a page's request only has somebody leave the conference, whom nobody calls."""
    if request.method != "REFER" or not request.to_tag:
        return False
    record = calls.seen(record_key(request.call_id, request.to_tag))
    return record is not None and transfers.removes_participant(record, request)
