"""Our own offer to the core, where the page wants less than the core was told, or has come to want more.

    IMS                      we
     │◄─ UPDATE or INVITE ───│ tell_core
     │ 200 with answer ─────►│ on_answered

A caller with preconditions, or one that made a late offer, is answered before the page is asked.  A page that then
refuses video, or one of its directions, has nobody else to say so.  What the page wants more than that it says itself,
except in an answer to an offer of ours: a far end that opens a one-way call by UPDATE is answered before such a page.
A change of the page that the core has taken and the relay cannot follow is taken back here (core_answer.py).
"""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import Due, OwnRequestAnswered
from kemi.core.call.lifetime import refresh, session_timer
from kemi.core.call.lifetime.ending import SESSION_LOST, hang_up_by_gateway
from kemi.core.call.media.far_answer import follow_far_end, take_far_answer
from kemi.core.call.media.session import direction_for_core, offer_to_text
from kemi.core.call.own_request import METHOD_NOT_TAKEN, learn_target, own_request_to_ims, takes_update
from kemi.core.call.record import CallRecord, Exchange, Medium, Offerer
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.errors import GatewayError, LocalProtocolError, RemoteProtocolError
from kemi.core.messages import Reply
from kemi.core.sdp.interwork.ims_reoffer import ims_offer_again
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text

MAX_ATTEMPTS = 5
"""How often an offer of ours is sent before glare (491) or a busy far end (500) makes us leave it."""
_TRY_AGAIN = frozenset({491, 500})
_ENDS_THE_DIALOG = frozenset({408, 481})
_AGAIN_S = 1.0


def told_otherwise(record: CallRecord) -> bool:
    """Whether the core has been told of a medium, or of a direction of one, that the page does not want, or not of one
    that both sides want."""
    told = sdp_from_text(record.ims_description).media if record.ims_description else ()
    carried = {medium.ims_line for medium in record.media}
    if any(line.port and place not in carried for place, line in enumerate(told)):
        return True
    for medium in record.media:
        line = told[medium.ims_line] if medium.ims_line < len(told) else None
        if line is None or line.port == 0:
            continue
        if not medium.active or _wanted(medium, line.direction) is not line.direction:
            return True
    return False


def tell_core(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Offer the core what the page wants, where it was told otherwise (``record.core_behind``).

    While another offer is open nothing happens; kemi/core/call/flow.py asks again when that is settled.
    """
    if not record.core_behind or record.dialog is not Dialog.CONFIRMED or not record.acknowledged:
        return []
    if exchange.is_open(record) or record.ack_awaited is not None:
        return []
    if refresh.is_out(record):
        return [act.Schedule(record.key, Due.TELL_CORE, _AGAIN_S)]
    record.core_behind = False
    if not told_otherwise(record):
        return []
    told = sdp_from_text(record.ims_description)
    directions = {
        medium.ims_line: _wanted(medium, told.media[medium.ims_line].direction)
        for medium in record.media
        if medium.active
    }
    origin = exchange.next_ims_origin(record, settings)
    offer = offer_to_text(ims_offer_again(told, directions, origin), settings)
    method = "UPDATE" if takes_update(record) else "INVITE"
    record.own_ims_offer = cseq = record.next_ims_cseq()
    media = deepcopy(record.media)
    exchange.begin(record, Exchange(Offerer.GATEWAY_TO_IMS, method, cseq, media=media, ims_description=offer))
    record.core_attempts += 1
    lines = (
        boundary.contact_for_core(record, settings),
        headers.ALLOW,
        f"Supported: {session_timer.TIMER}",
        *session_timer.request_to_core(record, settings),
        *boundary.access_network_line(record, settings),
        "Content-Type: application/sdp",
    )
    request = own_request_to_ims(record, record.confirmed_tag, method, cseq, *lines)
    return [replace(request, body=offer, report=True)]


def _wanted(medium: Medium, told: Direction) -> Direction:
    """Return what was told without what the page does not want, and with what both sides want."""
    wanted, both = medium.wic_direction, direction_for_core(medium)
    receives = wanted.receives or medium.reverse_wanted  # it has not been offered that stream yet
    return Direction.of(
        sends=(told.sends and wanted.sends) or both.sends,
        receives=(told.receives and receives) or both.receives,
    )


def is_ours(record: CallRecord, reply: Reply) -> bool:
    """Whether a response of the core is to our own offer; tm hands that to us by itself."""
    return 0 < record.own_ims_offer == reply.cseq and reply.method in ("INVITE", "UPDATE")


def on_answered(record: CallRecord, event: OwnRequestAnswered, settings: CallSettings) -> list[act.Action]:
    """Take the core's final response to our offer."""
    pending = record.exchange
    if pending is None:
        raise LocalProtocolError("no offer of ours is open")
    if 200 <= event.status < 300:
        return _on_taken(record, pending, event, settings)
    back = exchange.rollback(record)
    if record.ended:
        return back
    if event.status in _ENDS_THE_DIALOG:
        return [*back, *hang_up_by_gateway(record, settings, event.status, SESSION_LOST, reach_page=True)]
    if event.status in METHOD_NOT_TAKEN and event.method == "UPDATE":
        record.legs[record.confirmed_tag].takes_update = False
        record.core_behind = True  # and flow.py has it told by INVITE
        return back
    if event.status in _TRY_AGAIN and record.core_attempts < MAX_ATTEMPTS:
        # RFC 3261 §14.1: who made the Call-ID waits 2.1 to 4 s, the other one 0 to 2 s
        owns_call_id = record.incoming is None
        glare_s = round(2.1 + event.jitter * 1.9 if owns_call_id else event.jitter * 2.0, 2)
        delay_s = glare_s if event.retry_after_s is None else event.retry_after_s
        return [*back, act.Schedule(record.key, Due.TELL_CORE, delay_s)]
    note = act.Note(
        "own_offer_to_core_refused", logging.WARNING, {"status": event.status, "method": event.method}
    )
    return [*back, note]


def _on_taken(
    record: CallRecord, pending: Exchange, event: OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    record.core_attempts = 0
    actions: list[act.Action] = []
    if event.method == "INVITE":  # RFC 3261 §13.2.2.4; that of tm has the INVITE's branch
        actions.append(own_request_to_ims(record, record.confirmed_tag, "ACK", event.cseq))
    if record.ended:
        return actions
    try:
        _take_answer(record, pending, event.reply, settings)
    except GatewayError as error:
        note = act.Note("own_offer_misunderstood", logging.WARNING, {"detail": error.detail})
        return [*actions, note, *exchange.rollback(record)]
    if event.reply is not None:
        actions += session_timer.answered_by_core(record, event.reply, settings)
    before = record.media
    exchange.commit(record)
    return [*actions, *follow_far_end(record, before, settings)]


def _take_answer(record: CallRecord, pending: Exchange, reply: Reply | None, settings: CallSettings) -> None:
    if reply is None or not reply.has_sdp:
        raise RemoteProtocolError("the core answered our offer without a session description")
    learn_target(record.legs[record.confirmed_tag], reply)
    take_far_answer(pending.media, pending.ims_description, reply.body)
    pending.ims_description = exchange.as_taken(record, pending.ims_description, reply.body, settings)
