"""The rest of a dialog: responses both ways, CANCEL, dead flows, timers.

Requests are in page_requests.py and core_requests.py.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import (
    CancelReceived,
    Due,
    FlowClosed,
    ImsReply,
    TimerFired,
    UpdateAnswered,
    WicReply,
)
from kemi.core.call.from_page import credentials, given_up
from kemi.core.call.from_page.answer import on_invite_reply
from kemi.core.call.from_page.correction import on_correction_answered
from kemi.core.call.from_page.setup import cancel_forwarded, finish, on_set_up_answered, reject, send_update
from kemi.core.call.in_dialog.common import follow, over, retarget_page
from kemi.core.call.in_dialog.transfers import referred
from kemi.core.call.lifetime import refresh, session_timer, unsure
from kemi.core.call.lifetime.ending import goodbye_to_core, hang_up
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.page_target import page_target
from kemi.core.call.record import CallRecord, Former, Rejection
from kemi.core.call.renegotiation import core_told, ice_restart
from kemi.core.call.renegotiation.core_answer import on_core_reply
from kemi.core.call.renegotiation.core_late_offer import on_answer_timeout
from kemi.core.call.renegotiation.core_offer import on_page_reply
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog, DialogEvent, OfferAnswer
from kemi.core.messages import Reply

# ---------------------------------------------------------------- replies


def on_ims_reply(record: CallRecord, event: ImsReply, settings: CallSettings) -> list[act.Action]:
    """Bring the core's response to any request of the page into the page's dialog."""
    reply = event.reply
    if reply.from_tag != record.ims_tag:
        return []
    if refresh.is_refresh(record, reply) or core_told.is_ours(record, reply):
        return []  # tm hands it to us by itself
    if given_up.is_given_up(record, reply):
        return given_up.on_late_reply(record, reply)
    if reply.method in ("INVITE", "UPDATE"):
        if record.confirmed_tag and (challenge := credentials.on_reply(record, reply, settings)) is not None:
            return challenge
        to_offer = on_core_reply(record, reply, settings)
        if to_offer is not None:
            return to_offer
    if reply.method == "INVITE" and record.incoming is None and reply.cseq == record.ims_invite_cseq:
        return on_invite_reply(record, reply, settings)
    if reply.method == "INVITE":
        return []
    if (challenge := credentials.on_reply(record, reply, settings)) is not None:
        return challenge
    hidden, insert = boundary.towards_page(reply, settings)
    actions: list[act.Action] = []
    if reply.method in session_timer.REFRESHES and 200 <= reply.status < 300:
        hidden, insert = boundary.required_of_page(reply, hidden, insert)
        insert += session_timer.answer_to_page(record)
        actions += session_timer.answered_by_core(record, reply, settings)
    # To a REFER or SUBSCRIBE: never without (RFC 3515 §2.2, RFC 6665).
    if reply.contact and 200 <= reply.status < 300:
        insert += (boundary.contact_for_page(reply, settings),)
    edits = act.MessageEdits(
        from_tag=None if record.incoming is None else record.wic_tag,
        to_tag=record.gateway_tag,
        cseq=record.to_core.get(str(reply.cseq)),
        remove=("Contact", *hidden),
        insert=insert,
    )
    if reply.status >= 200:
        record.to_core.pop(str(reply.cseq), None)
    edits = boundary.readable(reply, boundary.as_of_page(record, edits), settings)
    actions.append(act.ForwardReply(edits))
    referred(
        record, reply, by_page=True, page=reply.cseq if edits.cseq is None else edits.cseq, core=reply.cseq
    )
    # A second fork's answer to our own BYE may cross with the page's BYE, whose answer still needs its number.
    return [*actions, *over(record, reply, settings)] if reply.to_tag == record.confirmed_tag else actions


def on_wic_reply(record: CallRecord, event: WicReply, settings: CallSettings) -> list[act.Action]:
    """Bring the page's response to a request of the core back into the core's dialog."""
    reply = event.reply
    if reply.from_tag != record.gateway_tag:
        return []
    known = record.outstanding.get(str(reply.cseq))
    if known is None:
        if reply.method == "INVITE" and any(ours == reply.cseq for _, ours in record.core_invites):
            exchange.answered_late(record, reply)
            return _acknowledged_again(record, reply, settings)
        if reply.method == "UPDATE":  # of the core's or ours
            exchange.answered_late(record, reply)
        return []  # the answer to a request of our own: tm hands it to us by itself
    insert = boundary.charging_line(record)
    if reply.contact:
        insert.append(boundary.contact_for_core(record, settings))
    if reply.method in session_timer.REFRESHES and 200 <= reply.status < 300:
        insert += session_timer.answer_to_core(record)
        record.wic_contact = page_target(reply.contact, record.wic_contact)  # RFC 3261 §12.2.1.2
    edits = act.MessageEdits(
        from_tag=known.tag,
        to_tag=None if record.incoming is None else record.gateway_tag,
        cseq=known.cseq,
        remove=("Contact", *boundary.not_passed(record)),
        insert=tuple(insert),
        vias=tuple(known.vias),
    )
    if record.trunk is not None:
        edits = replace(
            edits,
            from_value=f"{record.trunk.to_value};tag={known.tag}",
            to_value=f"{record.trunk.from_value};tag={record.wic_tag}",
            from_tag=None,
        )
    forward = act.ForwardReply(boundary.as_core_wrote(record, edits))
    if reply.method in ("INVITE", "UPDATE"):
        if reply.status >= 300 or (reply.status >= 200 and reply.method == "UPDATE"):
            del record.outstanding[str(reply.cseq)]  # of a 2xx to an INVITE the ACK is the end
        taken = on_page_reply(record, reply, forward)
        return [*taken, *_refreshed(record, reply, known.former)] if known.former is not None else taken
    referred(record, reply, by_page=False, page=reply.cseq, core=known.cseq)
    if reply.status >= 200:
        del record.outstanding[str(reply.cseq)]
    return [forward, *over(record, reply, settings)]


def _acknowledged_again(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """The page repeats its 2xx to a re-INVITE of the core, whose ACK has crossed it, or was lost with a connection; or
    it answers one after the core was told that it does not."""
    if record.ended or not 200 <= reply.status < 300:
        return [act.DropReply()]
    return [act.DropReply(), own_request_to_wic(record, settings, "ACK", reply.cseq)]


def _refreshed(record: CallRecord, reply: Reply, former: Former) -> list[act.Action]:
    """The page's response to an UPDATE of the core without an offer: only a 2xx refreshes (RFC 4028 §7.2)."""
    if reply.status >= 300:
        exchange.put_back(record, former)
    return session_timer.core_clock(record) if 200 <= reply.status < 300 else []


def on_update_answered(record: CallRecord, event: UpdateAnswered, settings: CallSettings) -> list[act.Action]:
    """The page answered our UPDATE: during the set-up, or a correction afterwards."""
    retarget_page(record, event)
    # the call ended while the UPDATE was under way, or it had no offer, or another one is out (flow.py)
    if not record.updating or record.ended or record.exchange is not None:
        return unsure.on_answered(record, event.status, settings)
    if record.forwarded:
        return on_correction_answered(record, event, settings)
    return on_set_up_answered(record, event, settings)


# ---------------------------------------------------------------- cancel, dead flows, timers


def on_cancel(record: CallRecord, _event: CancelReceived, _settings: CallSettings) -> list[act.Action]:
    """The page cancelled.  Before the core knows the call it ends here; afterwards the core's 487 (or 200) decides."""
    if record.ended or record.dialog is Dialog.CONFIRMED:
        return []
    record.cancelled = True
    if record.forwarded:
        return []
    note = act.Note("call_cancelled", logging.INFO)
    return [note, act.Unschedule(record.key), *finish(record, DialogEvent.CANCELLED)]


def on_flow_closed(record: CallRecord, event: FlowClosed, settings: CallSettings) -> list[act.Action]:
    """The page's connection is gone.  A set-up ends at once; a running call waits for the page to come back."""
    if record.ended or record.abandoned:
        return []
    note = act.Note("flow_lost", logging.WARNING, {"state": record.dialog.value})
    if record.dialog is Dialog.CONFIRMED:
        record.ack_awaited = None  # our 2xx or its ACK is lost, and nobody sends it again
        waiting = act.Schedule(record.key, Due.FLOW_RECOVERY, settings.flow_recovery_s)
        # Of a call that a restart of a gateway has left the page has not moved.
        may_have_moved = event.came_here or (bool(record.connection_id) and not event.with_many)
        return [note, waiting, *(ice_restart.expect(record, settings) if may_have_moved else ())]
    record.cancelled = record.abandoned = True
    if record.forwarded:
        return [note, cancel_forwarded(record, headers.PAGE_GONE)]
    return [
        note,
        act.Unschedule(record.key),
        *reject(record, Rejection(480, "Page Gone", "the WebSocket closed")),
    ]


def on_timer(record: CallRecord, event: TimerFired, settings: CallSettings) -> list[act.Action]:
    """Do what was scheduled, if it still makes sense."""
    follow(record, event.successor)
    if event.due is Due.FORGET:
        return [act.ForgetCall(record.key)]
    if record.ended:
        return []
    if event.due is Due.TELL_CORE:
        record.core_behind = True
        return []
    if event.due is Due.ANSWER_TIMEOUT:
        return on_answer_timeout(record)
    if refresh.may_be_refreshed(record, event.due):
        return [act.Schedule(record.key, event.due, refresh.LOOK_AGAIN_S)]
    if event.due in refresh.DUES:
        return refresh.on_refresh_due(record, event.due, settings)
    if event.due is Due.SESSION_EXPIRED:
        return refresh.on_session_expired(record, settings, reach_page=event.flow_alive)
    if event.due is Due.PAGE_SESSION_EXPIRED:
        return refresh.on_page_session_expired(record, settings, reach_page=event.flow_alive)
    if event.due is Due.PRACK_TIMEOUT and record.awaiting_prack:
        return reject(record, Rejection(504, "Server Time-out", "no PRACK came for the answer"))
    if event.due is Due.UPDATE_RETRY:
        return _update_again(record, event, settings)
    if event.due is Due.FLOW_RECOVERY and event.flow_alive and record.answer_unsure:
        return unsure.ask_page(record, settings)
    if event.due is Due.FLOW_RECOVERY and not event.flow_alive and record.confirmed_tag:
        goodbye = goodbye_to_core(record, headers.PAGE_GONE)
        ended = hang_up(record, "flow_lost", *goodbye, event=DialogEvent.FLOW_LOST)
        return [*ended, act.ForgetCall(record.key)]
    return []


def _update_again(record: CallRecord, event: TimerFired, settings: CallSettings) -> list[act.Action]:
    """Send the page our UPDATE of the set-up, or our correction, once more."""
    if not record.update_offer or record.wic_offer_answer is not OfferAnswer.STABLE:
        return []
    if record.dialog is Dialog.CONFIRMED and not event.flow_alive:
        record.update_offer, record.page_behind = (
            "",
            True,
        )  # it is looked for, and hears of it once it is back
        return []
    return send_update(record, settings)
