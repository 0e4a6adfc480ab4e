"""Requests of the page inside the dialog, on their way to the core: tags, CSeq, Contact and route set are translated.

The core sees the page's own tag, and ours as Contact; its CSeq numbers are the page's unless we put requests of our own
between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import WicRequest
from kemi.core.call.from_page import credentials
from kemi.core.call.from_page.setup import cancel_forwarded, on_answer_acknowledged, reject
from kemi.core.call.in_dialog.common import (
    NO_DIALOG,
    PASSED_ON,
    ask_again,
    offer_in_prack,
    passes,
    unknown,
)
from kemi.core.call.in_dialog.fitting import misfit
from kemi.core.call.in_dialog.transfers import named_for_core, reported
from kemi.core.call.lifetime import session_timer
from kemi.core.call.lifetime.ending import hang_up, hang_up_both
from kemi.core.call.media import digits
from kemi.core.call.page_target import page_target
from kemi.core.call.record import CallRecord, Rejection
from kemi.core.call.renegotiation import ice_restart, page_late_offer
from kemi.core.call.renegotiation.page_offer import on_page_offer
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.messages import Request, Side, is_tel, uri_from_address
from kemi.core.trickle import has_candidates
from kemi.core.trunk import causes

WicStep = Callable[[CallRecord, Request, CallSettings], list[act.Action]]


def on_wic_request(record: CallRecord, event: WicRequest, settings: CallSettings) -> list[act.Action]:
    """Sort a request of the page."""
    request = event.request
    followed: list[act.Action] = []
    if request.to_tag != record.gateway_tag or request.from_tag != record.wic_tag:
        return unknown(request)
    if request.connection_id != record.connection_id:
        registration = event.registration()
        if registration is None and record.dialog is Dialog.CONFIRMED:
            # JsSIP begins to speak as soon as its new WebSocket is open, before its REGISTER is answered.  Until it is
            # known who asks nothing happens.
            later = ask_again(request)
            return unknown(request) if later is None else [later]
        if registration is None or registration.owner != record.owner:
            return unknown(request)
        # The page is back on a new connection (RFC 5626 §4.4): its calls follow it.
        if record.connection_id:  # it was not we who were away
            followed = ice_restart.expect(record, settings, is_back=True)
        record.connection_id, record.source = request.connection_id, request.source
        record.registered_contact = registration.contact
        record.ack_awaited = None  # of the connection before
    if refusal := misfit(record, request, settings):
        return [*followed, *refusal]
    step = _WIC_STEPS.get(request.method)
    if step is None:
        return [*followed, act.SendReply(405, "Method Not Allowed", (headers.ALLOW,))]
    return [*followed, *step(record, request, settings)]


def _wic_prack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Match RAck against what is unacknowledged (RFC 3262 §3); ours is answered here, the core's goes there."""
    rseq, _, rest = "".join(request.headers("RAck")).strip().partition(" ")
    cseq, _, method = rest.strip().partition(" ")
    if method.strip() != "INVITE" or cseq != str(record.invite_cseq):
        return [act.SendReply(481, "No Such Provisional Response")]
    known = record.reliable.get(rseq)
    if rseq == str(record.rseq) and record.awaiting_prack:
        done = [act.SendReply(200, "OK")]
        return (
            [offer_in_prack(settings)] if request.body else [*done, *on_answer_acknowledged(record, settings)]
        )
    if known is None:
        return [act.SendReply(481, "No Such Provisional Response")]
    if request.body:
        return [offer_in_prack(settings)]
    tag, core_rseq = known
    if tag not in record.legs:
        return [
            act.SendReply(200, "OK")
        ]  # the fork has given up meanwhile (199), which the page does not hear of
    edits = edits_to_ims(record, request, tag, settings)
    return [
        act.ForwardRequest(
            Side.IMS,
            replace(
                edits,
                remove=(*edits.remove, "RAck"),
                insert=(*edits.insert, f"RAck: {core_rseq} {record.ims_invite_cseq} INVITE"),
            ),
        )
    ]


def _wic_ack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    if record.ack_awaited is not None and record.acknowledged:
        return _ack_of_change(record, request, settings)
    if record.first_cseq == request.cseq and record.first_cseq and not record.acknowledged:
        # JsSIP numbers it by the INVITE that was challenged (from_page/challenged.py)
        record.invite_cseq, record.last_invite = request.cseq, (request.cseq, record.ims_invite_cseq)
    is_first = record.incoming is None and request.cseq == record.invite_cseq  # however often it went out
    if not is_first and record.last_invite is not None and request.cseq == record.last_invite[0]:
        return [act.ForwardRequest(Side.IMS, edits_to_ims(record, request, record.confirmed_tag, settings))]
    if page_late_offer.awaits(record, request):
        return page_late_offer.on_answer_in_ack(record, request, settings)
    if not is_first or not record.confirmed_tag:
        return []
    record.acknowledged = True
    # A line that was to come, or video that the far end has in another codec, or not at all.  Who takes UPDATE before
    # the answer has been told of its video (correction.py).
    record.page_behind = record.page_behind or any(
        medium.reverse_wanted or (medium.kind == "video" and not record.needs_update)
        for medium in record.media
    )
    forward = act.ForwardRequest(Side.IMS, edits_to_ims(record, request, record.confirmed_tag, settings))
    if record.doomed and not record.ended:
        return [forward, *hang_up_both(record, settings)]
    return [forward]


def _ack_of_change(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """The page has one INVITE out at a time, so this is the ACK that is awaited, whatever its number.

    JsSIP 3.10.9 numbers it by the first INVITE, or by chance in a call that it was called in; later ones by the INVITE
    that got 491 or a challenge.
    """
    awaited, record.ack_awaited = record.ack_awaited, None
    if record.last_invite is None or record.last_invite[0] != awaited:
        return []  # answered here
    edits = edits_to_ims(record, replace(request, cseq=awaited), record.confirmed_tag, settings)
    cseq = record.last_invite[1]
    return [act.ForwardRequest(Side.IMS, replace(edits, cseq=cseq if cseq != request.cseq else None))]


def _wic_bye(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    if record.ended:
        return [act.SendReply(200, "OK")]
    if record.dialog is Dialog.CONFIRMED:
        forward = act.ForwardRequest(Side.IMS, edits_to_ims(record, request, record.confirmed_tag, settings))
        return hang_up(record, "wic", forward)
    if record.incoming is not None:
        return [NO_DIALOG]  # a callee does not end an early dialog by BYE (RFC 3261 §15)
    # RFC 3261 §15.1.2: a BYE in an early dialog ends the INVITE with 487
    ok = act.SendReply(200, "OK")
    record.cancelled = record.abandoned = True
    if record.forwarded:
        return [ok, cancel_forwarded(record)]
    return [ok, act.Unschedule(record.key), *reject(record, Rejection(487, "Request Terminated"))]


def _wic_session_change(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """UPDATE or re-INVITE: an UPDATE without an offer is a refresh."""
    record.ack_awaited = None  # the page has gone on
    if request.method == "UPDATE" and not request.body:
        session, clock = session_timer.refreshed_by_page(record, request, settings)
        # a target refresh without an offer, too (RFC 3311 §5.2, RFC 3261 §12.2.2)
        record.wic_contact = page_target(request.contact, record.wic_contact)
        lines = (headers.contact_of_far_end(record, settings), headers.ALLOW, *session)
        return [act.SendReply(200, "OK", lines), *clock]
    before, was_open = exchange.former(record, request), record.exchange
    _, clock = session_timer.refreshed_by_page(record, request, settings)
    answered = on_page_offer(record, request, settings, edits_to_ims)
    return exchange.unless_refused(record, before, was_open, answered, clock)


def _wic_passed_on(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    if digits.is_ours(record, request):
        return digits.on_info(record, request, settings)
    tag = record.current_tag
    if not tag or not passes(record, request):
        return [NO_DIALOG]
    if has_candidates(request):
        return [act.SendReply(200, "OK")]  # the relay needs none
    reported(record, request)
    return [act.ForwardRequest(Side.IMS, edits_to_ims(record, request, tag, settings))]


def edits_to_ims(record: CallRecord, request: Request, tag: str, settings: CallSettings) -> act.MessageEdits:
    """Return how a request of the page looks inside the core's dialog ``tag``."""
    leg = record.legs[tag]
    cseq = (
        _cseq_of_ack(record, request) if request.method == "ACK" else record.forwarded_ims_cseq(request.cseq)
    )
    trunk = record.trunk
    insert = (
        *(f"Route: {route}" for route in leg.route_set),
        *(boundary.credential_lines(request) if trunk is None else ()),
        *boundary.every_request(record, settings),
    )
    insert += credentials.lines(record, request.method, leg.contact, cseq, settings)
    remove: tuple[str, ...] = ("Route", "Contact", *boundary.not_passed(record))
    if trunk is not None and request.method == "BYE":
        insert += causes.for_trunk(request.headers("Reason"))
    if request.contact:
        insert += (boundary.contact_for_core(record, settings),)
    if request.method in session_timer.REFRESHES:
        remove += ("Supported", "Require", "Allow")
        insert += (
            *boundary.extensions(request, in_dialog=True),
            *session_timer.request_to_core(record, settings),
        )
    edits = act.MessageEdits(
        request_uri=leg.contact,
        next_hop=uri_from_address(leg.route_set[0]) if leg.route_set else leg.contact,
        from_value=boundary.from_in_dialog(record, request),
        to_tag=tag,
        cseq=cseq if cseq != request.cseq else None,
        remove=remove,
        insert=insert,
    )
    edits = named_for_core(record, request, edits)
    if trunk is None and is_tel(record.target_uri):  # as the core has it, which the page cannot
        return replace(edits, to_value=f"<{record.target_uri}>;tag={tag}", to_tag=None)
    if trunk is None:
        return edits
    local, remote = f"{trunk.from_value};tag={record.ims_tag}", f"{trunk.to_value};tag={tag}"
    return replace(edits, from_value=local, to_value=remote, to_tag=None)


def _cseq_of_ack(record: CallRecord, request: Request) -> int:
    """An ACK has the number of its INVITE (RFC 3261 §13.2.2.4)."""
    if record.last_invite is not None and record.last_invite[0] == request.cseq:
        return record.last_invite[1]
    return request.cseq


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
