"""A core that asks who calls: its challenge goes to the page, and the call waits for the INVITE with credentials.

WIC                                        we                                     IMS
 │                                         │──────────── INVITE offer ───────────►│
 │◄───────────── 401, 407 ─────────────────│◄──────────── 401, 407 ───────────────│ on_challenged
 │ ACK, INVITE offer1, credentials ───────►│ on_credentials
 │◄────── 183 answer1, as before ──────────│ on_transaction_created
 │ PRACK, and UPDATE, as in setup.py ◄────►│
 │                                         │── INVITE offer, credentials ────────►│

The page has our answer by then, and its media may be up.  SIP.js and JsSIP take the second INVITE for the first one
said again: they apply no second answer, and SIP.js hangs up where another dialog is answered than the one of its early
media.  So To-tag, relay ports and numbers go on, and our answer is the same.  A client that begins a new dialog
(RFC 3261 §8.1.3.5) finds every step again that its offer needs.
"""

from __future__ import annotations

import logging
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import CredentialsSent, Due, ImsFailed, TimerFired, TransactionCreated
from kemi.core.call.from_page import setup
from kemi.core.call.from_page.credentials import CHALLENGES
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media import digits
from kemi.core.call.page_target import page_target
from kemi.core.call.record import CallRecord, checksum
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import DialogEvent, Media, OfferAnswer, OfferAnswerEvent
from kemi.core.emergency import PRIORITY_LINES, with_priority
from kemi.core.messages import Request
from kemi.core.sdp.interwork.wic import answered_again, offer_again
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text

CREDENTIALS_S: Final = 4.0
"""How long a page may take to say who it is.  Its user is not asked: the password was there for the REGISTER."""


def is_challenged(record: CallRecord, event: ImsFailed) -> bool:
    """Whether the call goes on once the page has said who it is."""
    asked = (
        event.status in CHALLENGES and not event.local and record.ims_offer_answer is OfferAnswer.OFFER_SENT
    )
    ours_alone = record.outbound is None and not record.legs and record.recovery is None
    ends = record.cancelled or record.doomed or record.rejection is not None
    stands = record.wic_offer_answer is OfferAnswer.STABLE and record.media_state is Media.GATED
    return asked and ours_alone and not ends and stands


def on_challenged(record: CallRecord) -> list[act.Action]:
    """The challenge is on its way to the page: keep everything for as long as an answer takes."""
    record.move_ims(OfferAnswerEvent.CHALLENGED)
    record.ims_offer, record.ims_description = record.ims_description, ""
    record.transaction, record.challenged = None, True
    return [
        act.Note("call_challenged", logging.INFO),
        act.Schedule(record.key, Due.CREDENTIALS, CREDENTIALS_S),
    ]


def goes_on(record: CallRecord, request: Request, request_uri: str) -> bool:
    """Whether a page's INVITE is the one that was challenged, with credentials; ``request_uri``: whom it would call."""
    same = (request.from_tag, request.connection_id, request_uri, checksum(request.body))
    before = (record.wic_tag, record.connection_id, record.request_uri, record.offer_checksum)
    return record.challenged and request.cseq > record.invite_cseq and same == before


def on_credentials(record: CallRecord, event: CredentialsSent, settings: CallSettings) -> list[act.Action]:
    """The same INVITE again, with credentials: another transaction of the same call."""
    if not record.challenged or record.ended:
        return [act.SendReply(482, "Loop Detected")]
    request = event.request
    record.invite_via = next(iter(request.headers("Via")), "")
    # JsSIP numbers what follows in the dialog, its ACK included, by the first INVITE, SIP.js without PRACK what follows
    # the ACK: that this one has a higher number does not count.
    record.first_cseq = record.first_cseq or record.invite_cseq
    record.invite_cseq = request.cseq
    record.ims_invite_cseq = record.forwarded_ims_cseq(request.cseq)
    record.to_core.pop(str(record.ims_invite_cseq), None)
    if record.ims_invite_cseq != record.invite_cseq:
        record.last_invite = (record.invite_cseq, record.ims_invite_cseq)
    record.wic_contact = page_target(request.contact, record.registered_contact)
    has_priority = set(PRIORITY_LINES) <= set(record.caller_lines)
    lines = boundary.caller_lines(request)
    record.caller_lines = with_priority(lines) if has_priority else lines
    digits.learn(record, request)
    session_timer.asked_by_page(record, request, settings)
    _describe_again(record, request)
    record.move_wic(OfferAnswerEvent.OFFER_RECEIVED)
    return [act.Unschedule(record.key), act.CreateTransaction(record.gateway_tag)]


def on_transaction_created(
    record: CallRecord, event: TransactionCreated, settings: CallSettings
) -> list[act.Action]:
    """Remember how to come back to the INVITE; one that was challenged is answered as before."""
    actions = setup.on_transaction_created(record, event, settings)
    if not record.challenged:
        return actions
    record.challenged = False
    record.move_dialog(DialogEvent.PROVISIONAL_SENT)
    return [*actions, *setup.send_answer(record, settings)]


def on_due(record: CallRecord, _event: TimerFired, _settings: CallSettings) -> list[act.Action]:
    """The page has no credentials, or has given up."""
    if not record.challenged or record.ended:
        return []
    return [
        act.Note("call_rejected", logging.INFO, {"status": 401}),
        *setup.finish(record, DialogEvent.REJECTED),
    ]


def _describe_again(record: CallRecord, request: Request) -> None:
    """Put the answer to the page's own offer back, and what was offered beside it into the UPDATE that follows."""
    record.update_attempts, record.update_offer = 0, ""
    told, offer = sdp_from_own_text(record.wic_description), sdp_from_text(request.body)
    if len(told.media) == len(offer.media):
        return
    answer = answered_again(told, offer, exchange.next_wic_origin(record))
    record.wic_description = sdp_to_text(answer)
    if any(medium.reverse for medium in record.media):
        record.update_offer = sdp_to_text(offer_again(told, exchange.next_wic_origin(record)))
