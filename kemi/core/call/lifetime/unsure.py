"""An answer of which nobody knows whether the page has heard it: the gateway was restarted before the ACK.

The page is asked whether it knows the call, by a request that changes nothing.  One that does not (RFC 3261 §12.2.1.2)
has given up when it lost its connection, and the far end talks to nobody.
"""

from __future__ import annotations

import logging
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.lifetime.ending import PAGE_KNOWS_NONE, hang_up_by_gateway
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings

_NO_SUCH_CALL: Final = 481


def ask_page(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Ask; one that has something open with us knows the call."""
    if record.updating or record.exchange is not None:
        record.answer_unsure = False
        return []
    method = "UPDATE" if record.wic_takes_update else "INFO"
    return [own_request_to_wic(record, settings, method, record.next_gateway_cseq(), report=True)]


def on_answered(record: CallRecord, status: int, settings: CallSettings) -> list[act.Action]:
    """Take the page's answer."""
    if not record.answer_unsure or record.ended:
        return []
    record.answer_unsure = False
    if status != _NO_SUCH_CALL:
        return []
    note = act.Note("page_never_heard_answer", logging.WARNING)
    return [note, *hang_up_by_gateway(record, settings, 481, PAGE_KNOWS_NONE, reach_page=False)]
