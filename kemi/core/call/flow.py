"""Which step handles which event: the one table between what happens and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from kemi.core.call import (
    answer,
    core_requests,
    dialog,
    events,
    incoming,
    own_requests,
    page_answer,
    page_requests,
    preconditions,
    release,
    session_timer,
    setup,
)
from kemi.core.call.actions import Action, Schedule
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.errors import LocalProtocolError

Step = Callable[[CallRecord, Any, CallSettings], list[Action]]

STEPS: Final[Mapping[type[events.Event], Step]] = MappingProxyType(
    {
        events.TransactionCreated: setup.on_transaction_created,
        events.MediaReserved: setup.on_media_reserved,
        events.UpdateAnswered: dialog.on_update_answered,
        events.ReverseAccepted: setup.on_reverse_accepted,
        events.OwnRequestAnswered: own_requests.on_own_request_answered,
        events.InviteResumed: setup.on_invite_resumed,
        events.InviteGuardExpired: setup.on_guard_expired,
        events.MediaConnected: answer.on_media_connected,
        events.MediaFailed: answer.on_media_failed,
        events.MediaGated: answer.on_media_gated,
        events.ImsFailed: answer.on_ims_failed,
        events.WicRequest: page_requests.on_wic_request,
        events.ImsRequest: core_requests.on_ims_request,
        events.ImsReply: dialog.on_ims_reply,
        events.WicReply: dialog.on_wic_reply,
        events.CancelReceived: dialog.on_cancel,
        events.FlowClosed: dialog.on_flow_closed,
        events.RegistrationEnded: release.on_registration_ended,
        events.CallForbidden: release.on_forbidden,
        events.MediaLost: release.on_media_lost,
        events.TimerFired: dialog.on_timer,
    }
)


INCOMING_STEPS: Final[Mapping[type[events.Event], Step]] = MappingProxyType(
    {
        events.TransactionCreated: setup.on_transaction_created,
        events.IncomingReserved: incoming.on_reserved,
        events.AnsweredAhead: preconditions.on_answered_ahead,
        events.InviteResumed: preconditions.on_invite_resumed,
        events.InviteGuardExpired: preconditions.on_guard_expired,
        events.CancelReceived: preconditions.on_cancel,
        events.IncomingConnected: page_answer.on_connected,
        events.ImsReoffered: page_answer.on_late_answer_taken,
        events.MediaFailed: page_answer.on_media_failed,
        events.OwnRequestAnswered: own_requests.on_own_request_answered,
        events.WicFailed: page_answer.on_wic_failed,
        events.WicRequest: page_requests.on_wic_request,
        events.ImsRequest: core_requests.on_ims_request,
        events.ImsReply: page_answer.on_reply,
        events.WicReply: page_answer.on_reply,
        events.FlowClosed: page_answer.on_flow_closed,
        events.RegistrationEnded: release.on_called_registration_ended,
        events.CallForbidden: release.on_called_forbidden,
        events.MediaLost: release.on_media_lost,
        events.TimerFired: page_answer.on_timer,
    }
)
"""The same for a call towards the page."""


def handle(record: CallRecord, event: events.Event, settings: CallSettings) -> list[Action]:
    """Change ``record`` by ``event`` and return what is to be done, in order."""
    try:
        step = (STEPS if record.incoming is None else INCOMING_STEPS)[type(event)]
    except KeyError:
        raise LocalProtocolError(f"no step for {type(event).__name__}") from None
    before = record.dialog
    actions = step(record, event, settings)
    if record.dialog is Dialog.CONFIRMED is not before:
        actions += session_timer.clocks(record)
        if settings.longest_call_s:
            actions.append(Schedule(record.key, events.Due.TOO_LONG, settings.longest_call_s))
    return actions
