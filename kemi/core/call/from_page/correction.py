"""After the far end's answer: an UPDATE that puts the page's video right, where the guess was wrong."""

from __future__ import annotations

import logging

from kemi.core.call import actions as act
from kemi.core.call.events import Due, UpdateAnswered
from kemi.core.call.from_page.setup import MAX_UPDATE_ATTEMPTS, send_update
from kemi.core.call.media import pictures
from kemi.core.call.media.session import far_line
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import OfferAnswer, OfferAnswerEvent
from kemi.core.sdp.interwork.client_offer import corrected_offer
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_from_own_text, sdp_to_text


def correct(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Offer the page what the far end took, if that differs and the page can be asked now."""
    if not record.correctable or record.ended or record.wic_offer_answer is not OfferAnswer.STABLE:
        return []
    taken = {
        medium.kind: medium.codec if medium.active else None
        for medium in record.media
        if medium.answered and (medium.active or record.confirmed_tag)  # before, another fork may take it
    }
    current = sdp_from_own_text(record.wic_description)
    far = {medium.kind: far_line(medium) for medium in record.media}
    own = {medium.kind: medium.wic_offer for medium in record.media}
    offer = corrected_offer(current, taken, Origin(record.session_id, record.wic_version + 1), far, own)
    if offer is None:
        return []
    record.wic_version += 1
    record.update_offer = sdp_to_text(offer)
    record.update_attempts = 0
    return [
        act.Note(
            "media_corrected", logging.INFO, {kind: codec or "refused" for kind, codec in taken.items()}
        ),
        *send_update(record, settings),
    ]


def on_correction_answered(
    record: CallRecord, event: UpdateAnswered, settings: CallSettings
) -> list[act.Action]:
    """Take the page's answer.  A page that refuses keeps its call: audio runs, video stays as it is."""
    if 200 <= event.status < 300:
        record.move_wic(OfferAnswerEvent.ANSWER_RECEIVED)
        record.wic_description, record.update_offer = record.update_offer, ""
        # Its streams begin anew, each with a key frame: asked for here, it need not wait for a far end to be asked.
        asked = pictures.request_key_frames(record)
        return [*asked, *correct(record, settings)]  # another fork may have answered meanwhile
    record.move_wic(OfferAnswerEvent.OFFER_REFUSED)
    if event.status in (491, 500) and record.update_attempts < MAX_UPDATE_ATTEMPTS:
        delay = event.retry_after_s if event.retry_after_s is not None else round(event.jitter * 2.0, 2)
        return [act.Schedule(record.key, Due.UPDATE_RETRY, min(delay, settings.update_s))]
    record.correctable, record.update_offer = False, ""
    return [act.Note("correction_refused", logging.WARNING, {"status": event.status})]
