"""Offers of the page in a running session, whoever called.

    WIC                      we                                     IMS
     │ re-INVITE/UPDATE ────►│ on_page_offer: nothing new for the core
     │◄────────────── 200 ───│ the relay is renewed

     │ re-INVITE/UPDATE ────►│ on_page_offer ── same method ────────►│ our description, changed
     │◄────────────── 200 ───│ on_core_reply ◄────────────────── 200 │ the relay works with the answer
     │ ACK ─────────────────►│──────────────────────────────── ACK ─►│

What an offer changes stands in the record's exchange until it is answered (exchange.py), so that a refusal leaves the
call as it was (RFC 3261 §14.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.errands import failed_note, run_errands
from kemi.core.call.events import Continuation, MediaFailed, MediaReserved, Renewed
from kemi.core.call.in_dialog.common import NO_DIALOG
from kemi.core.call.lifetime import refresh, session_timer
from kemi.core.call.media.running import (
    SPLIT,
    changed_media,
    medium_of_offer,
    renewal,
)
from kemi.core.call.media.session import offer_to_text
from kemi.core.call.page_target import page_target
from kemi.core.call.record import CallRecord, Exchange, Offerer
from kemi.core.call.renegotiation.ice_restart import expect_where_refused
from kemi.core.call.renegotiation.page_change import (
    description_for_page,
    open_exchange,
    read_offer,
    settle,
)
from kemi.core.call.renegotiation.page_late_offer import offer_page
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.errors import GatewayError, NotAcceptableHere, WarnCode
from kemi.core.messages import Request, Side
from kemi.core.sdp.interwork.ims_reoffer import ims_offer_again
from kemi.core.sdp.interwork.page_reoffer import PageOffer
from kemi.core.sdp.interwork.video import passing_video
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text

_SESSION_TIMER: Final = ("Session-Expires", "Min-SE")

EditsToIms = Callable[[CallRecord, Request, str, CallSettings], act.MessageEdits]


# ---------------------------------------------------------------- the offer


def on_page_offer(
    record: CallRecord, request: Request, settings: CallSettings, edits_to_ims: EditsToIms
) -> list[act.Action]:
    """Take a re-INVITE of the page, or an UPDATE with an offer."""
    if record.ended:
        return [NO_DIALOG]
    opened = record.exchange
    first: list[act.Action] = []
    if opened is not None and opened.offerer is Offerer.WIC and opened.answered and not opened.settling:
        first = exchange.rollback(record)  # its ACK never came, the page has gone on
    refusal = exchange.refusal(record, request)
    if refusal is None and record.dialog is not Dialog.CONFIRMED:
        refusal = act.SendReply(491, "Request Pending")  # the INVITE that makes the session is not answered
    if refusal is not None:
        return [*first, refusal]
    if request.body and not request.has_sdp:
        return [*first, act.SendReply(415, "Unsupported Media Type", ("Accept: application/sdp",))]
    record.wic_contact = page_target(request.contact, record.wic_contact)  # RFC 3261 §12.2.2
    if not request.body:
        return [*first, *offer_page(record, request, settings)]
    try:
        offer = read_offer(record, request.body, settings)
        _check_video_codec(record, offer)
    except GatewayError as error:
        return [*first, _refuse(error, settings)]
    concerns_the_core = _concerns_the_core(record, offer)
    if concerns_the_core and refresh.is_out(record):  # one INVITE at a time (RFC 3261 §14.1)
        return [*first, act.SendReply(491, "Request Pending")]
    media = changed_media(record, offer)
    opened = Exchange(Offerer.WIC, request.method, request.cseq, offer=request.body, media=media)
    opened.reserved = [medium.kind for medium in offer.added]
    exchange.begin(record, opened)
    if not concerns_the_core:
        return [*first, *_answer_here(record, offer, settings)]
    if not offer.added:
        return [*first, *_ask_core(record, request, {}, edits_to_ims, settings)]
    wanted = tuple(
        act.MediumRequest(medium.kind, medium.wic_offer, medium.reverse_wanted and record.wic_takes_update)
        for medium in offer.added
    )
    then = Continuation(partial(_on_reserved, request, edits_to_ims), _on_failed)
    return [*first, act.ReserveMedia(record.key, record.node, SPLIT, wanted, context=then)]


def _concerns_the_core(record: CallRecord, offer: PageOffer) -> bool:
    """Whether the far end has to do anything else from now on: another direction, a medium more or less.

    Another codec is the relay's business: it transcodes audio, and of video the far end's stays.
    """
    if offer.added:
        return True
    for offered in offer.media:
        medium = medium_of_offer(record, offered)
        if not offered.is_on or offered.direction is not medium.wic_direction:
            return True
    return False


def _check_video_codec(record: CallRecord, offer: PageOffer) -> None:
    """Raise NotAcceptableHere where the page's video has lost the codec of the far end, which nobody transcodes, or has
    it under another payload type, which the relay does not translate."""
    for offered in offer.media:
        medium = medium_of_offer(record, offered)
        codec, far = medium.codec, medium.ims_answer
        if offered.kind != "video" or not codec or not offered.codecs:
            continue
        why = ""
        if codec not in offered.codecs:
            why = f"The video line has lost {codec.upper()}, the codec of the far end"
        elif offered.renewed and _passes(medium.wic_offer, far, codec):
            passes = _passes(offered.wic_offer, far, codec)
            why = "" if passes else f"The video line has {codec.upper()} under another payload type now"
        if why:
            raise NotAcceptableHere(why, warn_code=WarnCode.INCOMPATIBLE_FORMAT)


def _passes(own: str, far: str, codec: str) -> bool:
    """Whether both lines alone have the codec under one payload type; not where one has said nothing yet."""
    if not own or not far:
        return False
    mine, theirs = (sdp_from_text(text).media[0] for text in (own, far))
    return any(one.name == codec for one in passing_video(theirs.codecs, mine))


def _refuse(error: GatewayError, settings: CallSettings) -> act.SendReply:
    return act.SendReply(error.status, error.reason_phrase, headers.explanation_of(error, settings.realm))


# ---------------------------------------------------------------- answered here


def _answer_here(record: CallRecord, offer: PageOffer, settings: CallSettings) -> list[act.Action]:
    """Nothing changes for the core: renew the relay where the page's transport is new, and answer."""
    media = open_exchange(record).media
    renewed = {offered.kind for offered in offer.media if offered.renewed}
    errands = [renewal(record, [medium for medium in media if medium.kind in renewed])] if renewed else []
    return run_errands(record, errands, _answer_page, _on_failed, settings)


def _answer_page(
    record: CallRecord, renewed: Mapping[str, Renewed], settings: CallSettings
) -> list[act.Action]:
    if record.ended:
        return [NO_DIALOG]
    body = description_for_page(record, renewed, settings)
    lines = (
        headers.contact_of_far_end(record, settings),
        headers.ALLOW,
        *session_timer.answer_to_page(record),
    )
    settle(record)
    return [act.SendReply(200, "OK", lines, body), *session_timer.page_clock(record)]


def _on_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """The relay refused before anybody was told anything: so do we, and the call goes on as before."""
    if record.exchange is None:  # hung up meanwhile
        return [NO_DIALOG]
    restart = expect_where_refused(record, settings)
    back = exchange.rollback(record)
    return [failed_note(record, event), *back, _refuse(event.error, settings), *restart]


# ---------------------------------------------------------------- asked of the core


def _on_reserved(
    request: Request,
    edits_to_ims: EditsToIms,
    record: CallRecord,
    event: MediaReserved,
    settings: CallSettings,
) -> list[act.Action]:
    """The relay has ports for what the page adds."""
    if record.exchange is None or record.ended:
        return [NO_DIALOG, act.ReleaseMedia(record.key, record.node, tuple(event.reserved))]
    for kind, given in event.reserved.items():
        record.exchange.relayed[kind] = given.relay_answer
        for medium in record.exchange.media:
            if medium.kind == kind:
                medium.reverse_offer = given.reverse_offer or ""
    offers = {kind: given.relay_offer for kind, given in event.reserved.items()}
    return _ask_core(record, request, offers, edits_to_ims, settings)


def _ask_core(
    record: CallRecord,
    request: Request,
    relay_offers: Mapping[str, str],
    edits_to_ims: EditsToIms,
    settings: CallSettings,
) -> list[act.Action]:
    opened = open_exchange(record)
    directions = {
        medium.ims_line: Direction.of(
            sends=medium.wic_direction.sends,
            receives=medium.wic_direction.receives or (medium.reverse_wanted and medium.wic_direction.sends),
        )
        for medium in opened.media
        if medium.active
    }
    added = {
        medium.ims_line: relay_offers[medium.kind] for medium in opened.media if medium.kind in relay_offers
    }
    description = ims_offer_again(
        sdp_from_text(record.ims_description),
        directions,
        exchange.next_ims_origin(record, settings),
        added,
        settings.audio_codecs,
    )
    opened.ims_description = offer_to_text(description, settings)
    exchange.offered(record)
    edits = edits_to_ims(record, request, record.confirmed_tag, settings)
    if request.method == "INVITE":
        record.last_invite = (request.cseq, request.cseq if edits.cseq is None else edits.cseq)
    edits = replace(edits, remove=(*edits.remove, *_SESSION_TIMER), body=opened.ims_description)
    return [act.ForwardRequest(Side.IMS, edits, change=True)]
