"""What all steps of a page's offer have in common (see page_offer.py): reading it, answering it, taking it over."""

from __future__ import annotations

from collections.abc import Mapping

from kemi.core.call import exchange
from kemi.core.call.events import Renewed
from kemi.core.call.media.running import (
    known_media,
    running_directions,
)
from kemi.core.call.media.session import far_line
from kemi.core.call.record import CallRecord, Exchange
from kemi.core.call.settings import CallSettings
from kemi.core.errors import LocalProtocolError
from kemi.core.sdp.interwork.page_reoffer import PageOffer, page_answer, read_page_offer
from kemi.core.sdp.text import sdp_from_own_text, sdp_to_text


def read_offer(record: CallRecord, text: str, settings: CallSettings) -> PageOffer:
    return read_page_offer(
        text,
        sdp_from_own_text(record.wic_description),
        known_media(record),
        frozenset(medium.kind for medium in record.media if medium.active),
        settings.video_codecs,
        settings.audio_codecs,
    )


def settle(record: CallRecord) -> None:
    """The page has its answer: what it offered is true now; what it waits for it is offered once it has said ACK."""
    opened = open_exchange(record)
    exchange.commit(record)
    if opened.method == "INVITE":
        record.ack_awaited = opened.cseq
    record.page_behind = record.page_behind or any(
        medium.reverse_wanted and medium.active for medium in record.media
    )


def description_for_page(record: CallRecord, renewed: Mapping[str, Renewed], settings: CallSettings) -> str:
    """Write the answer to the offer of the open exchange, from what its media are."""
    opened = open_exchange(record)
    relayed = opened.relayed | {kind: given.relay_answer for kind, given in renewed.items()}
    reverse = {
        kind: given.reverse_answer for kind, given in renewed.items() if given.reverse_answer is not None
    }
    audio = record.medium("audio") or record.media[0]
    video = next((medium for medium in opened.media if medium.kind == "video"), None)
    answer = page_answer(
        read_offer(record, opened.offer, settings),
        sdp_from_own_text(record.wic_description),
        running_directions(opened.media),
        relayed,
        reverse,
        exchange.next_wic_origin(record),
        role="active" if "a=setup:passive" in audio.wic_offer else "passive",
        video_codec=video.codec if video is not None else "",
        far_video=far_line(video) if video is not None else "",
    )
    opened.wic_description = sdp_to_text(answer)
    return opened.wic_description


def open_exchange(record: CallRecord) -> Exchange:
    if record.exchange is None:
        raise LocalProtocolError("the page has no offer open")
    return record.exchange
