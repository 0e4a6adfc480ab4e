"""An INVITE of the core without an offer: we offer both sides, the core's ACK answers (RFC 3261 §13.2.1).

    IMS                      we                                     WIC
     │ INVITE ──────────────►│ stand_in ─────────── INVITE, offer ──►│
     │                       │◄──────────────── 200 with answer ─────│
     │◄── 200, our offer ────│ offer_to_core
     │ ACK with answer ─────►│ take_answer ──────────────────── ACK ►│

Third-party call control and conference servers call so (RFC 3725).  The page is offered what it would be if the core
had offered all that the relay can do, so that it makes no difference to it: a client of one line for each medium, or of
one for each direction.  Video is offered where the caller says that it has any, for nobody's camera is to be switched
on unasked.
"""

from __future__ import annotations

from collections.abc import Mapping

from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.events import Continuation
from kemi.core.call.media.session import medium_change, offer_to_text
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import MediaEvent, OfferAnswerEvent
from kemi.core.errors import NotAcceptableHere, RemoteProtocolError
from kemi.core.messages import Request, addresses_from_headers, parameter
from kemi.core.sdp.codecs import OnlyThese
from kemi.core.sdp.interwork import Origin, ims_answer_media
from kemi.core.sdp.interwork.incoming import core_offer_media
from kemi.core.sdp.interwork.late import core_offer, stand_in_offer
from kemi.core.sdp.text import sdp_from_text, sdp_to_text


def stand_in(request: Request, settings: CallSettings, session_id: int) -> str:
    """Return what the core might have offered."""
    video = settings.video_codecs if _wants_video(request) else ()
    origin = Origin(session_id + 1, 1, settings.media_address)
    offer = stand_in_offer(settings.audio_codecs, video, origin, keyed=settings.keys_towards_core)
    return sdp_to_text(offer)


def _wants_video(request: Request) -> bool:
    """Whether the caller's Contact, or what it wants of the callee's, has the feature tag (RFC 3840 §10.5)."""
    wanted = [request.contact, *addresses_from_headers(request.headers("Accept-Contact"))]
    found = [parameter(value, "video") for value in wanted]
    return any(value is not None and value.upper() != "FALSE" for value in found)


def offer_to_core(record: CallRecord, relay_answers: Mapping[str, str], settings: CallSettings) -> str:
    """Return our offer for the core, once the page has answered ours."""
    record.move_ims(OfferAnswerEvent.OFFER_SENT)
    placeholder = sdp_from_text(record.ims_offer)
    offer = core_offer(
        placeholder,
        core_offer_media(placeholder, settings.video_codecs, settings.audio_codecs),
        {medium.kind: medium.wic_direction for medium in record.media},
        {medium.kind: medium.wic_offer for medium in record.media if medium.active},
        relay_answers,
        Origin(record.session_id + 1, 1, settings.media_address),
        transcoding=not isinstance(settings.audio_codecs, OnlyThese),
    )
    return offer_to_text(offer, settings)


def take_answer(
    record: CallRecord, request: Request, then: Continuation, settings: CallSettings
) -> list[act.Action]:
    """Read the answer in the core's ACK; raise what it deserves.

    ``then``: what follows the relay's work, whatever change of the core has begun by then.
    """
    if not request.has_sdp:
        raise RemoteProtocolError("the ACK has no session description to answer ours")
    kinds = tuple(medium.kind for medium in record.media)
    answers = ims_answer_media(request.body, kinds, record.ims_description)
    record.ims_description = exchange.as_taken(record, record.ims_description, request.body, settings)
    if all(answers[medium.kind].sdp is None for medium in record.media if medium.active):
        raise NotAcceptableHere("the caller refused every medium")
    record.move_ims(OfferAnswerEvent.ANSWER_RECEIVED)
    record.move_media(MediaEvent.CONNECTED)
    record.page_behind = True  # of a direction or codec that the core chose otherwise, or of video it has not
    changes = []
    refused = []
    for medium in record.media:
        answer = answers[medium.kind]
        if not medium.active:
            continue
        medium.ims_answer, medium.ims_direction = answer.sdp or "", answer.direction
        if answer.sdp is None:
            medium.active = False
            refused.append(medium.kind)
            continue
        if medium.kind == "video":
            medium.codec = answer.codec or ""
        changes.append(medium_change(medium))
    actions: list[act.Action] = [
        act.ReofferFromIms(record.key, record.node, record.transport, tuple(changes), bearer=then)
    ]
    if refused:
        actions.append(act.ReleaseMedia(record.key, record.node, tuple(refused)))
    return actions
