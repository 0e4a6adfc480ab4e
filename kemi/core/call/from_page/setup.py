"""From the page's INVITE to the core's: answer, then UPDATE.

WIC                      we                                     IMS
 │ INVITE offer1 ───────►│ begin_call, then reserve
 │◄────── 183 answer1 ───│ on_media_reserved      (INVITE suspended)
 │ PRACK ───────────────►│ on_prack
 │◄────── UPDATE offer2 ─│
 │ 200 answer2 ─────────►│ on_set_up_answered, on_reverse_accepted
 │                       │ on_invite_resumed ── INVITE offer ──►│

"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kemi.core import headers, trust
from kemi.core.bodies import takes_parts, unsupported
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.events import (
    AnsweredAhead,
    Due,
    IncomingReserved,
    InviteGuardExpired,
    InviteResumed,
    MediaReserved,
    ReverseAccepted,
    TransactionCreated,
    UpdateAnswered,
)
from kemi.core.call.from_page.core_invite import forward_invite
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media import digits
from kemi.core.call.media.session import offer_to_text
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.page_target import page_target
from kemi.core.call.record import CallRecord, Medium, Rejection, checksum
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import DialogEvent, MediaEvent, OfferAnswerEvent
from kemi.core.causes import invite_status_after_refused_update
from kemi.core.errors import GatewayError, NotAcceptableHere, RemoteProtocolError, SipReject
from kemi.core.identity import target_for_core
from kemi.core.messages import Request, uri_from_address
from kemi.core.registration import Registration
from kemi.core.sdp.interwork import (
    Origin,
    as_agreed,
    check_reverse_answer,
    ims_offer,
    relay_offer,
    reverse_offer,
    wic_answer,
)
from kemi.core.sdp.interwork.page_reoffer import is_unaddressed
from kemi.core.sdp.judge import (
    Flow,
    Judgement,
    MediumPlan,
    ReverseShape,
    WicTransport,
    choose_transport,
    client_capabilities,
    judge_offer,
)
from kemi.core.sdp.model import Direction, SessionDescription
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text

MAX_UPDATE_ATTEMPTS = 3
"""How often our UPDATE is sent before glare (491) or a busy page (500) ends the call."""
GUARD_MARGIN_S = 30.0
"""How much longer than all our own timers together a suspended INVITE may live."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """What on_media_reserved needs of the INVITE, kept only for that moment."""

    offer: SessionDescription
    judgement: Judgement
    transport: WicTransport


def begin_call(
    request: Request,
    registration: Registration | None,
    settings: CallSettings,
    *,
    gateway_tag: str,
    session_id: int,
    node: str,
) -> tuple[CallRecord, list[act.Action]]:
    """Judge the page's INVITE; raise what it deserves, or return the new record and the first action."""
    if registration is None:
        raise SipReject(
            "this connection has no registration: REGISTER first", status=403, reason_phrase="Not Registered"
        )
    if not request.body:
        raise NotAcceptableHere("an INVITE needs a session description in this release")
    if not request.has_sdp:
        raise unsupported("only application/sdp is understood")
    offer = sdp_from_text(request.body)
    capabilities = client_capabilities(
        ",".join(request.headers("Allow")),
        ",".join(request.headers("Supported")),
        ",".join(request.headers("Require")),
        "".join(request.headers("User-Agent")),
    )
    judgement = judge_offer(offer, capabilities, *settings.codecs)
    asserted = boundary.identity_of_caller(request, registration, settings)
    transport, why = choose_transport(offer, judgement, max_bundle=settings.max_bundle_pages)
    record = CallRecord(
        call_id=request.call_id,
        wic_tag=request.from_tag,
        gateway_tag=gateway_tag,
        wic_contact=page_target(request.contact, registration.contact),
        wic_uri=trust.without_parameters(request.from_uri, trust.UNTRUSTED_PARAMETERS),
        target_uri=request.to_uri,
        request_uri=target_for_core(request.request_uri, settings.realm),
        invite_via=next(iter(request.headers("Via")), ""),
        invite_cseq=request.cseq,
        ims_invite_cseq=request.cseq,
        wic_cseq=request.cseq,
        ims_cseq=request.cseq,
        wic_takes_update=capabilities.late_update,
        connection_id=request.connection_id,
        source=request.source,
        owner=registration.owner,
        registered_contact=registration.contact,
        service_route=registration.service_route,
        asserted_identity=asserted.identities,
        caller_lines=boundary.caller_lines(request),
        caller_from=boundary.from_for_core(request) or "",
        charging_vector=headers.charging_vector(
            f"{gateway_tag}{session_id:014x}", settings.ims_host, settings.network or settings.realm
        ),
        node=node,
        transport=transport.value,
        session_id=session_id,
        needs_update=judgement.flow is Flow.ANSWER_THEN_UPDATE,
        reliable_answer=capabilities.reliable_provisional,
        offer_checksum=checksum(request.body),
        wic_takes_parts=takes_parts(request.headers("Accept"), registration.sent.contact_value),
        media=[
            medium_from_plan(offer, plan, place, reverse_later=judgement.flow is Flow.REINVITE_AFTER_ANSWER)
            for place, plan in enumerate(judgement.media)
        ],
    )
    if not uri_from_address(request.contact):
        raise RemoteProtocolError("an INVITE needs a Contact (RFC 3261 §8.1.1.8)")
    digits.learn(record, request)
    session_timer.asked_by_page(record, request, settings)
    record.move_wic(OfferAnswerEvent.OFFER_RECEIVED)
    note = act.Note(
        "call_offered",
        logging.INFO,
        {
            "flow": judgement.flow.value,
            "media": "+".join(judgement.kinds),
            "transport": transport.value,
            "why": why,
            "identity_remark": asserted.remark,
        },
    )
    reserve = act.ReserveMedia(
        call_id=record.call_id,
        node=node,
        transport=transport.value,
        media=tuple(
            act.MediumRequest(
                m.kind,
                m.wic_offer,
                m.reverse or (m.reverse_wanted and judgement.shape is ReverseShape.ADD_LINES),
            )
            for m in record.media
        ),
        context=SetUp(offer, judgement, transport),
        begins=True,
    )
    return record, [note, act.CreateTransaction(gateway_tag), reserve]


def medium_from_plan(
    offer: SessionDescription, plan: MediumPlan, ims_line: int, *, reverse_later: bool = False
) -> Medium:
    """Return what is remembered of a medium of a page's offer, which the core sees on its line ``ims_line``."""
    return Medium(
        kind=plan.kind,
        wic_offer=relay_offer(offer, plan),
        line=plan.line,
        reverse_line=plan.reverse_line,
        ims_line=ims_line,
        wic_direction=plan.wic_direction,
        reverse=plan.reverse and not reverse_later,
        reverse_wanted=plan.reverse and reverse_later,
        unaddressed=is_unaddressed(offer.media[plan.line]),
    )


def on_transaction_created(
    record: CallRecord, event: TransactionCreated, _settings: CallSettings
) -> list[act.Action]:
    """Remember how to come back to the INVITE."""
    record.transaction = (event.index, event.label)
    return []


def on_media_reserved(record: CallRecord, event: MediaReserved, settings: CallSettings) -> list[act.Action]:
    """Answer the page at once; everything that follows is prepared now and waits in the record."""
    if record.ended:
        return reserved_too_late(record.key, event)
    set_up: SetUp = event.context
    record.node = event.node or record.node
    record.move_media(MediaEvent.RESERVED)
    if record.rejection is not None:  # its page has gone meanwhile, or it was forbidden: nobody is called
        return _rejected(record, record.rejection, settings)
    reverse_offers = {
        kind: reserved.reverse_offer
        for kind, reserved in event.reserved.items()
        if reserved.reverse_offer is not None
    }
    answer = wic_answer(
        set_up.offer,
        set_up.judgement,
        {kind: reserved.relay_answer for kind, reserved in event.reserved.items()},
        set_up.transport,
        Origin(record.session_id, 1),
    )
    answer_text = record.wic_description = sdp_to_text(answer)
    if record.needs_update:
        offer2 = reverse_offer(answer, set_up.judgement, reverse_offers, Origin(record.session_id, 2))
        record.update_offer = sdp_to_text(offer2)
        record.wic_version = 2
    offer = ims_offer(
        set_up.judgement,
        {kind: reserved.relay_offer for kind, reserved in event.reserved.items()},
        Origin(record.session_id + 1, 1, settings.media_address),
        settings.audio_codecs,
    )
    record.ims_offer = offer_to_text(offer, settings)
    record.move_dialog(DialogEvent.PROVISIONAL_SENT)
    later = [medium for medium in record.media if medium.reverse_wanted]
    for medium in later:
        medium.reverse_offer = reverse_offers.get(medium.kind, "")
    # such a page gets nothing before it has taken the offer that follows its ACK
    gates = tuple(act.MediumGate(medium.kind, wic_to_ims=True, ims_to_wic=False) for medium in later)
    gate = [act.GateMedia(record.key, record.node, gates)] if gates else []
    if not record.reliable_answer:
        record.wic_answer = answer_text  # no PRACK will come: it is repeated in the 2xx
    return [*gate, *send_answer(record, settings)]


def send_answer(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Send our answer: reliably, and wait for its PRACK (RFC 3262 §3); or as it is, and go on at once."""
    lines = (f"Contact: <{settings.wic_contact}>", headers.ALLOW)
    if not record.reliable_answer:
        record.move_wic(OfferAnswerEvent.ANSWER_SENT)
        return [
            act.SendReply(183, "Session Progress", lines, record.wic_description),
            *forward_invite(record, settings),
        ]
    record.rseq += 1
    record.move_wic(OfferAnswerEvent.ANSWER_SENT_RELIABLY)
    return [
        # Suspended before the 183 leaves: the PRACK may be in another worker's hands a millisecond later.
        act.SuspendInvite(settings.prack_s + settings.update_s * MAX_UPDATE_ATTEMPTS + GUARD_MARGIN_S),
        act.Schedule(record.key, Due.PRACK_TIMEOUT, settings.prack_s),
        act.SendReply(
            183,
            "Session Progress",
            ("Require: 100rel", f"RSeq: {record.rseq}", *lines),
            record.wic_description,
        ),
    ]


def on_answer_acknowledged(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """The PRACK for our answer is in: offer the added lines, or go on when none are needed."""
    record.move_wic(OfferAnswerEvent.ACKNOWLEDGED)
    if not record.update_offer:
        return [act.Unschedule(record.key), *resume(record)]
    return [act.Unschedule(record.key), *send_update(record, settings)]


def send_update(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Offer the reverse lines in an UPDATE inside the early dialog (RFC 3311 §5.1)."""
    record.move_wic(OfferAnswerEvent.OFFER_SENT)
    record.update_attempts += 1
    cseq = record.next_gateway_cseq()
    return [own_request_to_wic(record, settings, "UPDATE", cseq, body=record.update_offer, report=True)]


def on_set_up_answered(record: CallRecord, event: UpdateAnswered, settings: CallSettings) -> list[act.Action]:
    """Take the page's answer, try again after glare, or end the call with a reason the caller understands."""
    if 200 <= event.status < 300:
        return _take_reverse_answer(record, event)
    record.move_wic(OfferAnswerEvent.OFFER_REFUSED)
    if event.status in (491, 500) and record.update_attempts < MAX_UPDATE_ATTEMPTS:
        # RFC 3311 §5.3 and RFC 3261 §14.1: not the owner of the Call-ID waits 0 to 2 s, in units of 10 ms.
        delay = event.retry_after_s if event.retry_after_s is not None else round(event.jitter * 2.0, 2)
        return [act.Schedule(record.key, Due.UPDATE_RETRY, min(delay, settings.update_s))]
    status, reason_phrase = invite_status_after_refused_update(event.status)
    why = f"our UPDATE to the page ended with {event.status}"
    return reject(record, Rejection(status, reason_phrase, why))


def _take_reverse_answer(record: CallRecord, event: UpdateAnswered) -> list[act.Action]:
    record.move_wic(OfferAnswerEvent.ANSWER_RECEIVED)
    try:
        if not event.body:
            raise NotAcceptableHere("the page answered our UPDATE without a session description")
        offered = sdp_from_own_text(record.update_offer)
        answer = check_reverse_answer(offered, event.body)
    except GatewayError as error:
        return reject(record, Rejection(488, "Not Acceptable Here", error.detail, error.warn_code))
    to_accept: list[act.MediumAnswer] = []
    added = len(
        sdp_from_own_text(record.wic_description).media
    )  # the lines of ours follow the page's own, in our order
    record.wic_description = sdp_to_text(as_agreed(offered, answer.description))
    for medium in record.media:
        if not medium.reverse:
            continue
        if medium.reverse_line is None:  # else it was offered before a challenge
            medium.reverse_line = added
        added = medium.reverse_line + 1
        if medium.kind in answer.refused:
            medium.reverse = False  # the page does not want this direction: the call goes on without it
            record.core_behind = True  # of that: the INVITE offers it
            continue
        medium.wic_direction = Direction.of(sends=medium.wic_direction.sends, receives=True)
        medium.reverse_answer = answer.lines.get(medium.kind)
        if medium.reverse_answer is not None:
            to_accept.append(
                act.MediumAnswer(medium.kind, medium.wic_offer, True, None, medium.reverse_answer)
            )
    if not to_accept:
        return resume(record)
    return [act.AcceptReverse(record.call_id, record.node, record.transport, tuple(to_accept))]


def on_reverse_accepted(
    record: CallRecord, _event: ReverseAccepted, _settings: CallSettings
) -> list[act.Action]:
    """The web media path stands: the session goes on to the core like any other."""
    return resume(record) if not record.ended else []


def on_invite_resumed(record: CallRecord, _event: InviteResumed, settings: CallSettings) -> list[act.Action]:
    """We are back in the INVITE's transaction: reject it, or send it on."""
    if record.ended:
        return []
    if record.rejection is not None:
        return _rejected(record, record.rejection, settings)
    return forward_invite(record, settings)


def _rejected(record: CallRecord, rejection: Rejection, settings: CallSettings) -> list[act.Action]:
    return [
        act.Note("call_rejected", logging.INFO, {"status": rejection.status, "detail": rejection.detail}),
        act.SendReply(
            rejection.status,
            rejection.reason_phrase,
            headers.explanation_of(rejection, settings.realm),
        ),
        *finish(record, DialogEvent.REJECTED),
    ]


def on_guard_expired(
    record: CallRecord, _event: InviteGuardExpired, settings: CallSettings
) -> list[act.Action]:
    """All our own timers failed to end this: tm is about to give the INVITE up."""
    if record.ended or record.forwarded:
        return []
    return [
        act.SendReply(504, "Server Time-out", headers.explanation("the set-up got stuck", settings.realm)),
        *finish(record, DialogEvent.REJECTED),
    ]


def cancel_forwarded(record: CallRecord, *further: str) -> act.CancelForwardedInvite:
    """Cancel at the core what the page did not cancel itself, with ``further`` header lines."""
    lines = (*headers.cancel_of_invite(record), *further)
    return act.CancelForwardedInvite(record.call_id, record.invite_cseq, record.request_uri, lines)


def resume(record: CallRecord) -> list[act.Action]:
    """Ask to be called back inside the suspended INVITE's transaction."""
    if record.transaction is None:
        return []
    return [act.ResumeInvite(record.transaction)]


def reject(record: CallRecord, rejection: Rejection) -> list[act.Action]:
    """End a suspended INVITE with a final answer; one that was challenged has had its own."""
    record.rejection = rejection
    return finish(record, DialogEvent.REJECTED) if record.challenged else resume(record)


def finish(record: CallRecord, event: DialogEvent) -> list[act.Action]:
    """The call is over before it was answered: give everything back."""
    record.move_dialog(event)
    return [*release_media(record), act.ForgetCall(record.key)]


def reserved_too_late(key: str, event: MediaReserved | IncomingReserved | AnsweredAhead) -> list[act.Action]:
    """The call ended while the relay was asked for its ports: they are given back, and who called is answered.

    tm answers an INVITE whose CANCEL comes before it was suspended or forwarded with nothing but a mark.
    """
    kinds = tuple(event.reserved if isinstance(event, MediaReserved) else event.offers)
    answer = act.SendReply(487, "Request Terminated")
    return [act.ReleaseMedia(key, event.node, kinds), answer] if event.node else []


def release_media(record: CallRecord) -> list[act.Action]:
    """Give the relay's ports back, once; those of a medium that is just being added, too."""
    had_media = record.media_state not in (record.media_state.NONE, record.media_state.RELEASED)
    record.move_media(MediaEvent.RELEASED)
    if not had_media:
        return []
    added = record.exchange.reserved if record.exchange is not None else ()
    kinds = dict.fromkeys((*(medium.kind for medium in record.media), *added))
    return [act.ReleaseMedia(record.key, record.node, tuple(kinds))]
