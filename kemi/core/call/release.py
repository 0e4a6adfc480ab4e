"""The gateway ends a call because the page may not go on: its registration is over (TS 24.229 §5.2.8.1)."""

from __future__ import annotations

import logging

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call.dialog import hang_up_by_gateway
from kemi.core.call.events import RegistrationEnded
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
    note = act.Note("registration_ended", logging.INFO, {"why": event.why, "state": record.dialog.value})
    if record.dialog is Dialog.CONFIRMED:
        reason = f'Reason: SIP;cause=480;text="{headers.quotable("registration " + event.why)[:80]}"'
        unscheduled = act.Unschedule(record.call_id)
        return [note, unscheduled, *hang_up_by_gateway(record, settings, reason, reach_page=event.flow_alive)]
    record.cancelled = record.abandoned = True
    if record.forwarded:
        return [note, cancel_forwarded(record)]
    return [
        note,
        act.Unschedule(record.call_id),
        *reject(record, 403, "Not Registered", f"registration {event.why}"),
    ]
