"""A re-INVITE of the page without a description: we offer in the 200, it answers in its ACK (RFC 3261 §14.2).

    WIC                      we
     │ re-INVITE ───────────►│ offer_page: what it was told last
     │◄── 200, our offer ────│
     │ ACK with answer ─────►│ on_answer_in_ack

The core hears of it afterwards, where the page does not want what it was told (core_told.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.errands import Errand, failed_note, run_errands
from kemi.core.call.events import Due, MediaFailed, Renewed
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media.running import (
    changed_media,
    gate_of,
    given_back,
    known_media,
    renewal,
)
from kemi.core.call.record import CallRecord, Exchange, Medium, Offerer
from kemi.core.call.renegotiation.core_late_offer import ACK_WITHIN_S
from kemi.core.call.renegotiation.page_change import open_exchange
from kemi.core.call.settings import CallSettings
from kemi.core.errors import GatewayError, RemoteProtocolError
from kemi.core.messages import Request
from kemi.core.sdp.interwork.page_reoffer import PageOffer, read_page_answer
from kemi.core.sdp.interwork.wic import as_agreed, offer_again
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text


def offer_page(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """The page asks for an offer: it gets what it was told last (RFC 3261 §14.2)."""
    offer = offer_again(sdp_from_own_text(record.wic_description), exchange.next_wic_origin(record))
    opened = Exchange(
        Offerer.WIC, request.method, request.cseq, wic_description=sdp_to_text(offer), answered=True
    )
    exchange.begin(record, opened)
    contact = headers.contact_of_far_end(record, settings)
    lines = (contact, headers.ALLOW, *session_timer.answer_to_page(record))
    return [
        act.Schedule(record.key, Due.ANSWER_TIMEOUT, ACK_WITHIN_S),
        act.SendReply(200, "OK", lines, opened.wic_description),
    ]


def awaits(record: CallRecord, request: Request) -> bool:
    """Whether an ACK of the page is the one that brings the answer to an offer it asked for."""
    opened = record.exchange
    return (
        opened is not None
        and opened.offerer is Offerer.WIC
        and opened.answered
        and not opened.settling
        and opened.cseq == request.cseq
        and not record.ended
    )


def on_answer_in_ack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Take the page's answer to the offer it asked for; a bad one changes nothing, the ACK cannot be refused."""
    opened = open_exchange(record)
    done: list[act.Action] = [act.Unschedule(record.key)]
    try:
        if not request.has_sdp:
            raise RemoteProtocolError("the ACK has no session description to answer ours")
        offer = sdp_from_own_text(opened.wic_description)
        answered = read_page_answer(offer, request.body, known_media(record), settings.video_codecs)
        answer = sdp_from_text(request.body)
    except GatewayError as error:
        note = act.Note("page_answer_unusable", logging.WARNING, {"detail": error.detail})
        return [*done, note, *exchange.rollback(record)]
    opened.settling = True
    opened.wic_description = sdp_to_text(as_agreed(offer, answer))
    opened.media = changed_media(record, PageOffer(answer, (), answered, ()))
    renewed = {medium.kind for medium in answered if medium.renewed}
    errands = [
        *_if_any(partial(renewal, record), (m for m in opened.media if m.active and m.kind in renewed)),
        *_if_any(partial(gate_of, record), (m for m in opened.media if m.active and m.kind not in renewed)),
    ]
    return [*done, *run_errands(record, errands, _take_as_it_is, _on_settling_failed, settings)]


def _if_any(make: Callable[[list[Medium]], Errand], media: Iterable[Medium]) -> list[Errand]:
    found = list(media)
    return [make(found)] if found else []


def _take_as_it_is(
    record: CallRecord, _renewed: Mapping[str, Renewed], _settings: CallSettings
) -> list[act.Action]:
    if record.exchange is None:
        return []
    before = record.media
    exchange.commit(record)
    record.core_behind = True  # of what the page has refused, if anything
    return given_back(record, before)


def _on_settling_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """An ACK cannot be refused: what the page has answered holds, and the relay follows later."""
    return [failed_note(record, event), *_take_as_it_is(record, {}, settings)]
