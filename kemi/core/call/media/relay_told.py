"""A relay that has failed at a change is told again what holds.

What is too late for us has perhaps been carried out in part, or will be once the node wakes up, with the gates of a
change that was refused; and of one that both sides have agreed on it may know nothing.  A node that is known to be down
is not waited for, but finds the gates that hold in its queue; the rest follows when it answers again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.events import Continuation, Due, MediaFailed, MediaRenewed, TimerFired
from kemi.core.call.from_page import early_media
from kemi.core.call.media.running import renewal
from kemi.core.call.record import CallRecord
from kemi.core.call.renegotiation import ice_restart
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Media

MOST_ATTEMPTS: Final = 7
"""How often the relay is told, each time after twice as long: a minute in all, in which a node that is dead has lost
its calls to another one."""


def tell_relay(record: CallRecord) -> list[act.Action]:
    """Let the relay work with what both sides have said last, where it does not perhaps (``record.relay_behind``).

    While an offer is open nothing happens; kemi/core/call/flow.py asks again when that is settled.
    """
    if record.ended or record.media_state is not Media.CONNECTED or exchange.is_open(record):
        return []
    record.relay_behind = False
    told = _what_holds(record)
    return [replace(told, bearer=Continuation(partial(_on_told, told), _on_failed))]


def _what_holds(record: CallRecord) -> act.RenewMedia:
    renew = renewal(record, [medium for medium in record.media if medium.active])
    return replace(renew, media=early_media.within_gates(record, renew.media))


def on_due(record: CallRecord, _event: TimerFired, _settings: CallSettings) -> list[act.Action]:
    """Tell it once more, unless the call has moved to another node; flow.py does.

    That the page is back is left for those who wait for it.
    """
    record.relay_behind = record.relay_behind or record.relay_attempts > 0
    return []


def _on_told(
    told: act.RenewMedia, record: CallRecord, event: MediaRenewed, settings: CallSettings
) -> list[act.Action]:
    """The relay works with what held when it was told: no exchange was open, so others went on meanwhile."""
    if told.node != record.node:
        return []  # the call has moved; the other node was told all
    if exchange.is_open(record) or told != _what_holds(record):
        record.relay_behind = True  # it has perhaps carried out a newer change before; flow.py tells it again
        return []
    record.relay_attempts = 0
    note = act.Note("relay_told", logging.INFO, {"node": record.node})
    return [note, *ice_restart.expect_where_unknown(record, event.renewed, settings)]


def _on_failed(record: CallRecord, event: MediaFailed, _settings: CallSettings) -> list[act.Action]:
    if record.ended:
        return []
    record.relay_attempts += 1
    fields = {"attempt": record.relay_attempts, "detail": event.error.detail, "node": record.node}
    note = act.Note("relay_not_told", logging.WARNING, fields)
    if record.relay_attempts >= MOST_ATTEMPTS:
        record.relay_attempts = 0
        return [note]
    return [note, act.Schedule(record.key, Due.TELL_RELAY, 2.0 ** (record.relay_attempts - 1))]
