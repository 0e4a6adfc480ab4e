"""What requests inside the dialog have in common, whichever side they come from."""

from __future__ import annotations

from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.record import CallRecord
from kemi.core.messages import Request
from kemi.core.registration import Flow

PASSED_ON: Final = frozenset({"INFO", "MESSAGE", "OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE"})
"""Methods that go on to the other side and change nothing here."""

NO_DIALOG: Final = act.SendReply(481, "Call/Transaction Does Not Exist")


def unknown(request: Request) -> list[act.Action]:
    """Answer a request that is of none of our dialogs (RFC 3261 §12.2.2)."""
    return [] if request.method == "ACK" else [NO_DIALOG]


def follow(record: CallRecord, successor: Flow | None) -> None:
    """The page is back on a new connection and has said nothing in this call yet."""
    if successor is not None:
        record.connection_id, record.source = successor.connection_id, successor.source
