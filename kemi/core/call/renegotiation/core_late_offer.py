"""A re-INVITE of the core without a description: we offer in the 200, it answers in its ACK (RFC 3261 §14.2).

    IMS                      we
     │ re-INVITE ───────────►│ ask_for_offer
     │◄── 200, our offer ────│ on_renewed
     │ ACK with answer ─────►│ take_answer, on_renewed

Third-party call control moves a call so (RFC 3725).  The page is not asked: it is offered to the core as it is, with
all codecs the relay makes of its own; what the core's answer changes for it, it learns afterwards.
"""

from __future__ import annotations

import enum
import logging
from copy import deepcopy

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import Due, MediaFailed, MediaRenewed
from kemi.core.call.lifetime import session_timer
from kemi.core.call.lifetime.ending import hang_up_both
from kemi.core.call.media.far_answer import take_far_answer
from kemi.core.call.media.session import is_news, medium_change, offer_to_text
from kemi.core.call.record import CallRecord, Exchange, Offerer
from kemi.core.call.settings import CallSettings
from kemi.core.errors import GatewayError, RemoteProtocolError
from kemi.core.messages import Request
from kemi.core.sdp.interwork.core_reoffer import offered_to_core_again
from kemi.core.sdp.text import sdp_from_text

ACK_WITHIN_S = 33.0
"""How long the answer is waited for: a little over 64*T1."""


class Late(enum.Enum):
    """What the relay is asked for; comes back with its answer."""

    OUR_OFFER = enum.auto()
    THEIR_ANSWER = enum.auto()


def ask_for_offer(record: CallRecord, request: Request) -> list[act.Action]:
    """Ask the relay what we can offer."""
    media = deepcopy(record.media)
    exchange.begin(record, Exchange(Offerer.IMS, request.method, request.cseq, media=media))
    return [_renew(record, Late.OUR_OFFER)]


def _renew(record: CallRecord, bearer: Late) -> act.RenewMedia:
    media = record.media if record.exchange is None else record.exchange.media
    changes = tuple(medium_change(medium) for medium in media if medium.active)
    return act.RenewMedia(record.key, record.node, record.transport, changes, bearer=bearer)


def on_renewed(record: CallRecord, event: MediaRenewed, settings: CallSettings) -> list[act.Action]:
    """The relay has our offer, or works with the core's answer."""
    pending = record.exchange
    if pending is None:
        return []
    if event.bearer is Late.THEIR_ANSWER:
        return _take_as_it_is(record)
    active = [medium for medium in pending.media if medium.active]
    offer = offered_to_core_again(
        sdp_from_text(record.ims_description),
        {medium.ims_line: medium.wic_direction for medium in active},
        {medium.ims_line: event.renewed[medium.kind].relay_offer for medium in active},
        exchange.next_ims_origin(record, settings),
        {medium.ims_line: medium.wic_offer for medium in active},
    )
    pending.ims_description = body = offer_to_text(offer, settings)
    exchange.offered(record)
    pending.answered = True
    lines = (
        boundary.contact_for_core(record, settings),
        headers.ALLOW,
        *session_timer.answer_to_core(record),
        *boundary.charging_line(record),
    )
    return [
        act.Schedule(record.key, Due.ANSWER_TIMEOUT, ACK_WITHIN_S),
        act.SendReply(200, "OK", lines, body),
        *session_timer.core_clock(record),
    ]


def _take_as_it_is(record: CallRecord) -> list[act.Action]:
    before = record.media
    exchange.commit(record)
    changes = list(zip(before, record.media, strict=True))
    record.page_behind = record.page_behind or any(is_news(old, new) for old, new in changes)
    gone = tuple(new.kind for old, new in changes if old.active and not new.active)
    return [act.ReleaseMedia(record.key, record.node, gone)] if gone else []


def awaits(record: CallRecord, request: Request) -> bool:
    """Whether an ACK of the core is the one that brings the answer to a late offer."""
    pending = record.exchange
    return (
        pending is not None
        and pending.offerer is Offerer.IMS
        and pending.answered
        and not pending.settling
        and pending.cseq == request.cseq
        and not record.ended
    )


def take_answer(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Take the answer in an ACK; a bad one leaves the session as it was, but ends it where a medium with keys is on."""
    pending = record.exchange
    if pending is None:
        return []
    unschedule = act.Unschedule(record.key)
    try:
        if not request.has_sdp:
            raise RemoteProtocolError("the ACK has no session description to answer ours")
        take_far_answer(pending.media, pending.ims_description, request.body)
    except GatewayError as error:
        note = act.Note("late_answer_refused", logging.WARNING, {"detail": error.detail})
        refused = [unschedule, note, *exchange.rollback(record)]
        if not request.has_sdp or not _concerns_keys(pending.ims_description, request.body):
            return refused
        # The far end goes by its own answer, perhaps in clear, and an ACK cannot be refused.
        record.doomed = error.detail
        return [*refused, *hang_up_both(record, settings)]
    pending.settling = True
    pending.ims_description = exchange.as_taken(record, pending.ims_description, request.body, settings)
    return [unschedule, _renew(record, Late.THEIR_ANSWER)]


def _concerns_keys(ours: str, answer: str) -> bool:
    """Whether a bad answer switches on a line that we offered with keys, as far as it can be read."""
    offered = sdp_from_text(ours).media
    keyed = [place for place, line in enumerate(offered) if line.port and "SAVP" in line.proto.upper()]
    try:
        answered = sdp_from_text(answer).media
    except GatewayError:
        return bool(keyed)
    kinds = [line.kind for line in answered]
    if kinds != [line.kind for line in offered[: len(kinds)]]:  # which of ours a line answers is not known
        keyed_kinds = {offered[place].kind for place in keyed}
        return any(line.port and line.kind in keyed_kinds for line in answered)
    return any(place < len(answered) and answered[place].port for place in keyed)


def on_answer_timeout(record: CallRecord) -> list[act.Action]:
    """No ACK came."""
    if record.exchange is None or not record.exchange.answered or record.exchange.settling:
        return []
    return exchange.rollback(record)


def on_media_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """The relay did not do it: nothing is offered; or an ACK cannot be refused, and it follows later."""
    note = act.Note("media_failed", logging.ERROR, {"detail": event.error.detail, "node": record.node})
    if record.exchange is None:
        return [note]
    if event.bearer is Late.THEIR_ANSWER:
        return [note, *_take_as_it_is(record)]
    explanation = headers.explanation_of(event.error, settings.realm)
    refusal = act.SendReply(event.error.status, event.error.reason_phrase, explanation)
    return [note, *exchange.rollback(record), refusal]
