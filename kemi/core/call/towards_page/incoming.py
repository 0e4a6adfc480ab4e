"""A call from the core towards a page (TS 24.229 §5.2.6.4, RFC 5626 §5.3).

    IMS                      we                                     WIC
     │ INVITE, our Path ────►│ begin_incoming
     │                       │ on_reserved ── INVITE, our offer ────►│
     │◄── 18x, our tag ──────│◄───────────────────────────── 18x ────│ page_answer.on_reply
     │                       │◄──────────────── 200 with answer ─────│ page_answer.on_reply
     │◄── 200 with answer ───│ page_answer.on_connected
     │ ACK ─────────────────►│──────────────────────────────── ACK ─►│

One page has one dialog, so ours with the core has one too; its tag is our own, and the same one stands for the caller
towards the page.  The INVITE is forwarded in its transaction: CANCEL, with its Reason, is Kamailio's work.
"""

from __future__ import annotations

import logging

from kemi.core import headers
from kemi.core.bodies import takes_parts, unsupported
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.events import IncomingReserved
from kemi.core.call.from_page.setup import reserved_too_late
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media import digits, media_control
from kemi.core.call.record import CallRecord, Leg, checksum
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import MediaEvent, OfferAnswerEvent
from kemi.core.call.towards_page import late_offer, preconditions
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.core.call.towards_page.page_invite import (
    call_page,
    describe_to_page,
    edits_of_invite,
    medium_of,
)
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Request, addresses_from_headers, uri_from_address
from kemi.core.registration import Flow, Registration, same_contact
from kemi.core.sdp.interwork.incoming import core_offer_media, offered_transport
from kemi.core.sdp.judge import WicTransport
from kemi.core.sdp.text import sdp_from_text
from kemi.core.trust import withholds_identity


def called_registration(request: Request, registration: Registration | None) -> Registration:
    """Return the registration that is called; raise SipReject when it is not the one of its connection any more.

    The page must be registered with the very Contact that is called (RFC 5626 §5.3.1).
    """
    if registration is None:  # the connection was lost since its token was looked at
        raise SipReject("the page's connection is gone", status=430, reason_phrase="Flow Failed")
    if not same_contact(registration.contact, request.request_uri):
        raise SipReject(
            "the page has registered another Contact", status=480, reason_phrase="Temporarily Unavailable"
        )
    return registration


def begin_incoming(
    request: Request,
    flow: Flow,
    registration: Registration,
    settings: CallSettings,
    *,
    gateway_tag: str,
    session_id: int,
    node: str,
) -> tuple[CallRecord, list[act.Action]]:
    """Judge the core's INVITE; raise what it deserves, or return the new record and the first actions."""
    required = request.tokens("Require")
    if request.body and not request.has_sdp:
        raise unsupported("only application/sdp is understood")
    if request.required_parts and not takes_parts((), registration.sent.contact_value):
        raise unsupported("the page takes no bodies of several parts", "Accept: application/sdp")
    caller_contact = uri_from_address(request.contact)
    if not caller_contact:
        raise RemoteProtocolError("an INVITE needs a Contact (RFC 3261 §8.1.1.8)")
    offer = request.body or late_offer.stand_in(request, settings, session_id)
    lines = core_offer_media(sdp_from_text(offer), settings.video_codecs, settings.audio_codecs)
    one_way = registration.one_way_streams
    record = CallRecord(
        call_id=request.call_id,
        wic_tag="",
        gateway_tag=gateway_tag,
        wic_contact=request.request_uri,
        wic_uri=request.to_uri,
        target_uri=request.from_uri,
        request_uri=request.request_uri,
        remote_identity=boundary.remote_identity(request),
        charging_vector="".join(request.headers("P-Charging-Vector")[:1]),
        invite_via=next(iter(request.headers("Via")), ""),
        invite_cseq=request.cseq,
        wic_cseq=-1,
        ims_cseq=0,
        gateway_cseq=request.cseq,
        connection_id=flow.connection_id,
        source=flow.source,
        owner=registration.owner,
        registered_contact=registration.contact,
        wic_takes_parts=takes_parts((), registration.sent.contact_value),
        node=node,
        transport=WicTransport.SHARED.value,
        session_id=session_id,
        media=[medium_of(line, place, one_way=one_way) for place, line in enumerate(lines)],
        ims_offer=offer,
        far_checksum=checksum(request.body) if request.body else "",
        legs={
            request.from_tag: Leg(
                caller_contact,
                boundary.focus_of(request),
                addresses_from_headers(request.headers("Record-Route")),
                cseq=request.cseq,
                takes_update="update" in request.tokens("Allow"),
            )
        },
        incoming=Incoming(
            vias=headers.vias_of_response(request),
            identities=_identities(request, registration),
            withheld=withholds_identity(request.headers),
            late_offer=not request.body,
            unreliable_refused="100rel" in required,
            takes_reliable="100rel" in request.tokens("Supported") | required,
        ),
    )
    digits.learn(record, request)
    media_control.learn(record, request)
    session_timer.asked_by_core(record, request, settings)
    edits = edits_of_invite(record, request, settings)
    transport, why = offered_transport(
        lines, one_way=registration.one_way_streams, max_bundle=settings.max_bundle_pages
    )
    note = act.Note(
        "call_towards_page",
        logging.INFO,
        {
            "media": "+".join(line.kind for line in lines),
            "late_offer": int(not request.body),
            "transport": transport.value,
            "why": why,
        },
    )
    create = act.CreateTransaction(gateway_tag)
    if request.body:
        record.move_ims(OfferAnswerEvent.OFFER_RECEIVED)
        if preconditions.required(request) and preconditions.begin(record, request, lines):
            return record, [note, create, preconditions.answer_ahead(record, lines)]
    media_of_core = {line.kind: line.sdp for line in lines}
    return record, [note, create, act.ReserveIncoming(record.key, node, media_of_core, edits, begins=True)]


def _identities(request: Request, registration: Registration) -> list[str]:
    """Return the page's public identities, the one that was called first (P-Called-Party-ID, RFC 7315 §4.2)."""
    own = [uri_from_address(value) for value in registration.identities]
    called = [uri_from_address(value) for value in request.headers("P-Called-Party-ID")[:1]]
    return list(dict.fromkeys([*called, *own]))


def on_reserved(record: CallRecord, event: IncomingReserved, settings: CallSettings) -> list[act.Action]:
    """Call the page, over its own connection and no other."""
    if record.ended:
        return reserved_too_late(record.key, event)
    record.node = event.node or record.node
    record.move_media(MediaEvent.RESERVED)
    describe_to_page(record, event.offers, settings)
    return [call_page(record, event.edits, settings)]
