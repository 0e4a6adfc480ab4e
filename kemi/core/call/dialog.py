"""Requests inside the dialog, both ways: tags, CSeq, Contact and route set are translated, the rest passes.

A page sees one dialog with us; the core sees the page's own tag and CSeq numbers, and ours as Contact.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kemi.core import headers, trust
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.answer import on_invite_reply, own_request_to_ims
from kemi.core.call.correction import on_correction_answered
from kemi.core.call.events import (
    CancelReceived,
    Due,
    FlowClosed,
    ImsReply,
    ImsRequest,
    TimerFired,
    UpdateAnswered,
    WicReply,
    WicRequest,
)
from kemi.core.call.late_offer import take_answer
from kemi.core.call.record import CallRecord, Outstanding
from kemi.core.call.settings import CallSettings
from kemi.core.call.setup import (
    cancel_forwarded,
    finish,
    on_answer_acknowledged,
    on_set_up_answered,
    reject,
    release_media,
    send_update,
)
from kemi.core.call.states import Dialog, DialogEvent, OfferAnswer
from kemi.core.errors import GatewayError
from kemi.core.messages import Request, Side, uri_from_address
from kemi.core.registration import Flow

FORGET_AFTER_S = 34.0
"""How long a hung-up call's record waits for the far end's answer to the BYE: a little over 64*T1."""
PASSED_ON: Final = frozenset({"INFO", "MESSAGE", "OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE"})

NO_DIALOG: Final = act.SendReply(481, "Call/Transaction Does Not Exist")

WicStep = Callable[[CallRecord, Request, CallSettings], list[act.Action]]


# ---------------------------------------------------------------- from the page


def on_wic_request(record: CallRecord, event: WicRequest, settings: CallSettings) -> list[act.Action]:
    """Sort a request of the page."""
    request = event.request
    if request.to_tag != record.gateway_tag or request.from_tag != record.wic_tag:
        return _unknown(request)
    if request.connection_id != record.connection_id:
        if event.owner() != record.owner:
            return _unknown(request)
        # The page is back on a new connection (RFC 5626 §4.4): its calls follow it.
        record.connection_id, record.source = request.connection_id, request.source
    record.wic_cseq = max(record.wic_cseq, request.cseq)
    step = _WIC_STEPS.get(request.method)
    if step is None:
        return [act.SendReply(405, "Method Not Allowed", (headers.ALLOW,))]
    return step(record, request, settings)


def _unknown(request: Request) -> list[act.Action]:
    return [] if request.method == "ACK" else [NO_DIALOG]


def _wic_prack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Match RAck against what is unacknowledged (RFC 3262 §3); ours is answered here, the core's goes there."""
    rseq, _, rest = "".join(request.headers("RAck")).strip().partition(" ")
    cseq, _, method = rest.strip().partition(" ")
    if method.strip() != "INVITE" or cseq != str(record.invite_cseq):
        return [act.SendReply(481, "No Such Provisional Response")]
    if rseq == "1" and record.awaiting_prack:
        if request.body:
            return [
                act.SendReply(
                    488,
                    "Not Acceptable Here",
                    headers.explanation("no offer is expected in this PRACK", settings.realm),
                )
            ]
        return [act.SendReply(200, "OK"), *on_answer_acknowledged(record, settings)]
    known = record.reliable.get(rseq)
    if known is None:
        return [act.SendReply(481, "No Such Provisional Response")]
    tag, core_rseq = known
    edits = _edits_to_ims(record, request, tag, settings)
    return [
        act.ForwardRequest(
            Side.IMS,
            act.MessageEdits(
                request_uri=edits.request_uri,
                next_hop=edits.next_hop,
                from_value=edits.from_value,
                to_tag=edits.to_tag,
                remove=(*edits.remove, "RAck"),
                insert=(*edits.insert, f"RAck: {core_rseq} {cseq} INVITE"),
            ),
        )
    ]


def _wic_ack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    if record.incoming is not None or not record.confirmed_tag or request.cseq != record.invite_cseq:
        return []
    record.acknowledged = True
    forward = act.ForwardRequest(Side.IMS, _edits_to_ims(record, request, record.confirmed_tag, settings))
    if record.doomed and not record.ended:
        return [forward, *hang_up_both(record, settings)]
    return [forward]


def _wic_bye(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    if record.ended:
        return [act.SendReply(200, "OK")]
    if record.dialog is Dialog.CONFIRMED:
        forward = act.ForwardRequest(Side.IMS, _edits_to_ims(record, request, record.confirmed_tag, settings))
        return _hang_up(record, "wic", forward)
    if record.incoming is not None:
        return [NO_DIALOG]  # a callee does not end an early dialog by BYE (RFC 3261 §15)
    # RFC 3261 §15.1.2: a BYE in an early dialog ends the INVITE with 487
    ok = act.SendReply(200, "OK")
    record.cancelled = record.abandoned = True
    if record.forwarded:
        return [ok, cancel_forwarded(record)]
    return [ok, act.Unschedule(record.key), *reject(record, 487, "Request Terminated", "")]


def _wic_session_change(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """UPDATE or re-INVITE: a refresh without an offer is fine, another offer is not taken in this release."""
    if request.method == "UPDATE" and not request.body:
        return [act.SendReply(200, "OK", (f"Contact: <{settings.wic_contact}>", headers.ALLOW))]
    detail = "changing a running session is not supported yet"
    return [act.SendReply(488, "Not Acceptable Here", headers.explanation(detail, settings.realm))]


def _wic_passed_on(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    tag = record.current_tag
    if not tag or record.ended:
        return [NO_DIALOG]
    return [act.ForwardRequest(Side.IMS, _edits_to_ims(record, request, tag, settings))]


def _edits_to_ims(record: CallRecord, request: Request, tag: str, settings: CallSettings) -> act.MessageEdits:
    """Return how a request of the page looks inside the core's dialog ``tag``."""
    leg = record.legs[tag]
    insert = (
        *(f"Route: {route}" for route in leg.route_set),
        *boundary.credential_lines(request),
        *boundary.every_request(record, settings),
    )
    if request.contact:
        insert += (boundary.contact_for_core(record, settings),)
    return act.MessageEdits(
        request_uri=leg.contact,
        next_hop=uri_from_address(leg.route_set[0]) if leg.route_set else leg.contact,
        from_value=boundary.from_for_core(request),
        from_tag=None if record.incoming is None else record.gateway_tag,
        to_tag=tag,
        remove=("Route", "Contact", *trust.FROM_PAGE),
        insert=insert,
    )


_WIC_STEPS: Final[Mapping[str, WicStep]] = MappingProxyType(
    {
        "PRACK": _wic_prack,
        "ACK": _wic_ack,
        "BYE": _wic_bye,
        "UPDATE": _wic_session_change,
        "INVITE": _wic_session_change,
        **dict.fromkeys(PASSED_ON, _wic_passed_on),
    }
)


# ---------------------------------------------------------------- from the core


def on_ims_request(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    """Sort a request of the core."""
    request = event.request
    if request.from_tag not in record.legs or request.to_tag != record.ims_tag:
        return _unknown(request)
    follow(record, event.successor)
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
    edits = _edits_to_wic(record, request, request.cseq, settings)
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


def follow(record: CallRecord, successor: Flow | None) -> None:
    """The page is back on a new connection and has said nothing in this call yet."""
    if successor is not None:
        record.connection_id, record.source = successor.connection_id, successor.source


def _ims_bye(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    if record.incoming is not None and record.dialog is Dialog.EARLY and event.flow_alive:
        return [_forward_to_wic(record, event.request, settings)]  # the page's 487 ends the INVITE
    if record.ended or event.request.from_tag != record.confirmed_tag:
        return [act.SendReply(200, "OK")]  # crossed with the page's BYE, or a fork we hung up
    if not event.flow_alive:
        return [*_hang_up(record, "ims", act.SendReply(200, "OK")), act.ForgetCall(record.key)]
    return _hang_up(record, "ims", _forward_to_wic(record, event.request, settings))


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
    return act.ForwardRequest(Side.WIC, _edits_to_wic(record, request, cseq, settings))


def _edits_to_wic(
    record: CallRecord, request: Request, cseq: int, settings: CallSettings
) -> act.MessageEdits:
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


def _hang_up(
    record: CallRecord, by: str, *goodbye: act.Action, event: DialogEvent = DialogEvent.BYE
) -> list[act.Action]:
    """End an answered call.  The goodbye is sent before the relay is asked, which may be slow; the wake-up is set
    before the goodbye, whose answer takes it away again and may come at once."""
    record.move_dialog(event)
    return [
        act.Schedule(record.key, Due.FORGET, FORGET_AFTER_S),
        *goodbye,
        act.Note("call_ended", logging.INFO, {"by": by}),
        *release_media(record),
    ]


# ---------------------------------------------------------------- replies


def on_ims_reply(record: CallRecord, event: ImsReply, settings: CallSettings) -> list[act.Action]:
    """Bring the core's response to any request of the page into the page's dialog."""
    reply = event.reply
    if reply.from_tag != record.ims_tag:
        return []
    if reply.method == "INVITE":
        return on_invite_reply(record, reply, settings)
    hidden, insert = boundary.towards_page(reply, settings)
    edits = act.MessageEdits(
        from_tag=None if record.incoming is None else record.wic_tag,
        to_tag=record.gateway_tag,
        remove=("Contact", *hidden),
        insert=insert,
    )
    actions: list[act.Action] = [act.ForwardReply(edits)]
    if reply.method == "BYE" and reply.status >= 200 and record.ended:  # not to our own BYE to a second fork
        actions.append(act.ForgetCall(record.key))
    return actions


def on_wic_reply(record: CallRecord, event: WicReply, settings: CallSettings) -> list[act.Action]:
    """Bring the page's response to a request of the core back into the core's dialog."""
    reply = event.reply
    if reply.from_tag != record.gateway_tag:
        return []
    known = record.outstanding.get(str(reply.cseq))
    if known is None:
        return []  # the answer to a request of our own: tm hands it to us by itself
    insert = boundary.charging_line(record)
    if reply.contact:
        insert.append(boundary.contact_for_core(record, settings))
    edits = act.MessageEdits(
        from_tag=known.tag,
        to_tag=None if record.incoming is None else record.gateway_tag,
        cseq=known.cseq,
        remove=("Contact", "Record-Route", *trust.FROM_PAGE),
        insert=tuple(insert),
        vias=tuple(known.vias),
    )
    actions: list[act.Action] = [act.ForwardReply(edits)]
    if reply.status >= 200:
        del record.outstanding[str(reply.cseq)]
        if reply.method == "BYE" and record.ended:  # not to one in an early dialog: the INVITE's end follows
            actions.append(act.ForgetCall(record.key))
    return actions


def on_update_answered(record: CallRecord, event: UpdateAnswered, settings: CallSettings) -> list[act.Action]:
    """The page answered our UPDATE: during the set-up, or a correction afterwards."""
    if not record.updating or record.ended:
        return []  # the call ended while the UPDATE was under way
    if record.forwarded:
        return on_correction_answered(record, event, settings)
    return on_set_up_answered(record, event, settings)


# ---------------------------------------------------------------- cancel, dead flows, timers


def on_cancel(record: CallRecord, _event: CancelReceived, _settings: CallSettings) -> list[act.Action]:
    """The page cancelled.  Before the core knows the call it ends here; afterwards the core's 487 (or 200) decides."""
    if record.ended or record.dialog is Dialog.CONFIRMED:
        return []
    record.cancelled = True
    if record.forwarded:
        return []
    note = act.Note("call_cancelled", logging.INFO)
    return [note, act.Unschedule(record.key), *finish(record, DialogEvent.CANCELLED)]


def on_flow_closed(record: CallRecord, _event: FlowClosed, settings: CallSettings) -> list[act.Action]:
    """The page's connection is gone.  A set-up ends at once; a running call waits for the page to come back."""
    if record.ended or record.abandoned:
        return []
    note = act.Note("flow_lost", logging.WARNING, {"state": record.dialog.value})
    if record.dialog is Dialog.CONFIRMED:
        return [note, act.Schedule(record.key, Due.FLOW_RECOVERY, settings.flow_recovery_s)]
    record.cancelled = record.abandoned = True
    if record.forwarded:
        return [note, cancel_forwarded(record)]
    return [note, act.Unschedule(record.key), *reject(record, 480, "Page Gone", "the WebSocket closed")]


def on_timer(record: CallRecord, event: TimerFired, settings: CallSettings) -> list[act.Action]:
    """Do what was scheduled, if it still makes sense."""
    follow(record, event.successor)
    if event.due is Due.FORGET:
        return [act.ForgetCall(record.key)]
    if record.ended:
        return []
    if event.due is Due.PRACK_TIMEOUT and record.awaiting_prack:
        return reject(record, 504, "Server Time-out", "no PRACK came for the answer")
    if (
        event.due is Due.UPDATE_RETRY
        and record.update_offer
        and record.wic_offer_answer is OfferAnswer.STABLE
    ):
        return send_update(record, settings)
    if event.due is Due.FLOW_RECOVERY and not event.flow_alive and record.confirmed_tag:
        bye = own_request_to_ims(record, record.confirmed_tag, "BYE", record.wic_cseq + 1)
        ended = _hang_up(record, "flow_lost", bye, event=DialogEvent.FLOW_LOST)
        return [*ended, act.ForgetCall(record.key)]
    return []


def hang_up_both(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """End an answered call for want of media, towards both sides."""
    reason = f'Reason: SIP;cause=488;text="{headers.quotable(record.doomed)[:80]}"'
    return hang_up_by_gateway(record, settings, reason, reach_page=True)


def hang_up_by_gateway(
    record: CallRecord, settings: CallSettings, reason: str, *, reach_page: bool
) -> list[act.Action]:
    """End an answered call ourselves, with a Reason line; the page hears of it if its connection stands."""
    goodbyes: list[act.Action] = []
    if record.incoming is None and not record.acknowledged:
        goodbyes.append(own_request_to_ims(record, record.confirmed_tag, "ACK", record.invite_cseq))
    goodbyes.append(own_request_to_ims(record, record.confirmed_tag, "BYE", record.wic_cseq + 1, reason))
    if reach_page:
        to_wic = act.SendRequest(
            to=Side.WIC,
            method="BYE",
            request_uri=record.wic_contact,
            next_hop=record.wic_destination,
            headers=(*headers.towards_wic(record, settings, record.next_gateway_cseq(), "BYE"), reason),
        )
        goodbyes.append(to_wic)
    return [*_hang_up(record, "gateway", *goodbyes), act.ForgetCall(record.key)]
