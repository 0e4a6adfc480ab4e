"""Requests of the core inside the dialog, on their way to the page: tags, CSeq and Contact are translated.

The page sees one dialog with us, whichever fork of the core's a request comes from.
"""

from __future__ import annotations

from dataclasses import replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, early_media, preconditions, reliable, session_timer
from kemi.core.call.answer import hear
from kemi.core.call.ending import hang_up, hang_up_both
from kemi.core.call.events import ImsRequest
from kemi.core.call.in_dialog import NO_DIALOG, PASSED_ON, follow, unknown
from kemi.core.call.late_offer import take_answer
from kemi.core.call.record import CallRecord, Incoming, Outstanding
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.errors import GatewayError
from kemi.core.messages import Reply, Request, Side


def on_ims_request(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    """Sort a request of the core."""
    request = event.request
    if request.from_tag not in record.legs or request.to_tag != record.ims_tag:
        return unknown(request)
    follow(record, event.successor)
    if request.method == "ACK":
        return _ims_ack(record, request, settings)
    if record.incoming is not None and not record.ended:
        own = preconditions.on_core_request(record, event, settings)
        if own is not None:
            return own
    if request.method == "BYE":
        return _ims_bye(record, event, settings)
    if record.ended:
        return [NO_DIALOG]
    if request.method in ("INVITE", "UPDATE"):
        if request.method == "UPDATE" and not request.body:
            session, clock = session_timer.refreshed_by_core(record, request, settings)
            if event.flow_alive and _names_another(record, request):
                return [_forward_to_wic(record, request, settings), *clock]
            lines = (
                boundary.contact_for_core(record, settings),
                headers.ALLOW,
                *session,
                *boundary.charging_line(record),
            )
            return [act.SendReply(200, "OK", lines), *clock, *_early_media(record, request, settings)]
        detail = "changing a running session is not supported yet"
        return [act.SendReply(488, "Not Acceptable Here", headers.explanation(detail, settings.realm))]
    if request.method == "PRACK" and record.incoming is not None:
        return _ims_prack(record, record.incoming, event, settings)
    if request.method not in PASSED_ON:
        return [act.SendReply(405, "Method Not Allowed", (headers.ALLOW,))]
    if not event.flow_alive:
        return [_page_away(settings)]
    return [_forward_to_wic(record, request, settings)]


def _names_another(record: CallRecord, request: Request) -> bool:
    """Whether an UPDATE says that somebody else is at the far end now, and the page can be told (RFC 4916 §4.5)."""
    asserted = boundary.remote_identity(request) or record.remote_identity
    if (request.from_uri, asserted) == (record.target_uri, record.remote_identity):
        return False
    confirmed = record.dialog is Dialog.CONFIRMED
    if not record.wic_takes_update or not (confirmed or record.needs_update):
        return False  # of an early dialog Allow is no promise; see kemi/core/sdp/judge.py
    record.remote_identity = asserted
    if confirmed:
        record.target_uri = request.from_uri
    return True


def _page_away(settings: CallSettings) -> act.SendReply:
    explanation = headers.explanation("the page is away", settings.realm)
    return act.SendReply(480, "Temporarily Unavailable", explanation)


def _ims_prack(
    record: CallRecord, incoming: Incoming, event: ImsRequest, settings: CallSettings
) -> list[act.Action]:
    """Match RAck against what is unacknowledged (RFC 3262 §3); the page's goes there, under its own number."""
    request = event.request
    found = reliable.acknowledged(
        record, incoming, "".join(request.headers("RAck")), bool(request.body), settings
    )
    if not isinstance(found, int):
        return found
    if not event.flow_alive:
        return [_page_away(settings)]
    forward = _forward_to_wic(record, request, settings)
    edits = replace(
        forward.edits,
        remove=(*forward.edits.remove, "RAck"),
        insert=(*forward.edits.insert, f"RAck: {found} {record.invite_cseq} INVITE"),
    )
    return [replace(forward, edits=edits)]


def _early_media(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """An UPDATE of a fork that rings may open or close its early media (RFC 5009 §8)."""
    if record.incoming is not None or record.confirmed_tag or not request.headers("P-Early-Media"):
        return []
    early_media.learn(record.legs[request.from_tag], request)
    nothing = Reply(
        request.side, request.method, request.call_id, request.from_tag, request.to_tag, request.cseq
    )
    return hear(record, nothing, settings)


def _ims_ack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """The caller's ACK goes to the page that was called; of a call of the page the ACK is the page's."""
    if record.incoming is None or not record.confirmed_tag or request.cseq != record.invite_cseq:
        return []
    again, record.acknowledged = record.acknowledged, True
    edits = edits_to_wic(record, request, request.cseq, settings)
    if not record.incoming.late_offer:
        return [act.ForwardRequest(Side.WIC, edits)]
    forward = act.ForwardRequest(Side.WIC, replace(edits, body=""))
    if again or record.ended:
        return [forward]
    try:
        return [forward, *take_answer(record, request)]
    except GatewayError as error:
        record.doomed = error.detail
        return [forward, *hang_up_both(record, settings)]


def _ims_bye(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    if record.incoming is not None and record.dialog is Dialog.EARLY and event.flow_alive:
        return [_forward_to_wic(record, event.request, settings)]  # the page's 487 ends the INVITE
    if record.ended or event.request.from_tag != record.confirmed_tag:
        return [act.SendReply(200, "OK")]  # crossed with the page's BYE, or a fork we hung up
    if not event.flow_alive:
        return [*hang_up(record, "ims", act.SendReply(200, "OK")), act.ForgetCall(record.key)]
    return hang_up(record, "ims", _forward_to_wic(record, event.request, settings))


def _forward_to_wic(record: CallRecord, request: Request, settings: CallSettings) -> act.ForwardRequest:
    """Put a request of the core into the page's dialog."""
    cseq = request.cseq + record.cseq_offset
    if (
        cseq <= record.gateway_cseq
    ):  # another fork, or numbers below those we used: stay rising (RFC 3261 §12.2.1.1)
        record.cseq_offset += record.gateway_cseq - cseq + 1
        cseq = record.gateway_cseq + 1
    record.gateway_cseq = cseq
    record.outstanding[str(cseq)] = Outstanding(
        request.from_tag, request.cseq, headers.vias_of_response(request)
    )
    return act.ForwardRequest(Side.WIC, edits_to_wic(record, request, cseq, settings))


def edits_to_wic(record: CallRecord, request: Request, cseq: int, settings: CallSettings) -> act.MessageEdits:
    """Return how a request of the core looks inside the page's dialog."""
    hidden, insert = boundary.towards_page(request, settings)
    if request.contact:
        insert += (f"Contact: <{settings.wic_contact}>",)
    return act.MessageEdits(
        request_uri=record.wic_contact,
        next_hop=record.wic_destination,
        from_tag=record.gateway_tag,
        to_tag=None if record.incoming is None else record.wic_tag,
        cseq=cseq,
        remove=("Route", "Contact", *hidden),
        insert=insert,
    )
