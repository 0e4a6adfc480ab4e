"""Requests of the core inside the dialog, on their way to the page: tags, CSeq and Contact are translated.

The page sees one dialog with us, whichever fork of the core's a request comes from.
"""

from __future__ import annotations

from dataclasses import replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call import core_late_offer as late
from kemi.core.call.core_offer import on_core_offer
from kemi.core.call.ending import hang_up, hang_up_both
from kemi.core.call.events import ImsRequest
from kemi.core.call.fitting import misfit
from kemi.core.call.in_dialog import NO_DIALOG, PASSED_ON, follow, unknown
from kemi.core.call.late_offer import take_answer
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.call.to_page import edits_to_page, forward_to_page
from kemi.core.errors import GatewayError
from kemi.core.messages import Request, Side


def on_ims_request(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    """Sort a request of the core."""
    request = event.request
    if request.from_tag not in record.legs or request.to_tag != record.ims_tag:
        return unknown(request)
    follow(record, event.successor)
    if refusal := misfit(record, request, settings):
        return refusal
    if request.method == "ACK":
        return _ims_ack(record, request, settings)
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
        return on_core_offer(record, event, settings)
    if request.method not in PASSED_ON and not (request.method == "PRACK" and record.incoming is not None):
        return [act.SendReply(405, "Method Not Allowed", (headers.ALLOW,))]
    if not event.flow_alive:
        return [
            act.SendReply(
                480, "Temporarily Unavailable", headers.explanation("the page is away", settings.realm)
            )
        ]
    return [forward_to_page(record, request, settings)]


def _ims_ack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """The caller's ACK goes to the page that was called; of a call of the page the ACK is the page's."""
    if late.awaits(record, request):
        return late.take_answer(record, request, settings)
    if record.last_core_invite is not None and record.last_core_invite[0] == request.cseq:
        cseq = record.last_core_invite[1]
        record.outstanding.pop(str(cseq), None)  # the 2xx will not come again
        return [act.ForwardRequest(Side.WIC, edits_to_page(record, request, cseq, settings))]
    if record.incoming is None or not record.confirmed_tag or request.cseq != record.invite_cseq:
        return []
    again, record.acknowledged = record.acknowledged, True
    edits = edits_to_page(record, request, request.cseq, settings)
    if not record.incoming.late_offer:
        return [act.ForwardRequest(Side.WIC, edits)]
    forward = act.ForwardRequest(Side.WIC, replace(edits, body=record.wic_answer))
    if again or record.ended:
        return [forward]
    try:
        return [forward, take_answer(record, request)]
    except GatewayError as error:
        record.doomed = error.detail
        return [forward, *hang_up_both(record, settings)]


def _ims_bye(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    if record.incoming is not None and record.dialog is Dialog.EARLY and event.flow_alive:
        return [forward_to_page(record, event.request, settings)]  # the page's 487 ends the INVITE
    if record.ended or event.request.from_tag != record.confirmed_tag:
        return [act.SendReply(200, "OK")]  # crossed with the page's BYE, or a fork we hung up
    if not event.flow_alive:
        return [*hang_up(record, "ims", act.SendReply(200, "OK")), act.ForgetCall(record.key)]
    return hang_up(record, "ims", forward_to_page(record, event.request, settings))
