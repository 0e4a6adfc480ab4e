"""Requests of the core inside the dialog, on their way to the page: tags, CSeq and Contact are translated.

The page sees one dialog with us, whichever fork of the core's a request comes from.
"""

from __future__ import annotations

from dataclasses import replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import Continuation, ImsRequest
from kemi.core.call.from_page import early_media, forks
from kemi.core.call.from_page.answer import hear
from kemi.core.call.in_dialog import far_end
from kemi.core.call.in_dialog.common import (
    NO_DIALOG,
    PASSED_ON,
    follow,
    offer_in_prack,
    passes,
    unknown,
)
from kemi.core.call.in_dialog.fitting import misfit
from kemi.core.call.in_dialog.to_page import edits_to_page, forward_to_page
from kemi.core.call.in_dialog.transfers import reported
from kemi.core.call.lifetime import refresh, session_timer
from kemi.core.call.lifetime.ending import hang_up, hang_up_both
from kemi.core.call.media import pictures
from kemi.core.call.own_request import learn_allowed, learn_target
from kemi.core.call.record import CallRecord, Rejection
from kemi.core.call.renegotiation import core_late_offer as late
from kemi.core.call.renegotiation import fork_offer
from kemi.core.call.renegotiation.core_offer import on_core_offer
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.call.towards_page import page_answer, preconditions, reliable
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.core.call.towards_page.late_offer import take_answer
from kemi.core.errors import GatewayError
from kemi.core.messages import Reply, Request, Side
from kemi.core.trickle import has_candidates


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
    if record.incoming is not None and not record.ended:
        own = preconditions.on_core_request(record, event, settings)
        if own is not None:
            return own
    if request.method == "BYE":
        return _ims_bye(record, event, settings)
    if not passes(record, request):
        return [NO_DIALOG]
    reported(record, request)
    if request.method in ("INVITE", "UPDATE"):
        return _session_change(record, event, settings)
    if request.method == "PRACK" and record.incoming is not None:
        return _ims_prack(record, record.incoming, event, settings)
    return _passed_on(record, event, settings)


def _passed_on(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    request = event.request
    if (answered := pictures.on_core_info(record, request)) is not None:
        return answered
    if has_candidates(request):
        return [act.SendReply(200, "OK")]
    if request.method not in PASSED_ON:
        return [act.SendReply(405, "Method Not Allowed", (headers.ALLOW,))]
    if not event.flow_alive:
        return [_page_away(settings)]
    return [forward_to_page(record, request, settings)]


def _session_change(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    """A re-INVITE or UPDATE: each refreshes the session, an UPDATE without a description does no more."""
    request = event.request
    if record.confirmed_tag and request.from_tag != record.confirmed_tag:
        return [NO_DIALOG]  # a fork that another one was faster than
    if request.method == "INVITE" and refresh.is_out(record):
        return [act.SendReply(491, "Request Pending")]
    learn_allowed(record.legs[request.from_tag], request)
    before, was_open = exchange.former(record, request), record.exchange
    session, clock = session_timer.refreshed_by_core(record, request, settings)
    learn_target(record.legs[request.from_tag], request)  # RFC 3261 §12.2.2, whether it moves or not
    if fork_offer.is_meant(record, request):
        answered = fork_offer.on_offer(record, request, settings)
        done = exchange.unless_refused(record, before, was_open, answered, clock)
        return [*done, *_early_media(record, request, settings)]
    if request.method == "INVITE" or request.body:
        gates = _gates(record, request, settings)
        answered = on_core_offer(record, event, settings)
        far_end.hear(record, request, answered, before, page_is_there=event.flow_alive)
        return [*gates, *exchange.unless_refused(record, before, was_open, answered, clock)]
    if far_end.learn(record, request, before) and event.flow_alive:
        forward = forward_to_page(record, request, settings)
        record.outstanding[str(record.gateway_cseq)].former = before
        # The clock is set with the page's 2xx.
        return [forward, *_early_media(record, request, settings)]
    lines = (
        boundary.contact_for_core(record, settings),
        headers.ALLOW,
        *session,
        *boundary.charging_line(record),
    )
    return [act.SendReply(200, "OK", lines), *clock, *_early_media(record, request, settings)]


def _page_away(settings: CallSettings) -> act.SendReply:
    explanation = headers.explanation("the page is away", settings.realm)
    return act.SendReply(480, "Temporarily Unavailable", explanation)


def _ims_prack(
    record: CallRecord, incoming: Incoming, event: ImsRequest, settings: CallSettings
) -> list[act.Action]:
    """Match RAck against what is unacknowledged (RFC 3262 §3); the page's goes there, under its own number."""
    request = event.request
    offers = bool(request.body)
    found = reliable.acknowledged(record, incoming, "".join(request.headers("RAck")), with_offer=offers)
    if not isinstance(found, int) and offers and not any(isinstance(one, act.SendReply) for one in found):
        return [*on_core_offer(record, event, settings), *found]
    if not isinstance(found, int):
        return found
    if offers:  # to a response of the page's own: neither side can use the other's description
        return [offer_in_prack(settings)]
    if not event.flow_alive:
        return [_page_away(settings)]
    forward = forward_to_page(record, request, settings)
    edits = replace(
        forward.edits,
        remove=(*forward.edits.remove, "RAck"),
        insert=(*forward.edits.insert, f"RAck: {found} {record.invite_cseq} INVITE"),
    )
    return [replace(forward, edits=edits)]


def _gates(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """An UPDATE with an offer, of the fork that is heard, may do the same as one without: it stays the one."""
    if not forks.is_early(record) or not request.headers("P-Early-Media"):
        return []
    early_media.learn(record.legs[request.from_tag], request)
    return early_media.gates(record, request.from_tag, settings)


def _early_media(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """An UPDATE of a fork that rings may open or close its early media (RFC 5009 §8)."""
    if not forks.is_early(record) or not request.headers("P-Early-Media"):
        return []
    early_media.learn(record.legs[request.from_tag], request)
    nothing = Reply(
        request.side, request.method, request.call_id, request.from_tag, request.to_tag, request.cseq
    )
    return hear(record, nothing, settings)


def _ims_ack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """The caller's ACK goes to the page that was called; of a call of the page the ACK is the page's."""
    if late.awaits(record, request):
        return late.take_answer(record, request, settings)
    cseq = _of_later_invite(record, request)
    if cseq is not None:
        record.outstanding.pop(str(cseq), None)  # the 2xx will not come again
        return [act.ForwardRequest(Side.WIC, edits_to_page(record, request, cseq, settings))]
    if record.incoming is None or not record.confirmed_tag or request.cseq != record.invite_cseq:
        return []
    again, record.acknowledged = record.acknowledged, True
    edits = edits_to_page(record, request, request.cseq, settings)
    if not record.incoming.late_offer:
        # What either side sent before the other was ready for it is lost.
        asked = [] if again else pictures.request_key_frames(record)
        return [act.ForwardRequest(Side.WIC, edits), *asked]
    forward = act.ForwardRequest(Side.WIC, replace(edits, body=""))
    if again or record.ended:
        return [forward]
    try:
        then = Continuation(page_answer.on_late_answer_taken, page_answer.on_media_failed)
        return [forward, *take_answer(record, request, then, settings)]
    except GatewayError as error:
        record.doomed = error.detail
        return [forward, *hang_up_both(record, settings)]


def _of_later_invite(record: CallRecord, ack: Request) -> int | None:
    """Return the number of the core's re-INVITE at the page; the next one may have overtaken its ACK."""
    for ours, asked in record.outstanding.items():
        if (asked.tag, asked.cseq) == (ack.from_tag, ack.cseq):
            return int(ours)
    return next((ours for theirs, ours in reversed(record.core_invites) if theirs == ack.cseq), None)


def _ims_bye(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    if record.incoming is not None and record.dialog is Dialog.EARLY and event.flow_alive:
        # RFC 3261 §15.1.2 wants a 487 of the page; SIP.js answers the BYE and goes on ringing.  It does know CANCEL.
        reason = tuple(f"Reason: {value}" for value in event.request.headers("Reason"))
        hung_up = Rejection(487, "Request Terminated", "the caller has hung up")
        return [act.SendReply(200, "OK"), *page_answer.give_up(record, settings, hung_up, *reason)]
    if record.ended or event.request.from_tag != record.confirmed_tag:
        return [act.SendReply(200, "OK")]  # crossed with the page's BYE, or a fork we hung up
    if not event.flow_alive:
        return [*hang_up(record, "ims", act.SendReply(200, "OK")), act.ForgetCall(record.key)]
    return hang_up(record, "ims", forward_to_page(record, event.request, settings))
