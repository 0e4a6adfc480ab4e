"""Which step handles which event: the one table between what happens and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from kemi.core.call import events, exchange
from kemi.core.call.actions import Action, ReleaseMedia, Schedule
from kemi.core.call.from_page import answer, challenged, credentials, setup, trunk_call
from kemi.core.call.in_dialog import core_requests, dialog, far_end, page_requests
from kemi.core.call.lifetime import own_requests, refresh, release, session_timer
from kemi.core.call.media import digits, media_control, relay_told
from kemi.core.call.media.session import with_terms
from kemi.core.call.node_loss import recovery
from kemi.core.call.record import CallRecord, Offerer
from kemi.core.call.renegotiation import (
    core_answer,
    core_late_offer,
    core_offer,
    core_told,
    ice_restart,
    own_offer,
)
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.call.towards_page import incoming, page_answer, preconditions
from kemi.core.errors import LocalProtocolError
from kemi.core.messages import Message

Step = Callable[[CallRecord, Any, CallSettings], list[Action]]

STEPS: Final[Mapping[type[events.Event], Step]] = MappingProxyType(
    {
        events.TransactionCreated: challenged.on_transaction_created,
        events.CredentialsSent: challenged.on_credentials,
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
        events.TrunkChosen: trunk_call.on_chosen,
        events.ForwardChallenged: credentials.on_forward_challenged,
        events.OwnRequestChallenged: credentials.on_own_challenged,
        events.WicRequest: page_requests.on_wic_request,
        events.ImsRequest: core_requests.on_ims_request,
        events.ImsReply: dialog.on_ims_reply,
        events.WicReply: dialog.on_wic_reply,
        events.CancelReceived: dialog.on_cancel,
        events.FlowClosed: dialog.on_flow_closed,
        events.RegistrationEnded: release.on_registration_ended,
        events.CallForbidden: release.on_forbidden,
        events.MediaLost: release.on_media_lost,
        events.NodeLost: recovery.on_node_lost,
        events.DigitReceived: digits.on_received,
        events.PageSentEvents: digits.on_page_sent,
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
        events.UpdateAnswered: dialog.on_update_answered,
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
        events.NodeLost: recovery.on_node_lost,
        events.DigitReceived: digits.on_received,
        events.PageSentEvents: digits.on_page_sent,
        events.TimerFired: page_answer.on_timer,
    }
)
"""The same for a call towards the page."""

EXCHANGE_STEPS: Final[Mapping[Offerer, Mapping[type[events.Event], Step]]] = MappingProxyType(
    {
        Offerer.IMS: {
            events.IncomingReserved: core_offer.on_reserved,
            events.IncomingConnected: core_offer.on_connected,
            events.ImsReoffered: core_offer.on_reoffered,
            events.MediaRenewed: core_late_offer.on_renewed,
            events.MediaFailed: core_offer.on_media_failed,
            events.ChangeFailed: core_offer.on_unanswered,
        },
        Offerer.WIC: {
            events.ChangeFailed: core_answer.on_unanswered,
        },
        Offerer.GATEWAY_TO_IMS: {
            events.OwnRequestAnswered: core_told.on_answered,
        },
        Offerer.GATEWAY_TO_WIC: {
            events.UpdateAnswered: own_offer.on_answered,
            events.OwnRequestAnswered: own_offer.on_answered,
        },
        Offerer.GATEWAY: {
            events.UpdateAnswered: recovery.on_own_request_answered,
            events.OwnRequestAnswered: recovery.on_own_request_answered,
        },
        Offerer.GATEWAY_RESTARTS_ICE: {
            events.UpdateAnswered: ice_restart.on_answered,
            events.OwnRequestAnswered: ice_restart.on_answered,
        },
    }
)
"""What comes first while an offer of the running session is open, by who made it."""

DUES: Final[Mapping[events.Due, Step]] = MappingProxyType(
    {
        events.Due.CREDENTIALS: challenged.on_due,
        events.Due.RECOVERY: recovery.on_due,
        events.Due.ICE_RESTART: ice_restart.on_due,
        events.Due.TELL_PAGE: own_offer.on_due,
        events.Due.TELL_RELAY: relay_told.on_due,
    }
)
"""What was scheduled for a call that waits for its page: who takes it, whoever called."""

LATE: Final = frozenset(
    {
        events.MediaRenewed,
        events.MediaMoved,
        events.MediaStays,
        events.IceRestarted,
        events.ImsReoffered,
        events.MediaGated,
        events.ChangeFailed,
        events.DigitsPlayed,
    }
)
"""Events that mean nothing once the exchange they belong to is over."""


_SAID: Final[Mapping[type[events.Event], Callable[[Any], Message | None]]] = MappingProxyType(
    {
        events.WicRequest: lambda event: event.request,
        events.ImsRequest: lambda event: event.request,
        events.WicReply: lambda event: event.reply,
        events.ImsReply: lambda event: event.reply,
    }
)
"""Events that are a message of one side."""


def handle(record: CallRecord, event: events.Event, settings: CallSettings) -> list[Action]:
    """Change ``record`` by ``event`` and return what is to be done, in order."""
    before = record.dialog
    settings = settings.of(record.profile)
    came_late = record.ended and isinstance(_bearer(event), events.Continuation)
    actions = _step(record, event)(record, event, settings)
    if came_late and not isinstance(event, events.MediaGated):
        actions = [*actions, *_left_at_relay(record, actions)]
    message = _SAID.get(type(event), _nothing_said)(event)
    if message is not None:
        digits.learn(record, message)
        media_control.learn(record, message)
    actions = [*actions, *digits.withhold(record), *media_control.ask(record)]
    if record.relay_behind and record.recovery is None:
        actions = [*actions, *relay_told.tell_relay(record)]
    if record.recovery is not None:
        actions = [*actions, *recovery.go_on(record, settings)]
    elif record.page_behind:
        actions = [*actions, *own_offer.tell_page(record, settings)]
    if record.far_end_untold and record.recovery is None:
        actions = [*actions, *far_end.tell(record, settings)]
    if record.core_behind and record.recovery is None:
        actions = [*actions, *core_told.tell_core(record, settings)]
    actions = [*actions, *session_timer.answered_by_page(record, event, settings)]
    if record.dialog is Dialog.CONFIRMED is not before:
        actions += session_timer.clocks(record)
        if longest_s := _longest_s(record, settings):
            actions.append(Schedule(record.key, events.Due.TOO_LONG, longest_s))
    return with_terms(record, trunk_call.dressed(record, actions, settings))


def _left_at_relay(record: CallRecord, actions: list[Action]) -> list[Action]:
    """The call ended while the relay was asked, which has perhaps made its own call anew."""
    if any(isinstance(action, ReleaseMedia) for action in actions):
        return []
    media = [*record.media, *(record.exchange.media if record.exchange is not None else ())]
    return [ReleaseMedia(record.key, record.node, tuple(sorted({medium.kind for medium in media})))]


def _longest_s(record: CallRecord, settings: CallSettings) -> float:
    """Return how long an answered call may take; 0: no limit."""
    if record.longest_s is None:
        return settings.longest_call_s
    return min(record.longest_s, settings.longest_call_s or record.longest_s)


def _bearer(event: events.Event) -> Any:
    return event.context if isinstance(event, events.MediaReserved) else getattr(event, "bearer", None)


def _step(record: CallRecord, event: events.Event) -> Step:
    kind = type(event)
    bearer = _bearer(event)
    if isinstance(bearer, events.Continuation):  # what asked the relay says itself how it goes on
        return bearer.failed if kind is events.MediaFailed else bearer.done
    if isinstance(event, events.TimerFired) and event.due in DUES:
        return DUES[event.due]
    if isinstance(event, events.OwnRequestAnswered) and refresh.is_refresh(record, event):
        return own_requests.on_own_request_answered
    if record.ended and kind in (events.ImsReoffered, events.MediaRenewed):
        return core_offer.too_late
    if record.exchange is not None:
        step = EXCHANGE_STEPS.get(record.exchange.offerer, {}).get(kind)
        if step is not None and _is_meant(record, event):
            return step
    step = (STEPS if record.incoming is None else INCOMING_STEPS).get(kind)
    if step is None and kind in LATE:
        step = _nothing
    if step is None:
        raise LocalProtocolError(f"no step for {kind.__name__}")
    return step


def _is_meant(record: CallRecord, event: events.Event) -> bool:
    """Whether an event is one of the exchange that is open, and not what is left of one before."""
    if isinstance(event, events.UpdateAnswered | events.OwnRequestAnswered):
        return exchange.is_answered_by(record, event)
    return True


def _nothing_said(_event: Any) -> None:
    return None


def _nothing(_record: CallRecord, _event: events.Event, _settings: CallSettings) -> list[Action]:
    return []
