"""The gateway ends a call: the page's registration is over (TS 24.229 §5.2.8.1), its media are lost, or the site does
not want the call."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call.events import CallForbidden, MediaLost, RegistrationEnded
from kemi.core.call.from_page.setup import cancel_forwarded, reject
from kemi.core.call.in_dialog.common import follow
from kemi.core.call.lifetime.ending import hang_up_by_gateway
from kemi.core.call.record import CallRecord, Rejection
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.call.towards_page import preconditions
from kemi.core.call.towards_page.page_answer import refuse_for_page


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a call is ended, as the log, a refused page and both sides' BYE say it."""

    note: act.Note
    reason_phrase: str
    detail: str
    cause: int
    flow_alive: bool
    refusal: tuple[int, str] | None = None
    """What a set-up is refused with on either side, where it is not the page that may not call or be called."""


def on_registration_ended(
    record: CallRecord, event: RegistrationEnded, settings: CallSettings
) -> list[act.Action]:
    """End a call of a page that may not call any more."""
    return _end(record, _registration_ended(record, event), settings)


def on_called_registration_ended(
    record: CallRecord, event: RegistrationEnded, settings: CallSettings
) -> list[act.Action]:
    """End a call towards a page that is not registered any more."""
    return _end_called(record, _registration_ended(record, event), settings)


def on_forbidden(record: CallRecord, event: CallForbidden, settings: CallSettings) -> list[act.Action]:
    """End a page's call that the site does not want."""
    follow(record, event.successor)
    return _end(record, _forbidden(record, event), settings)


def on_media_lost(record: CallRecord, event: MediaLost, settings: CallSettings) -> list[act.Action]:
    """End a running call that has no media any more (TS 24.229 §5.2.8)."""
    follow(record, event.successor)
    if record.dialog is not Dialog.CONFIRMED:
        return []
    note = act.Note("media_lost", logging.WARNING, {"why": event.why, "node": record.node})
    ending = Ending(note, "Media Lost", event.why, 503, event.flow_alive)
    return [note, *_hang_up(record, ending, settings)]


def on_called_forbidden(record: CallRecord, event: CallForbidden, settings: CallSettings) -> list[act.Action]:
    """End a call towards a page that the site does not want."""
    follow(record, event.successor)
    return _end_called(record, _forbidden(record, event), settings)


def _registration_ended(record: CallRecord, event: RegistrationEnded) -> Ending:
    note = act.Note("registration_ended", logging.INFO, {"why": event.why, "state": record.dialog.value})
    return Ending(note, "Not Registered", f"registration {event.why}", 480, event.flow_alive)


def _forbidden(record: CallRecord, event: CallForbidden) -> Ending:
    note = act.Note("call_forbidden", logging.WARNING, {"why": event.why, "state": record.dialog.value})
    return Ending(note, "Forbidden", event.why, 403, event.flow_alive)


def refuse_early(
    record: CallRecord, settings: CallSettings, note: act.Note, why: str, *, flow_alive: bool
) -> list[act.Action]:
    """Refuse a call that is not answered yet and has no media any more, on both sides."""
    ending = Ending(note, "Media Lost", why, 503, flow_alive, refusal=(503, "Media Lost"))
    end = _end if record.incoming is None else _end_called
    return end(record, ending, settings)


def _end(record: CallRecord, ending: Ending, settings: CallSettings) -> list[act.Action]:
    """An answered call gets a BYE on both sides, a set-up is refused and cancelled."""
    if record.ended or record.abandoned:
        return []
    if record.dialog is Dialog.CONFIRMED:
        return [ending.note, *_hang_up(record, ending, settings)]
    if record.cancelled:
        return []
    record.cancelled = True
    status, reason_phrase = ending.refusal or (403, ending.reason_phrase)
    if record.forwarded:
        record.rejection = Rejection(status, reason_phrase, ending.detail)
        if ending.flow_alive:
            record.doomed = ending.detail  # should an answer cross the CANCEL
        else:
            record.abandoned = True
        return [ending.note, cancel_forwarded(record)]
    record.abandoned = True
    return [
        ending.note,
        act.Unschedule(record.key),
        *reject(record, Rejection(status, reason_phrase, ending.detail)),
    ]


def _end_called(record: CallRecord, ending: Ending, settings: CallSettings) -> list[act.Action]:
    """The same for a call towards the page: one that rings is cancelled at the page, whose 487 the core gets."""
    if record.ended or record.abandoned or record.cancelled:
        return []
    if record.dialog is Dialog.CONFIRMED:
        return [ending.note, *_hang_up(record, ending, settings)]
    status, reason_phrase = ending.refusal or (480, "Temporarily Unavailable")
    if preconditions.pending(record):
        refused = preconditions.refuse(record, status, reason_phrase, ending.detail)
        return [ending.note, *refused]
    record.cancelled = True  # an answer that crosses the CANCEL is not taken
    if not ending.flow_alive:
        refused = refuse_for_page(record, settings, status, reason_phrase, ending.detail)
        return [ending.note, *refused]
    if ending.refusal is not None:
        record.rejection = Rejection(status, reason_phrase, ending.detail)
    return [
        ending.note,
        act.CancelForwardedInvite(
            record.call_id, record.invite_cseq, record.request_uri, headers.cancel_of_core(record)
        ),
    ]


def _hang_up(record: CallRecord, ending: Ending, settings: CallSettings) -> list[act.Action]:
    goodbyes = hang_up_by_gateway(record, settings, ending.cause, ending.detail, reach_page=ending.flow_alive)
    return [act.Unschedule(record.key), *goodbyes]
