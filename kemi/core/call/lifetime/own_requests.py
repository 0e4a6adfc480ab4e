"""Responses to requests of our own in a running session, other than an UPDATE to the page."""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call.events import OwnRequestAnswered
from kemi.core.call.lifetime import refresh, unsure
from kemi.core.call.own_request import own_request_to_ims
from kemi.core.call.record import CallRecord
from kemi.core.call.renegotiation.own_offer import acknowledge
from kemi.core.call.settings import CallSettings
from kemi.core.messages import Side


def on_own_request_answered(
    record: CallRecord, event: OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    """Sort a response.  One to an offer that is open goes to its own steps before (flow.py)."""
    if refresh.is_refresh(record, event):
        return refresh.on_refresh_answered(record, event, settings)
    if event.to is Side.WIC and event.method == "INVITE":
        return acknowledge(record, event, settings)  # once more, or the call, or the offer, is over meanwhile
    if event.method == "INVITE" and 200 <= event.status < 300:
        return [own_request_to_ims(record, record.confirmed_tag, "ACK", event.cseq)]
    if event.to is Side.WIC and event.method == "INFO":
        return unsure.on_answered(record, event.status, settings)
    return []
