"""What both sides answer when a call moves to another media node (recovery.py)."""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.events import OwnRequestAnswered
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media.far_answer import take_far_answer
from kemi.core.call.media.running import known_media, line_change
from kemi.core.call.media.session import take_page_answer
from kemi.core.call.node_loss.record import Recovery
from kemi.core.call.own_request import learn_target, own_request_to_ims
from kemi.core.call.record import CallRecord, Exchange
from kemi.core.call.settings import CallSettings
from kemi.core.errors import LocalProtocolError, NotAcceptableHere, RemoteProtocolError
from kemi.core.messages import Reply
from kemi.core.sdp.interwork.page_reoffer import read_page_answer
from kemi.core.sdp.interwork.wic import as_agreed
from kemi.core.sdp.text import sdp_from_own_text, sdp_to_text


def take_from_page(record: CallRecord, body: str, settings: CallSettings) -> None:
    """Put the page's answer, with its new transport, into the media of the open exchange; raise what a bad one
    deserves."""
    opened = record.exchange
    if opened is None:
        raise LocalProtocolError("no offer is open")
    offer = sdp_from_own_text(opened.wic_description)
    agreed = as_agreed(offer, take_page_answer(opened.media, offer, body).description)
    answered = read_page_answer(offer, body, known_media(record), settings.video_codecs)
    lines = {one.kind: one for one in answered if one.is_on}
    for medium in opened.media:
        found = lines.get(medium.kind)
        if not medium.active or found is None:
            continue
        medium.wic_offer = found.wic_offer or medium.wic_offer
        medium.reverse_answer = found.reverse_answer or medium.reverse_answer
    if not any(medium.active for medium in opened.media):
        raise NotAcceptableHere("the page refused every medium")
    opened.wic_description = sdp_to_text(agreed)


def take_from_core(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Put the far end's answer into the media of the open exchange; raise what a bad one deserves."""
    opened, recovery = _open(record)
    learn_target(record.legs[record.confirmed_tag], reply)
    clock = session_timer.answered_by_core(record, reply, settings)
    if not reply.has_sdp:
        raise RemoteProtocolError("the core answered without a session description")
    asked = [medium for medium in opened.media if medium.active]
    take_far_answer(opened.media, opened.ims_description, reply.body)
    opened.ims_description = exchange.as_taken(record, opened.ims_description, reply.body, settings)
    recovery.is_stale = recovery.is_stale or any(
        medium.active and line_change(record.medium(medium.kind), medium) for medium in asked
    )
    return clock


def acknowledge_core(record: CallRecord, event: OwnRequestAnswered) -> list[act.Action]:
    """Acknowledge a 2xx, whatever became of the call meanwhile (RFC 3261 §13.2.2.4).

    tm has sent an ACK by itself, but with the branch of the INVITE, which it must not have (§17.1.1.3).
    """
    if not 200 <= event.status < 300:
        return []
    return [own_request_to_ims(record, record.confirmed_tag, "ACK", event.cseq)]


def longer_session(record: CallRecord, reply: Reply | None) -> bool:
    """Agree to the session interval a 422 asks for (RFC 4028 §7.4); False where it asks for nothing new."""
    asked = session_timer.min_se_of(reply) if reply is not None else 0
    if asked <= record.min_se_s:
        return False
    record.min_se_s = asked
    if record.ims_session is not None:
        record.ims_session.interval_s = max(record.ims_session.interval_s, asked)
    return True


def _open(record: CallRecord) -> tuple[Exchange, Recovery]:
    if record.exchange is None or record.recovery is None:
        raise LocalProtocolError("the call does not move")
    return record.exchange, record.recovery
