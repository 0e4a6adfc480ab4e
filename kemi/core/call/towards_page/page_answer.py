"""The responses of a page that is called, and every way a call towards a page ends (see incoming.py).

A response goes on in the core's dialog once the relay works with what it describes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kemi.core import headers, trust
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.events import (
    Due,
    FlowClosed,
    ImsReoffered,
    ImsReply,
    IncomingConnected,
    MediaFailed,
    TimerFired,
    WicFailed,
    WicReply,
)
from kemi.core.call.from_page.setup import finish, release_media
from kemi.core.call.in_dialog.dialog import on_flow_closed as on_flow_closed_in_dialog
from kemi.core.call.in_dialog.dialog import on_ims_reply, on_wic_reply
from kemi.core.call.in_dialog.dialog import on_timer as on_timer_in_dialog
from kemi.core.call.lifetime import session_timer
from kemi.core.call.lifetime.ending import FORGET_AFTER_S, hang_up_both
from kemi.core.call.media.running import held_back
from kemi.core.call.media.session import keep_what_is_agreed
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.page_target import page_target
from kemi.core.call.record import CallRecord, Rejection
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog, DialogEvent, Media, MediaEvent, OfferAnswer, OfferAnswerEvent
from kemi.core.call.towards_page import preconditions, reliable
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.core.call.towards_page.late_offer import offer_to_core
from kemi.core.errors import GatewayError, LocalProtocolError, RemoteProtocolError, SipReject, WarnCode
from kemi.core.identity import address_known_as
from kemi.core.messages import Reply, Side, address_parts, addresses_from_headers, uri_from_address
from kemi.core.sdp.codecs import PASSING_AUDIO
from kemi.core.sdp.interwork.incoming import (
    client_answer_media,
    core_answer,
    core_offer_media,
    refusal_of,
    spoken_line,
)
from kemi.core.sdp.interwork.page_reoffer import is_unaddressed
from kemi.core.sdp.interwork.wic import as_agreed
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text

FLOW_FAILED: Final = (430, "Flow Failed")
NOT_DEFLECTED: Final = (480, "Temporarily Unavailable")
_ALERT = re.compile(r"<urn:alert:[a-z0-9:.-]+>", re.IGNORECASE)
"""RFC 7462; another URI would make the caller's device fetch something."""
_AFTER_AN_ANSWER: Final[Mapping[int, tuple[int, str]]] = MappingProxyType(
    {
        400: (502, "Bad Gateway"),  # the page's fault, not the caller's (RFC 3261 §21.5.3)
        503: (500, "Media Relay Unavailable"),  # a 503 goes no further than one hop (RFC 3261 §16.7)
    }
)
"""What a page's answer deserves -> what the caller gets."""


# ---------------------------------------------------------------- responses


def on_reply(record: CallRecord, event: WicReply | ImsReply, settings: CallSettings) -> list[act.Action]:
    """Sort a response; one to the call's first INVITE may be our own, sent in the page's name."""
    reply = event.reply
    first = (reply.method, reply.cseq, reply.from_tag) == ("INVITE", record.invite_cseq, record.gateway_tag)
    # the core's answer to a re-INVITE of the page may have the same number
    if first and (isinstance(event, WicReply) or reply.to_tag not in record.legs):
        forbidden = event.forbidden if isinstance(event, WicReply) else ""
        return _on_invite_reply(record, reply, settings, forbidden)
    if isinstance(event, WicReply):
        return on_wic_reply(record, event, settings)
    return on_ims_reply(record, event, settings)


def _on_invite_reply(
    record: CallRecord, reply: Reply, settings: CallSettings, forbidden: str
) -> list[act.Action]:
    incoming = _incoming(record)
    if reply.side is Side.WIC:
        incoming.via = incoming.via or "".join(reply.headers("Via"))
    if reply.status == 100:
        return []
    if 300 <= reply.status < 400 and (forbidden := forbidden or _forbidden_redirection(reply, settings)):
        record.wic_tag = record.wic_tag or reply.to_tag
        note = act.Note("call_refused", logging.INFO, {"why": forbidden})
        explanation = headers.explanation(forbidden, settings.realm)
        return [note, act.DropReply(), _answer_for_page(record, *NOT_DEFLECTED, explanation)]
    if reply.status >= 300:
        return [_forward(record, reply, settings)]
    if record.ended and not record.confirmed_tag:
        return [act.DropReply()]  # the core has had its final response, only the record is still there
    if not reply.to_tag:
        return [act.DropReply()]  # RFC 3261 §12.1: makes no dialog, and the core already knows we are trying
    if not record.confirmed_tag:
        record.wic_tag = reply.to_tag
        record.wic_contact = page_target(reply.contact, record.wic_contact)
        record.wic_takes_update = record.wic_takes_update or "update" in reply.tokens("Allow")
    is_final = reply.status >= 200
    if is_final and record.cancelled and not record.confirmed_tag:
        return _crossed_the_cancel(record, reply, settings)
    unanswered = record.wic_offer_answer is OfferAnswer.OFFER_SENT
    if reply.has_sdp and unanswered and (is_final or not incoming.late_offer):
        return _connect(record, reply, settings)
    if is_final and unanswered:
        why = RemoteProtocolError("the page answered without a session description")
        return on_media_failed(record, MediaFailed(why, reply), settings)
    return _pass_on(record, reply, settings)


def _crossed_the_cancel(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """The page has answered a call that was being ended: it is hung up."""
    why = record.rejection or Rejection(*NOT_DEFLECTED, "the page's registration has ended")
    error = SipReject(why.detail, status=why.status, reason_phrase=why.reason_phrase)
    return on_media_failed(record, MediaFailed(error, reply), settings)


def _forbidden_redirection(reply: Reply, settings: CallSettings) -> str:
    """Return why the caller is not sent where the page wants (TS 24.604 §4.5.2.6): whom it may not call itself."""
    try:
        for address in addresses_from_headers(reply.headers("Contact")):
            if settings.targets is not None:
                settings.targets.check_uri(uri_from_address(address))
    except SipReject as refused:
        return refused.detail
    return ""


def _connect(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    try:
        offered = sdp_from_own_text(record.wic_description)
        answers = client_answer_media(offered, reply.body)
    except GatewayError as error:
        return on_media_failed(record, MediaFailed(error, reply), settings)
    described = sdp_from_text(reply.body)
    record.wic_description = sdp_to_text(as_agreed(offered, described))
    for medium in record.media:
        answer = answers[medium.kind]
        medium.unaddressed = is_unaddressed(described.media[medium.line])
        medium.answered, medium.active, medium.codec = True, answer.sdp is not None, answer.codec
        medium.wic_offer, medium.wic_direction = answer.sdp or "", answer.direction
    _incoming(record).directions = {kind: answer.direction for kind, answer in answers.items()}
    media = {kind: answer.sdp for kind, answer in answers.items()}
    return [act.ConnectIncoming(record.key, record.node, media, reply, passing=_settle_codecs(record))]


def _settle_codecs(record: CallRecord) -> dict[str, str]:
    """Forget what the core has offered beside or instead of what the page speaks, where only one of both can be spoken;
    return the lines in which that is what passes untouched, which the relay did not expect."""
    passing = {}
    for medium in record.media:
        if medium.kind == "audio" and medium.active:
            before, medium.ims_answer = medium.ims_answer, spoken_line(medium.ims_answer, medium.codec)
            if medium.codec in PASSING_AUDIO and medium.ims_answer != before:
                passing[medium.kind] = medium.ims_answer
    return passing


def on_connected(record: CallRecord, event: IncomingConnected, settings: CallSettings) -> list[act.Action]:
    """The relay works with the page's answer: now the core may hear of it."""
    if record.ended:
        kinds = tuple(medium.kind for medium in record.media)
        return [act.DropReply(), act.ReleaseMedia(record.key, record.node, kinds)]
    if record.cancelled and not record.confirmed_tag and event.reply.status >= 200:
        return _crossed_the_cancel(record, event.reply, settings)
    if record.wic_offer_answer is OfferAnswer.STABLE:  # the page answered twice while the relay was at it
        return _pass_on(record, event.reply, settings)
    record.move_wic(OfferAnswerEvent.ANSWER_RECEIVED)
    held = held_back(record, record.media, settings)
    if _incoming(record).answered_reliably:  # we did that, before the page was called
        record.move_media(MediaEvent.CONNECTED)
        record.core_behind = True  # the core was answered before: of what the page has refused, if anything
        return [*held, *_pass_on(record, event.reply, settings)]
    if _incoming(record).late_offer:
        described = offer_to_core(record, event.answers, settings)
    else:
        described = _answer_core(record, event.answers, settings)
    _incoming(record).ims_answer = record.ims_description = described
    return [*held, *_pass_on(record, event.reply, settings)]


def _answer_core(record: CallRecord, relay_answers: Mapping[str, str], settings: CallSettings) -> str:
    offer = sdp_from_text(record.ims_offer)
    answer = core_answer(
        offer,
        core_offer_media(offer, settings.video_codecs, settings.audio_codecs),
        _incoming(record).directions,
        relay_answers,
        Origin(record.session_id + 1, 1, settings.media_address),
    )
    keep_what_is_agreed(record.media, answer)
    record.move_media(MediaEvent.CONNECTED)
    if record.ims_offer_answer is OfferAnswer.OFFER_RECEIVED:
        record.move_ims(OfferAnswerEvent.ANSWER_SENT)
    return sdp_to_text(preconditions.described(record, answer))


def on_late_answer_taken(
    record: CallRecord, _event: ImsReoffered, _settings: CallSettings
) -> list[act.Action]:
    """The relay works with the answer in the core's ACK."""
    if not record.ended:
        return []
    kinds = tuple(medium.kind for medium in record.media)  # which may have made its call anew
    return [act.ReleaseMedia(record.key, record.node, kinds)]


def _pass_on(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Put a 1xx or 2xx into the core's dialog."""
    incoming = _incoming(record)
    if reply.status >= 200:
        if not record.confirmed_tag:
            if reliable.holds_answer(incoming, reply):
                return [act.DropReply()]
            record.confirmed_tag = record.current_tag
            record.move_dialog(DialogEvent.ANSWERED)
        return [_forward(record, reply, settings)]
    if record.dialog in (Dialog.CONFIRMED, Dialog.TERMINATED):
        return [act.DropReply()]
    record.move_dialog(DialogEvent.PROVISIONAL_SENT)
    goes_on, lines, actions = reliable.provisional(record, incoming, reply, settings)
    return [*actions, _forward(record, reply, settings, lines)] if goes_on else [act.DropReply()]


def _forward(
    record: CallRecord, reply: Reply, settings: CallSettings, lines: tuple[str, ...] = ()
) -> act.ForwardReply:
    incoming = _incoming(record)
    leg = record.legs[record.current_tag]
    remove: tuple[str, ...] = trust.FROM_PAGE
    insert: tuple[str, ...] = ()
    if reply.status == 488 and not reply.headers("Warning") and record.wic_description:
        refusal = refusal_of(sdp_from_own_text(record.wic_description))
        known = refusal.warn_code is WarnCode.INCOMPATIBLE_FORMAT
        insert = headers.explanation_of(refusal, settings.realm) if known else ()
    if not 300 <= reply.status < 400:  # the Contact of a redirection is its content (RFC 3261 §21.3)
        remove += ("Contact",)
    if reply.status < 300:
        insert = (
            *(f"Record-Route: {route}" for route in leg.route_set),
            boundary.contact_for_core(record, settings),
        )
        if record.charging_vector:
            insert += (f'P-Charging-Vector: {record.charging_vector};term-ioi="Type 1{settings.network}"',)
        remove += ("Require", "RSeq", "Allow")
        insert += (headers.ALLOW, *lines)
        if reply.status >= 200:
            insert += session_timer.answer_to_core(record)
        insert += (f"P-Asserted-Identity: <{_identity_of_page(reply, incoming.identities)}>",)
    if reply.status == 180:  # the only thing that a page has to say about ringing (TS 24.615 §4.5.5.3)
        told = (address_parts(one)[0] for one in addresses_from_headers(reply.headers("Alert-Info")))
        insert += tuple(f"Alert-Info: {value}" for value in told if _ALERT.fullmatch(value))
    if reply.status >= 200:
        carries_answer = reply.status < 300 and not incoming.answered_reliably
    else:
        carries_answer = bool(incoming.ims_answer) and (
            reply.has_sdp or reliable.repeats_answer(incoming, reply)
        )
        incoming.answered_reliably |= carries_answer and "100rel" in reply.tokens("Require")
    edits = act.MessageEdits(
        from_tag=record.current_tag,
        to_tag=record.gateway_tag,
        remove=remove,
        insert=insert,
        vias=tuple(incoming.vias),
        body=incoming.ims_answer if carries_answer else "",
    )
    return act.ForwardReply(boundary.as_core_wrote(record, edits))


def _identity_of_page(reply: Reply, identities: list[str]) -> str:
    """Return who answers: the identity the page prefers if it is its own, else the one called (TS 24.229 §5.2.6.4)."""
    preferred = addresses_from_headers(reply.headers("P-Preferred-Identity"))
    own = (address_known_as(value, identities) for value in preferred)
    return next((uri for uri in own if uri is not None), identities[0])


# ---------------------------------------------------------------- failures


def on_media_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """No media, no call: the core gets the reason, and a page that has answered already is hung up."""
    error, reply = event.error, event.reply
    note = act.Note(
        "media_failed", logging.ERROR, {"status": error.status, "detail": error.detail, "node": record.node}
    )
    if reply is None and record.ended:  # over meanwhile; the relay may have made its call anew
        return [note, act.ReleaseMedia(record.key, record.node, tuple(m.kind for m in record.media))]
    if preconditions.pending(record):
        return [note, *preconditions.on_media_failed(record, event, settings)]
    if reply is not None and _has_answer(record):
        return [note, *_pass_on(record, reply, settings)]
    if record.dialog is Dialog.CONFIRMED and not record.ended and record.acknowledged:
        record.doomed = error.detail  # the answer to a late offer
        return [note, *hang_up_both(record, settings)]
    explanation = headers.explanation_of(error, settings.realm)
    if reply is None:
        refusal = act.SendReply(error.status, error.reason_phrase, explanation)
        return [note, refusal, *finish(record, DialogEvent.REJECTED)]
    if reply.status < 200:
        return [note, *_pass_on(record, reply, settings)]  # without a description; the page's 2xx decides
    if record.abandoned:
        return [act.DropReply()]
    record.abandoned = True
    status, reason_phrase = _AFTER_AN_ANSWER.get(error.status, (error.status, error.reason_phrase))
    reason = f'Reason: SIP;cause={status};text="{headers.quotable(error.detail)[:80]}"'
    return [
        note,
        act.DropReply(),
        *_end_at_page(record, settings, reason),
        *_at_last(record, _answer_for_page(record, status, reason_phrase, explanation)),
    ]


def on_timer(record: CallRecord, event: TimerFired, settings: CallSettings) -> list[act.Action]:
    """Do what was scheduled: a reliable response has no PRACK yet, or what any call waits for."""
    if preconditions.pending(record) and event.due in preconditions.DUE:
        return preconditions.on_timer(record, event, settings)
    if event.due is Due.FORGET and not record.ended:
        return [act.Note("call_never_ended", logging.WARNING, {}), *finish(record, DialogEvent.REJECTED)]
    if event.due is not Due.RELIABLE_REPEAT:
        return on_timer_in_dialog(record, event, settings)
    actions = reliable.repeat(record, _incoming(record), settings)
    return _no_prack(record, settings) if actions is None else actions


def _no_prack(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Refuse the call (RFC 3262 §3), and end it at the page."""
    ended = give_up(record, settings, Rejection(504, "Server Time-out", "no PRACK came"))
    return [act.Note("no_prack", logging.WARNING, {}), *ended] if ended else []


def give_up(record: CallRecord, settings: CallSettings, why: Rejection, *further: str) -> list[act.Action]:
    """End a call that rings: the page gets a CANCEL with ``further`` header lines, the caller ``why``."""
    incoming = _incoming(record)
    incoming.unacknowledged = None
    if record.cancelled or record.abandoned:
        return []
    record.cancelled, record.rejection = True, why
    if incoming.answer_held:
        record.abandoned = True
        reason = f'Reason: SIP;cause={why.status};text="{why.detail}"'
        explanation = headers.explanation_of(why, settings.realm)
        refusal = _answer_for_page(record, why.status, why.reason_phrase, explanation)
        return [*_end_at_page(record, settings, reason), *_at_last(record, refusal)]
    lines = (*headers.cancel_of_core(record), *further)
    return [act.CancelForwardedInvite(record.call_id, record.invite_cseq, record.request_uri, lines)]


def _has_answer(record: CallRecord) -> bool:
    """Whether the relay already works with an answer of the page, which came twice while it was at it."""
    if record.dialog is Dialog.CONFIRMED:
        return True
    return record.wic_offer_answer is OfferAnswer.STABLE and not (record.ended or record.cancelled)


def _end_at_page(record: CallRecord, settings: CallSettings, reason: str) -> list[act.Action]:
    """Acknowledge the page's 2xx, which the core will not have, and hang up."""
    return [
        own_request_to_wic(record, settings, "ACK", record.invite_cseq),
        own_request_to_wic(record, settings, "BYE", record.next_gateway_cseq(), reason),
    ]


def _answer_for_page(
    record: CallRecord, status: int, reason_phrase: str, further: tuple[str, ...]
) -> act.AnswerForPage:
    return reliable.answer_for_page(record, _incoming(record), status, reason_phrase, further)


def on_wic_failed(record: CallRecord, event: WicFailed, settings: CallSettings) -> list[act.Action]:
    """The page did not take the call."""
    if record.dialog is Dialog.CONFIRMED:
        return []  # an answer was faster: the call runs
    if record.ended:
        return release_media(record)
    actions: list[act.Action] = [
        act.Note("call_rejected", logging.INFO, {"status": event.status, "local": int(event.local)})
    ]
    if event.local or record.rejection is not None:
        status, reason_phrase, detail = _why_failed(record, event)
        explanation = headers.explanation(detail, settings.realm)
        actions.append(act.SendReply(status, reason_phrase, explanation))
    end = DialogEvent.CANCELLED if event.status == 487 else DialogEvent.REJECTED
    return [*actions, *finish(record, end)]


def _why_failed(record: CallRecord, event: WicFailed) -> tuple[int, str, str]:
    if record.rejection is not None:
        return record.rejection.status, record.rejection.reason_phrase, record.rejection.detail
    if event.status == 487:
        return 487, "Request Terminated", ""
    if event.status == FLOW_FAILED[0]:
        return *FLOW_FAILED, "the page's connection is gone"
    if record.dialog is Dialog.EARLY:
        return 480, "No Answer", "nobody answered"
    return 408, "Request Timeout", "the page does not respond"


def on_flow_closed(record: CallRecord, event: FlowClosed, settings: CallSettings) -> list[act.Action]:
    """The page's connection is gone.  While it rings the core hears so at once (RFC 5626 §5.3.1)."""
    if record.ended or record.dialog is Dialog.CONFIRMED:
        return on_flow_closed_in_dialog(record, event, settings)
    note = act.Note("flow_lost", logging.WARNING, {"state": record.dialog.value})
    if preconditions.pending(record):
        return [note, *preconditions.refuse(record, *FLOW_FAILED, "the page's connection is gone")]
    return [note, *refuse_for_page(record, settings, *FLOW_FAILED, "the page's connection is gone")]


def refuse_for_page(
    record: CallRecord, settings: CallSettings, status: int, reason_phrase: str, detail: str
) -> list[act.Action]:
    """Refuse a call that rings, for a page that cannot do it itself any more.

    The branch to a page that never responded is not known by its Via: the caller is answered past it.
    """
    if record.abandoned:
        return []
    if not _incoming(record).via:
        if record.media_state is Media.NONE and not _incoming(record).late_offer:
            return []  # not sent yet: whoever is about to will see
        return _at_last(record, act.RefuseUnheard(record.call_id, record.invite_cseq, status, reason_phrase))
    record.abandoned = True
    explanation = headers.explanation(detail, settings.realm)
    return _at_last(record, _answer_for_page(record, status, reason_phrase, explanation))


def _at_last(record: CallRecord, answer: act.Action) -> list[act.Action]:
    """Answer the INVITE by a message or command that may get lost, or may not find it: its record does not wait for
    ever for tm to say that it is over."""
    return [act.Schedule(record.key, Due.FORGET, FORGET_AFTER_S), answer]


def _incoming(record: CallRecord) -> Incoming:
    if record.incoming is None:
        raise LocalProtocolError("not a call towards a page")
    return record.incoming
