"""Offers of our own to the page in a running session: UPDATE where it takes that, else re-INVITE.

    WIC                      we
     │◄─ UPDATE or INVITE ───│ offer_page, tell_page
     │ 200 with answer ─────►│ on_answered
     │◄─ ACK, of an INVITE ──│ tm sends it

The page refuses what it likes, its call goes on as it was.  After glare we try again (RFC 3261 §14.1, RFC 3311 §5.3).
"""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.events import Due, OwnRequestAnswered, TimerFired, UpdateAnswered
from kemi.core.call.from_page.reverse_line import take_reverse_lines, with_reverse_lines
from kemi.core.call.in_dialog.common import follow, retarget_page
from kemi.core.call.lifetime import refresh
from kemi.core.call.lifetime.ending import PAGE_KNOWS_NONE, hang_up_by_gateway
from kemi.core.call.media.running import given_back
from kemi.core.call.media.session import shown_media, take_page_answer
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.record import CallRecord, Exchange, Medium, Offerer
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog, Media
from kemi.core.errors import GatewayError, LocalProtocolError
from kemi.core.messages import Side
from kemi.core.sdp.interwork.client_offer import offered_again
from kemi.core.sdp.interwork.wic import as_agreed
from kemi.core.sdp.text import sdp_from_own_text, sdp_to_text

MAX_ATTEMPTS = 5
"""How often an offer of ours is sent before glare (491), a busy page (500) or a silent one (408) makes us leave it."""
LOOK_AGAIN_S: Final = 0.5
"""So often a page that lost its connection is looked for."""
_TRY_AGAIN = frozenset({408, 491, 500})
"""408: the page is away; from then on it is looked for before it is offered anything (``Due.TELL_PAGE``)."""


def on_due(record: CallRecord, event: TimerFired, _settings: CallSettings) -> list[act.Action]:
    """Let the page know, once it is there, what it has not heard of."""
    follow(record, event.successor)
    if record.ended:
        return []
    if not event.flow_alive:
        return [act.Schedule(record.key, Due.TELL_PAGE, LOOK_AGAIN_S)]
    record.page_behind = True  # and flow.py has it told
    return []


def is_idle(record: CallRecord) -> bool:
    """Whether neither side waits for an answer, or an ACK, of the other's or of ours."""
    return (
        record.acknowledged
        and record.ack_awaited is None
        and record.media_state is Media.CONNECTED
        and not exchange.is_open(record)
        and not refresh.is_out(record)
    )


def tell_page(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Offer the page what the far end has changed, where it has not heard of it (``record.page_behind``).

    While another offer is open nothing happens; kemi/core/call/flow.py asks again when that is settled.
    """
    if not record.page_behind or record.dialog is not Dialog.CONFIRMED or not record.acknowledged:
        return []
    if exchange.is_open(record) or record.ack_awaited is not None:
        return []
    record.page_behind = False
    media = deepcopy(record.media)
    origin = exchange.next_wic_origin(record)
    told = sdp_from_own_text(record.wic_description)
    offer, _ = offered_again(told, shown_media(media, flips=not record.wic_takes_update), origin)
    offer = with_reverse_lines(record, told, offer, media, origin)
    if offer is None:
        record.media = media  # what there is no room for is wanted no more
        return []
    return offer_page(record, settings, sdp_to_text(offer), media)


def offer_page(
    record: CallRecord, settings: CallSettings, offer: str, media: list[Medium]
) -> list[act.Action]:
    """Send the page an offer; ``media`` is what the call has when the page takes it.  No other offer may be open."""
    method = "UPDATE" if record.wic_takes_update else "INVITE"
    cseq = record.next_gateway_cseq()
    exchange.begin(record, Exchange(Offerer.GATEWAY_TO_WIC, method, cseq, media=media, wic_description=offer))
    record.update_attempts += 1
    return [own_request_to_wic(record, settings, method, cseq, body=offer, report=True)]


def on_answered(
    record: CallRecord, event: UpdateAnswered | OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    """Take the page's final response to an offer of ours."""
    pending = record.exchange
    if pending is None:
        raise LocalProtocolError("no offer of ours is open")
    body = event.body if isinstance(event, UpdateAnswered) else event.reply.body if event.reply else ""
    acknowledgement = acknowledge(record, event, settings)
    if record.ended:
        return acknowledgement
    if 200 <= event.status < 300:
        return [*acknowledgement, *_take_answer(record, pending, body, settings)]
    if event.status == 408:
        exchange.give_up_offer(record, pending.cseq, pending.wic_description)
    actions = exchange.rollback(record)
    if later := again_later(record, event, settings, Due.TELL_PAGE):
        return [*actions, *later]
    for medium in record.media:
        medium.reverse_wanted = False  # it does not want the stream: it keeps its one-way call
    note = act.Note("own_offer_refused", logging.WARNING, {"status": event.status, "method": pending.method})
    return [*actions, note, *given_up(record, event, settings)]


def again_later(
    record: CallRecord,
    event: UpdateAnswered | OwnRequestAnswered,
    settings: CallSettings,
    due: Due,
) -> list[act.Action]:
    """Have an offer sent again that the page does not take at this moment; nothing where that is over."""
    if event.status not in _TRY_AGAIN or record.update_attempts >= MAX_ATTEMPTS:
        return []
    # RFC 3261 §14.1, in units of 10 ms: who made the Call-ID, we of a call towards the page, waits 2.1 to 4 s
    owns_call_id = record.incoming is not None
    glare_s = round(2.1 + event.jitter * 1.9 if owns_call_id else event.jitter * 2.0, 2)
    delay = event.retry_after_s if event.retry_after_s is not None else glare_s
    return [act.Schedule(record.key, due, min(delay, settings.update_s))]


def given_up(
    record: CallRecord, event: UpdateAnswered | OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    """The page has refused for good: its call goes on, unless it knows of none any more (RFC 3261 §12.2.1.2)."""
    record.update_attempts = 0
    if event.status != 481:
        return []
    return hang_up_by_gateway(record, settings, 481, PAGE_KNOWS_NONE, reach_page=False)


def acknowledge(
    record: CallRecord, event: UpdateAnswered | OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    """Acknowledge a 2xx of the page to a re-INVITE of ours, whatever became of the call meanwhile (RFC 3261 §13.2.2.4).

    tm has sent an ACK by itself, with the branch of the INVITE, which such an ACK must not have (§17.1.1.3): SIP.js
    discards it, takes no offer of its own any more and hangs up after 32 s.
    """
    if isinstance(event, OwnRequestAnswered) and event.to is not Side.WIC:
        return []
    retarget_page(record, event)
    if isinstance(event, UpdateAnswered) or event.method != "INVITE" or not 200 <= event.status < 300:
        return []
    if event.reply is not None:
        exchange.answered_late(record, event.reply)
    return [own_request_to_wic(record, settings, "ACK", event.cseq)]


def _take_answer(
    record: CallRecord, pending: Exchange, body: str, settings: CallSettings
) -> list[act.Action]:
    record.update_attempts = 0
    try:
        offered = sdp_from_own_text(pending.wic_description)
        answer = take_page_answer(pending.media, offered, body)
    except GatewayError as error:
        note = act.Note("own_offer_misunderstood", logging.WARNING, {"detail": error.detail})
        return [note, *exchange.rollback(record)]
    for medium in pending.media:
        if medium.kind in answer.lines and medium.reverse_line is not None:
            medium.reverse_answer = answer.lines[medium.kind]
    before = record.media
    pending.wic_description = sdp_to_text(as_agreed(offered, answer.description))
    exchange.commit(record)
    record.core_behind = True  # of what the page has refused, if anything
    lines = take_reverse_lines(record, answer.description, settings)
    return [*lines, *given_back(record, before)]
