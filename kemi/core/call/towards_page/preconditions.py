"""A caller that requires preconditions, answered for the page (RFC 3312, TS 24.229 §5.1.4): no page rings before them.

    IMS                      we                                     WIC
     │ INVITE, nothing yet ─►│ begin_waiting
     │◄── 183 with answer ───│ on_answered_ahead      (INVITE suspended, 183 repeated until the PRACK)
     │ PRACK ───────────────►│ on_core_request
     │ UPDATE, it is there ─►│ on_core_request        (or the PRACK says so)
     │◄── 200 with answer ───│ on_answered_ahead
     │                       │ on_invite_resumed ── INVITE, offer ──►│

A page needs no resources but the relay's ports, so our side has always what the caller desires of it.  A caller that
has all it needs already is no different from one without preconditions, but for some lines in our answer.

A caller whose network refuses the resources of one medium gives that up by port 0, and the page rings with the others.
What it adds meanwhile, or takes up again, gets port 0 from us: it may be added once the page has answered.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.events import (
    AnsweredAhead,
    CancelReceived,
    Due,
    ImsRequest,
    InviteGuardExpired,
    InviteResumed,
    MediaFailed,
    TimerFired,
)
from kemi.core.call.from_page.setup import GUARD_MARGIN_S, finish, resume
from kemi.core.call.lifetime.ending import FORGET_AFTER_S
from kemi.core.call.media.session import keep_what_is_agreed
from kemi.core.call.record import CallRecord, Medium, Rejection
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import (
    DialogEvent,
    MediaEvent,
    OfferAnswer,
    OfferAnswerEvent,
    Precondition,
    PreconditionEvent,
)
from kemi.core.call.towards_page.incoming_record import Incoming
from kemi.core.call.towards_page.page_invite import (
    call_page,
    describe_to_page,
    edits_of_invite,
    medium_of,
)
from kemi.core.errors import GatewayError, LocalProtocolError, RemoteProtocolError, SipReject
from kemi.core.messages import Request
from kemi.core.sdp.build import off_line
from kemi.core.sdp.interwork.incoming import CoreLine, core_answer, core_offer_media, spoken_line
from kemi.core.sdp.interwork.orientation import without_orientation
from kemi.core.sdp.model import Origin, SessionDescription
from kemi.core.sdp.preconditions import OPTION_TAG, missing, with_preconditions
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

DUE: Final = frozenset({Due.RELIABLE_REPEAT, Due.PRECONDITIONS})
OUR_RSEQ: Final = 1
_T1_S: Final = 0.5
_AGAIN_S: Final = 0.3
_FAILED: Final = (580, "Precondition Failure")
_MOST_RETURNS: Final = int(FORGET_AFTER_S / _AGAIN_S)
"""For longer than that no transaction is in another process's hands: tm has none of it any more."""
_BEFORE_THE_PAGE: Final = frozenset(
    {Precondition.ANSWERING, Precondition.UNACKNOWLEDGED, Precondition.WAITING, Precondition.RESUMING}
)


def required(request: Request) -> bool:
    """Whether a caller requires them."""
    return OPTION_TAG in request.tokens("Require")


def begin(record: CallRecord, request: Request, lines: Sequence[CoreLine]) -> bool:
    """Look at what a caller requires: whether the page has to wait, because it lacks resources.

    Raises:
        SipReject: it lacks some, and cannot hear reliably what we have.
    """
    if not missing(sdp_from_text(request.body), [line.place for line in lines]):
        _incoming(record).move_precondition(PreconditionEvent.MET)
        return False
    if "100rel" not in request.tokens("Supported") | request.tokens("Require"):
        raise SipReject(
            "preconditions need reliable provisional responses",
            status=421,
            reason_phrase="Extension Required",
            lines=("Require: 100rel",),
        )
    _incoming(record).move_precondition(PreconditionEvent.LACKING)
    return True


def pending(record: CallRecord) -> bool:
    """Whether the page has not been called because the caller lacks something."""
    return record.incoming is not None and record.incoming.precondition in _BEFORE_THE_PAGE


def described(record: CallRecord, answer: SessionDescription) -> SessionDescription:
    """Add our preconditions to an answer for a caller that requires them."""
    if _incoming(record).precondition is Precondition.NONE:
        return answer
    return with_preconditions(answer, sdp_from_text(record.ims_offer))


def on_answered_ahead(record: CallRecord, event: AnsweredAhead, settings: CallSettings) -> list[act.Action]:
    """The relay has what the core asked for: answer the INVITE reliably, or the UPDATE that says it is there."""
    record.node = event.node or record.node
    if record.ended:
        kinds = tuple(medium.kind for medium in record.media)
        return [act.ReleaseMedia(record.key, record.node, kinds)]
    incoming = _incoming(record)
    if incoming.precondition is Precondition.ANSWERING and record.rejection is not None:  # ended meanwhile
        record.move_media(MediaEvent.RESERVED)
        return _refused(record, record.rejection, settings)
    record.ims_description = _answer(record, event.answers, settings)
    if incoming.precondition is Precondition.ANSWERING:
        return _answer_invite(record, settings)
    record.move_ims(OfferAnswerEvent.ANSWER_SENT)
    lines = (boundary.contact_for_core(record, settings), headers.ALLOW, *boundary.charging_line(record))
    ok = act.SendReply(200, "OK", lines, record.ims_description)
    if missing(sdp_from_text(record.ims_offer), [medium.ims_line for medium in record.media]):
        return [ok]
    incoming.move_precondition(PreconditionEvent.READY)
    describe_to_page(record, event.offers, settings)
    return [ok, *_go_back(record)]


def _answer(record: CallRecord, relay_answers: Mapping[str, str], settings: CallSettings) -> str:
    offer = sdp_from_text(record.ims_offer)
    lines = core_offer_media(offer, settings.video_codecs, settings.audio_codecs)
    directions = {line.kind: line.direction.mirrored for line in lines}
    origin = Origin(record.session_id + 1, record.ims_version, settings.media_address)
    answer = core_answer(offer, lines, directions, relay_answers, origin)
    keep_what_is_agreed(record.media, answer)
    return sdp_to_text(with_preconditions(answer, offer))


def _answer_invite(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    incoming = _incoming(record)
    incoming.ims_answer = record.ims_description
    incoming.answered_reliably = True
    incoming.move_precondition(PreconditionEvent.ANSWERED)
    record.move_media(MediaEvent.RESERVED)
    record.move_ims(OfferAnswerEvent.ANSWER_SENT_RELIABLY)
    record.move_dialog(DialogEvent.PROVISIONAL_SENT)
    record.rseq = OUR_RSEQ
    return [
        act.Note("caller_lacks_resources", logging.INFO),
        *_send_183(record, settings),
        act.Schedule(record.key, Due.RELIABLE_REPEAT, _T1_S),
    ]


def _send_183(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Answer in the INVITE's transaction, which stays suspended (before the response leaves: its PRACK is fast)."""
    incoming = _incoming(record)
    lines = (
        f"Require: 100rel, {OPTION_TAG}",
        f"RSeq: {OUR_RSEQ}",
        boundary.contact_for_core(record, settings),
        headers.ALLOW,
        f"P-Asserted-Identity: <{incoming.identities[0]}>",
        *boundary.charging_line(record),
    )
    return [
        act.SuspendInvite(settings.prack_s + settings.ims_answer_s + GUARD_MARGIN_S),
        act.SendReply(183, "Session Progress", lines, incoming.ims_answer),
    ]


# ---------------------------------------------------------------- what comes while the caller lacks resources


def on_core_request(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action] | None:
    """Take what belongs to the preconditions; None for what belongs to the page."""
    request = event.request
    if not pending(record):
        return None
    if request.method == "PRACK":
        return _on_prack(record, request, settings)
    if request.method == "UPDATE" and request.body:
        return _on_offer(record, request, settings)
    if request.method == "BYE":
        return [act.SendReply(200, "OK"), *refuse(record, 487, "Request Terminated", "")]
    if request.method == "UPDATE":
        return None
    return [
        act.SendReply(
            480,
            "Temporarily Unavailable",
            headers.explanation("the page has not been called", settings.realm),
        )
    ]


def _on_prack(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    incoming = _incoming(record)
    rseq = "".join(request.headers("RAck")).split(" ")[0]
    if rseq != str(OUR_RSEQ) or incoming.precondition is not Precondition.UNACKNOWLEDGED:
        return [act.SendReply(481, "No Such Provisional Response")]
    incoming.move_precondition(PreconditionEvent.ACKNOWLEDGED)
    record.move_ims(OfferAnswerEvent.ACKNOWLEDGED)
    wait = act.Schedule(record.key, Due.PRECONDITIONS, settings.prack_s)
    if request.body:  # a second offer (RFC 3262 §5), whose answer is in the 200
        return [wait, *_on_offer(record, request, settings)]
    return [act.SendReply(200, "OK"), wait]


def _on_offer(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    resuming = _incoming(record).precondition is Precondition.RESUMING  # the page's offer is written already
    if resuming or record.ims_offer_answer is not OfferAnswer.STABLE:  # RFC 3311 §5.2
        return [act.SendReply(500, "Server Internal Error", ("Retry-After: 1",))]
    try:
        offer = _without_new_lines(sdp_from_text(request.body), record.media)
        lines = core_offer_media(offer, settings.video_codecs, settings.audio_codecs)
    except GatewayError as error:
        return [
            act.SendReply(error.status, error.reason_phrase, headers.explanation_of(error, settings.realm)),
            *refuse(record, *_FAILED, error.detail),
        ]
    record.ims_offer = sdp_to_text(offer)
    record.ims_version += 1
    kept = {line.kind for line in lines}
    gone = tuple(medium.kind for medium in record.media if medium.kind not in kept)
    one_way = any(medium.reverse_line is not None for medium in record.media)
    record.media = [medium_of(line, place, one_way=one_way) for place, line in enumerate(lines)]
    record.move_ims(OfferAnswerEvent.OFFER_RECEIVED)
    release = [act.ReleaseMedia(record.key, record.node, gone)] if gone else []
    return [answer_ahead(record, lines), *release]


def _without_new_lines(offer: SessionDescription, media: Sequence[Medium]) -> SessionDescription:
    """Switch off each line of an offer that carries none of the call's media.

    Raises:
        RemoteProtocolError: a line of theirs is missing (RFC 3264 §8).
    """
    kinds = {medium.ims_line: medium.kind for medium in media}
    if max(kinds) >= len(offer.media):
        raise RemoteProtocolError("fewer media lines than in the INVITE")
    lines = enumerate(offer.media)
    return replace(
        offer, media=tuple(line if kinds.get(place) == line.kind else off_line(line) for place, line in lines)
    )


def answer_ahead(record: CallRecord, lines: Sequence[CoreLine]) -> act.AnswerAhead:
    """Answer the core before the page is asked: that cannot promise what only the page knows of its pictures, nor that
    it has EVS, unless there is nothing else."""
    media = {line.kind: spoken_line(without_orientation(line.sdp)) for line in lines}
    for medium in record.media:
        medium.ims_answer = media[medium.kind]
    return act.AnswerAhead(record.key, record.node, media, begins=True)


def on_timer(record: CallRecord, event: TimerFired, settings: CallSettings) -> list[act.Action]:
    """Repeat our 183 (RFC 3262 §3), or give up."""
    if record.ended:
        return []
    incoming = _incoming(record)
    if record.rejection is not None or incoming.precondition is Precondition.RESUMING:
        return _go_back(record)
    if incoming.precondition is Precondition.WAITING:
        if event.due is Due.PRECONDITIONS:
            return refuse(record, *_FAILED, "the caller's resources did not come")
        return [act.Schedule(record.key, Due.PRECONDITIONS, settings.prack_s)]  # the PRACK came in between
    if _T1_S * 2**incoming.repeated >= settings.prack_s:
        return refuse(record, 504, "Server Time-out", "no PRACK came for the answer")
    incoming.repeated += 1
    rest = min(_T1_S * 2**incoming.repeated, settings.prack_s - _T1_S * (2**incoming.repeated - 1))
    return [act.Schedule(record.key, Due.RELIABLE_REPEAT, max(rest, 0.05)), *resume(record)]


def refuse(record: CallRecord, status: int, reason_phrase: str, detail: str) -> list[act.Action]:
    """End a call whose page has not been called."""
    record.rejection = Rejection(status, reason_phrase, detail)
    if _incoming(record).precondition is Precondition.ANSWERING:
        return []  # nothing is suspended yet: whoever asks the relay will see
    return _go_back(record)


def _go_back(record: CallRecord) -> list[act.Action]:
    """Resume the INVITE, and again if that fails: for a moment it may be another process that has it in hand."""
    incoming = _incoming(record)
    incoming.returns += 1
    if incoming.returns > _MOST_RETURNS:
        return [act.Note("call_never_ended", logging.WARNING), *finish(record, DialogEvent.REJECTED)]
    return [act.Schedule(record.key, Due.PRECONDITIONS, _AGAIN_S), *resume(record)]


def on_invite_resumed(record: CallRecord, event: InviteResumed, settings: CallSettings) -> list[act.Action]:
    """We are back in the INVITE's transaction: refuse it, repeat our 183, or call the page."""
    if record.ended:
        return []
    if record.rejection is not None:
        return _refused(record, record.rejection, settings)
    incoming = _incoming(record)
    if incoming.precondition is not Precondition.RESUMING:
        return _send_183(record, settings)
    if event.request is None:
        raise LocalProtocolError("the INVITE has to be at hand")
    incoming.move_precondition(PreconditionEvent.MET)
    edits = edits_of_invite(record, event.request, settings)
    return [act.Unschedule(record.key), call_page(record, edits, settings, resumed=True)]


def _refused(record: CallRecord, why: Rejection, settings: CallSettings) -> list[act.Action]:
    return [
        act.Note("call_rejected", logging.INFO, {"status": why.status, "detail": why.detail}),
        act.SendReply(why.status, why.reason_phrase, headers.explanation_of(why, settings.realm)),
        *finish(record, DialogEvent.REJECTED),
    ]


def on_guard_expired(
    record: CallRecord, _event: InviteGuardExpired, settings: CallSettings
) -> list[act.Action]:
    """All our own timers failed to end this: tm is about to give the INVITE up."""
    if record.ended or not pending(record):
        return []
    failed = act.SendReply(
        *_FAILED, headers.explanation("the caller's resources did not come", settings.realm)
    )
    return [failed, *finish(record, DialogEvent.REJECTED)]


def on_media_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """The relay could not follow the caller's INVITE, or its UPDATE."""
    error = event.error
    answer = act.SendReply(error.status, error.reason_phrase, headers.explanation_of(error, settings.realm))
    if _incoming(record).precondition is Precondition.ANSWERING:
        return [answer, *finish(record, DialogEvent.REJECTED)]
    return [answer, *refuse(record, *_FAILED, error.detail)]


def on_cancel(record: CallRecord, _event: CancelReceived, _settings: CallSettings) -> list[act.Action]:
    """The caller gave up, and tm has answered it.  A page that has been called ends it by its 487."""
    if record.ended or not pending(record):
        return []
    return [act.Note("call_cancelled", logging.INFO), *finish(record, DialogEvent.CANCELLED)]


def _incoming(record: CallRecord) -> Incoming:
    if record.incoming is None:
        raise LocalProtocolError("not a call towards a page")
    return record.incoming
