"""An INVITE of the core without an offer: the page's 200 offers, the core's ACK answers (RFC 3261 §13.2.1).

    IMS                      we                                     WIC
     │ INVITE ──────────────►│──────────────────────────── INVITE ──►│
     │                       │◄───────────────── 200 with offer ─────│ take_offer
     │◄── 200, our offer ────│ offer_core
     │ ACK with answer ─────►│ take_answer ─────── ACK, our answer ─►│

Third-party call control and conference servers call so (RFC 3725).  Audio only: what the page is answered has to be
written before the core says which media it takes.
"""

from __future__ import annotations

from collections.abc import Mapping

from kemi.core.call import actions as act
from kemi.core.call.events import Reserved
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.setup import SetUp, medium_from_plan
from kemi.core.call.states import OfferAnswerEvent
from kemi.core.errors import NotAcceptableHere, RemoteProtocolError
from kemi.core.messages import Reply, Request
from kemi.core.sdp.interwork import Origin, ims_answer_media, ims_offer, wic_answer
from kemi.core.sdp.judge import Flow, choose_transport, client_capabilities, judge_offer
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

_UNKNOWN_CLIENT = client_capabilities("", "")


def take_offer(record: CallRecord, reply: Reply) -> act.ReserveMedia:
    """Judge the offer in the page's 200; raise what it deserves."""
    offer = sdp_from_text(reply.body)
    judgement = judge_offer(offer, _UNKNOWN_CLIENT, video_codecs=())
    if judgement.flow is not Flow.BOTH_WAYS:
        raise NotAcceptableHere("the page offers one way only where the core asked for an offer")
    transport, _why = choose_transport(offer, judgement)
    record.transport = transport.value
    record.media = [medium_from_plan(offer, plan, place) for place, plan in enumerate(judgement.media)]
    if record.wic_offer_answer is record.wic_offer_answer.IDLE:
        record.move_wic(OfferAnswerEvent.OFFER_RECEIVED)
    return act.ReserveMedia(
        call_id=record.key,
        node=record.node,
        transport=record.transport,
        media=tuple(act.MediumRequest(medium.kind, medium.wic_offer, False) for medium in record.media),
        context=SetUp(offer, judgement, transport),
        reply=reply,
    )


def offer_core(
    record: CallRecord, set_up: SetUp, reserved: Mapping[str, Reserved], settings: CallSettings
) -> str:
    """Return our offer for the core; the page's answer is written now as well, and waits for the ACK."""
    answer = wic_answer(
        set_up.offer,
        set_up.judgement,
        {kind: given.relay_answer for kind, given in reserved.items()},
        set_up.transport,
        Origin(record.session_id, 1),
    )
    record.wic_answer = record.wic_description = sdp_to_text(answer)
    record.move_ims(OfferAnswerEvent.OFFER_SENT)
    offer = ims_offer(
        set_up.judgement,
        {kind: given.relay_offer for kind, given in reserved.items()},
        Origin(record.session_id + 1, 1, settings.media_address),
        settings.audio_codecs,
    )
    return sdp_to_text(offer)


def take_answer(record: CallRecord, request: Request) -> act.ConnectMedia:
    """Read the answer in the core's ACK; raise what it deserves."""
    record.move_wic(OfferAnswerEvent.ANSWER_SENT)
    if not request.has_sdp:
        raise RemoteProtocolError("the ACK has no session description to answer ours")
    answers = ims_answer_media(request.body, tuple(medium.kind for medium in record.media))
    if all(answer.sdp is None for answer in answers.values()):
        raise NotAcceptableHere("the caller refused every medium")
    record.move_ims(OfferAnswerEvent.ANSWER_RECEIVED)
    media = []
    for medium in record.media:
        answer = answers[medium.kind]
        medium.answered, medium.active, medium.codec = True, answer.sdp is not None, answer.codec or ""
        medium.ims_answer, medium.ims_direction = answer.sdp or "", answer.direction
        media.append(act.MediumAnswer(medium.kind, medium.wic_offer, False, answer.sdp))
    # what brought the answer is a request here; on_late_connected does not look at it
    bearer = Reply(
        request.side, request.method, request.call_id, request.from_tag, request.to_tag, request.cseq
    )
    return act.ConnectMedia(record.key, record.node, record.transport, tuple(media), bearer)
