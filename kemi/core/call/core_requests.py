"""Requests of the core inside the dialog, on their way to the page: tags, CSeq and Contact are translated.

The page sees one dialog with us, whichever fork of the core's a request comes from.
"""

from __future__ import annotations

from dataclasses import replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, preconditions
from kemi.core.call.ending import hang_up, hang_up_both
from kemi.core.call.events import ImsRequest
from kemi.core.call.in_dialog import NO_DIALOG, PASSED_ON, follow, unknown
from kemi.core.call.late_offer import take_answer
from kemi.core.call.record import CallRecord, Outstanding
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.errors import GatewayError
from kemi.core.messages import Request, Side


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
            lines = (
                boundary.contact_for_core(record, settings),
                headers.ALLOW,
                *boundary.charging_line(record),
            )
            return [act.SendReply(200, "OK", lines)]
        detail = "changing a running session is not supported yet"
        return [act.SendReply(488, "Not Acceptable Here", headers.explanation(detail, settings.realm))]
    if request.method not in PASSED_ON and not (request.method == "PRACK" and record.incoming is not None):
        return [act.SendReply(405, "Method Not Allowed", (headers.ALLOW,))]
    if not event.flow_alive:
        return [
            act.SendReply(
                480, "Temporarily Unavailable", headers.explanation("the page is away", settings.realm)
            )
        ]
    return [_forward_to_wic(record, request, settings)]


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
    if rack := preconditions.rack_of_page(record, request):
        hidden, insert = (*hidden, "RAck"), (*insert, rack)
    return act.MessageEdits(
        request_uri=record.wic_contact,
        next_hop=record.wic_destination,
        from_tag=record.gateway_tag,
        to_tag=None if record.incoming is None else record.wic_tag,
        cseq=cseq,
        remove=("Route", "Contact", *hidden),
        insert=insert,
    )
