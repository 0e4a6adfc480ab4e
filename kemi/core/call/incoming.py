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
from dataclasses import replace
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, late_offer, session_timer
from kemi.core.call.events import IncomingReserved
from kemi.core.call.record import CallRecord, Incoming, Leg, Medium, checksum
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import MediaEvent, OfferAnswerEvent
from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Request, Side, addresses_from_headers, uri_from_address
from kemi.core.registration import Flow, Registration, same_contact
from kemi.core.sdp.interwork.incoming import CoreLine, client_offer, core_offer_media
from kemi.core.sdp.judge import WicTransport
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

_NOT_FOR_PAGES: Final = frozenset({"timer", "precondition"})
"""Extensions of the core that a page is not offered: we would have to keep them for it."""
_REFUSED: Final = frozenset({"precondition"})
"""Those that we do not keep for it either."""


def called_registration(request: Request, registration: Registration | None) -> Registration:
    """Return the registration that is called; raise SipReject when it is not the one of its connection any more.

    The page must be registered with the very Contact that is called (RFC 5626 §5.3.1).
    """
    if registration is None or not same_contact(registration.contact, request.request_uri):
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
    if refused := sorted(required & _REFUSED):
        names = ", ".join(refused)
        raise SipReject(
            f"not supported: {names}",
            status=420,
            reason_phrase="Bad Extension",
            lines=(f"Unsupported: {names}",),
        )
    if request.body and not request.has_sdp:
        raise SipReject(
            "only application/sdp is understood", status=415, reason_phrase="Unsupported Media Type"
        )
    caller_contact = uri_from_address(request.contact)
    if not caller_contact:
        raise RemoteProtocolError("an INVITE needs a Contact (RFC 3261 §8.1.1.8)")
    offer = request.body or late_offer.stand_in(request, settings, session_id)
    lines = core_offer_media(sdp_from_text(offer), settings.video_codecs)
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
        wic_cseq=0,
        ims_cseq=0,
        ims_takes_update="update" in request.tokens("Allow"),
        gateway_cseq=request.cseq,
        connection_id=flow.connection_id,
        source=flow.source,
        owner=registration.owner,
        node=node,
        transport=WicTransport.SHARED.value,
        session_id=session_id,
        media=[
            _medium(line, place, one_way=registration.one_way_streams) for place, line in enumerate(lines)
        ],
        ims_offer=offer,
        far_checksum=checksum(request.body) if request.body else "",
        legs={request.from_tag: Leg(caller_contact, addresses_from_headers(request.headers("Record-Route")))},
        incoming=Incoming(
            vias=headers.vias_of_response(request),
            identities=_identities(request, registration),
            late_offer=not request.body,
            unreliable_refused="100rel" in required,
            takes_reliable="100rel" in request.tokens("Supported") | required,
        ),
    )
    session_timer.asked_by_core(record, request, settings)
    edits = _edits_of_invite(record, request, required, settings)
    media = "+".join(line.kind for line in lines)
    note = act.Note("call_towards_page", logging.INFO, {"media": media, "late_offer": int(not request.body)})
    create = act.CreateTransaction(gateway_tag)
    if request.body:
        record.move_ims(OfferAnswerEvent.OFFER_RECEIVED)
    reserve = act.ReserveIncoming(record.key, node, {line.kind: line.sdp for line in lines}, edits)
    return record, [note, create, reserve]


def _medium(line: CoreLine, place: int, *, one_way: bool) -> Medium:
    """Return what is remembered of a medium that the core offers; the page has a line for each direction, or one."""
    return Medium(
        kind=line.kind,
        wic_offer="",
        line=2 * place + 1 if one_way else place,
        reverse_line=2 * place if one_way else None,
        ims_line=line.place,
        ims_answer=line.sdp,
        ims_direction=line.direction,
        reverse=one_way,
    )


def _call_page(edits: act.MessageEdits, settings: CallSettings) -> act.ForwardInvite:
    return act.ForwardInvite(edits, settings.update_s, settings.ims_answer_s, to=Side.WIC)


def _edits_of_invite(
    record: CallRecord, request: Request, required: set[str], settings: CallSettings
) -> act.MessageEdits:
    supported = (request.tokens("Supported") | required) - _NOT_FOR_PAGES
    if not request.body:
        supported -= {"100rel"}  # our offer would have to go to the core in its 18x (RFC 3261 §13.2.1)
    hidden, warnings = boundary.towards_page(request, settings)
    # asked for as an option: a page without it would refuse the call
    others = required - _NOT_FOR_PAGES - {"100rel"}
    return act.MessageEdits(
        next_hop=record.wic_destination,
        from_tag=record.gateway_tag,
        to_tag="",
        remove=(
            *("Contact", "Record-Route", "Route", "Supported", "Require", "Session-Expires", "Min-SE"),
            *hidden,
        ),
        insert=(
            *warnings,
            f"Contact: <{settings.wic_contact}>",
            *((f"Supported: {', '.join(sorted(supported))}",) if supported else ()),
            *((f"Require: {', '.join(sorted(others))}",) if others else ()),
        ),
    )


def _identities(request: Request, registration: Registration) -> list[str]:
    """Return the page's public identities, the one that was called first (P-Called-Party-ID, RFC 7315 §4.2)."""
    own = [uri_from_address(value) for value in registration.identities]
    called = [uri_from_address(value) for value in request.headers("P-Called-Party-ID")[:1]]
    return list(dict.fromkeys([*called, *own]))


def on_reserved(record: CallRecord, event: IncomingReserved, settings: CallSettings) -> list[act.Action]:
    """Call the page, over its own connection and no other."""
    record.move_media(MediaEvent.RESERVED)
    lines = core_offer_media(sdp_from_text(record.ims_offer), settings.video_codecs)
    one_way = any(medium.reverse_line is not None for medium in record.media)
    offer = client_offer(lines, event.offers, Origin(record.session_id, 1), one_way=one_way)
    record.wic_description = sdp_to_text(offer)
    record.move_wic(OfferAnswerEvent.OFFER_SENT)
    return [_call_page(replace(event.edits, body=record.wic_description), settings)]
