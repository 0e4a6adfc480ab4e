"""The gateway ends a call because the page may not go on: its registration is over (TS 24.229 §5.2.8.1)."""

from __future__ import annotations

import logging

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call.dialog import hang_up_by_gateway
from kemi.core.call.events import RegistrationEnded
from kemi.core.call.page_answer import refuse_for_page
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.setup import cancel_forwarded, reject
from kemi.core.call.states import Dialog


def on_registration_ended(
    record: CallRecord, event: RegistrationEnded, settings: CallSettings
) -> list[act.Action]:
    """An answered call gets a BYE on both sides, a set-up is refused and cancelled."""
    if record.ended or record.abandoned:
        return []
    note = _note(record, event)
    if record.dialog is Dialog.CONFIRMED:
        return [note, *_hang_up(record, event, settings)]
    record.cancelled = record.abandoned = True
    if record.forwarded:
        return [note, cancel_forwarded(record)]
    return [
        note,
        act.Unschedule(record.key),
        *reject(record, 403, "Not Registered", _why(event)),
    ]


def on_called_registration_ended(
    record: CallRecord, event: RegistrationEnded, settings: CallSettings
) -> list[act.Action]:
    """The same for a call towards the page: one that rings is cancelled at the page, whose 487 the core gets."""
    if record.ended or record.abandoned or record.cancelled:
        return []
    note = _note(record, event)
    if record.dialog is Dialog.CONFIRMED:
        return [note, *_hang_up(record, event, settings)]
    record.cancelled = True  # an answer that crosses the CANCEL is not taken
    if not event.flow_alive:
        return [note, *refuse_for_page(record, settings, 480, "Temporarily Unavailable", _why(event))]
    return [
        note,
        act.CancelForwardedInvite(
            record.call_id, record.invite_cseq, record.request_uri, headers.cancel_of_core(record)
        ),
    ]


def _note(record: CallRecord, event: RegistrationEnded) -> act.Note:
    return act.Note("registration_ended", logging.INFO, {"why": event.why, "state": record.dialog.value})


def _why(event: RegistrationEnded) -> str:
    return f"registration {event.why}"


def _hang_up(record: CallRecord, event: RegistrationEnded, settings: CallSettings) -> list[act.Action]:
    reason = f'Reason: SIP;cause=480;text="{headers.quotable(_why(event))[:80]}"'
    goodbyes = hang_up_by_gateway(record, settings, reason, reach_page=event.flow_alive)
    return [act.Unschedule(record.key), *goodbyes]
