"""The core's responses to the INVITE, brought into the one dialog the page sees.

Whatever the core forks, the page sees our To-tag, our Contact, no Record-Route and a rising RSeq.  Each different
answer is given to the relay before the response goes on, so that media runs when the page hears of it.
"""

from __future__ import annotations

import logging
from typing import Final

from kemi.core import emergency, headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import Due, ImsFailed, MediaConnected, MediaFailed, MediaGated
from kemi.core.call.from_page import challenged, early_media, forks, redirection, trunk_call
from kemi.core.call.from_page.core_invite import is_worth_a_longer_session, try_longer_session
from kemi.core.call.from_page.correction import correct
from kemi.core.call.from_page.setup import (
    cancel_forwarded,
    finish,
    reject,
    release_media,
)
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media import digits, pictures
from kemi.core.call.node_loss.record import Recovery
from kemi.core.call.own_request import learn_allowed, learn_target, own_request_to_ims
from kemi.core.call.record import CallRecord, Leg, Rejection, checksum
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog, DialogEvent, Media, MediaEvent, OfferAnswer, OfferAnswerEvent
from kemi.core.decimals import number_or
from kemi.core.errors import GatewayError, MediaForgotten, NotAcceptableHere, RemoteProtocolError, SipReject
from kemi.core.messages import Reply, addresses_from_headers
from kemi.core.sdp.interwork import ims_answer_media
from kemi.core.sdp.interwork.avpf import agreed
from kemi.core.sdp.model import Direction

NOBODY_ANSWERED: Final = Rejection(480, "No Answer", "nobody answered")
FORK_ENDED: Final = 199
MAY_CROSS_S: Final = 4.0
"""How long an answer may come after we have given up: it crosses tm's CANCEL, which goes out after our own refusal, and
where it is lost it comes again after 0.5, 1 and 2 s (RFC 3261 §13.3.1.4)."""
NO_CORE: Final = Rejection(504, "Server Time-out", "the IMS core does not answer")


def on_invite_reply(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Sort a response to the forwarded INVITE."""
    if not record.forwarded:
        return [act.DropReply()]  # to an INVITE that nobody has sent
    if reply.status >= 300:
        return [*redirection.remembered(record, reply, settings), _forward_refusal(record, reply, settings)]
    if not reply.to_tag:
        return [act.DropReply()]  # RFC 3261 §12.1: makes no dialog, and the page already knows we are trying
    if reply.status < 200:
        if record.ended or record.confirmed_tag or forks.is_one_too_many(record, reply.to_tag):
            # Another fork still rings: its early media must not take the call's place.  Or there are too many of them.
            return [act.DropReply()]
        return _on_progress(record, reply, settings)
    leg = _learn_leg(record, reply)
    is_late = (
        record.ended and not record.confirmed_tag
    )  # the INVITE has had its end, and tm passes nothing on
    if is_late or (record.confirmed_tag and record.confirmed_tag != reply.to_tag):
        return _refuse_answer(record, reply, leg)
    if record.abandoned:
        return _refuse_unheard_answer(record, reply, leg, settings)
    if record.acknowledged:
        # Repeated, so the ACK was lost; tm may have forgotten the INVITE and could not pass this on to the page.
        return [act.DropReply(), own_request_to_ims(record, reply.to_tag, "ACK", record.ims_invite_cseq)]
    return _on_answer(record, reply, leg, settings)


def _on_progress(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """A fork rings, tells of its progress, or has given up (199, RFC 6228)."""
    leg = _learn_leg(record, reply)
    rseq = _rseq(reply)
    acknowledge: list[act.Action] = []
    if rseq:
        ours = not record.reliable_answer or reply.status == FORK_ENDED
        is_new = not leg.rseq or rseq == leg.rseq + 1
        if not is_new and (ours or _known_rseq(record, reply.to_tag, rseq) is None):
            return [act.DropReply()]  # once more, or out of order and to come again (RFC 3262 §4)
        leg.rseq = max(leg.rseq, rseq)
        if ours:
            rack = f"RAck: {rseq} {record.ims_invite_cseq} INVITE"
            acknowledge = [own_request_to_ims(record, reply.to_tag, "PRACK", record.next_ims_cseq(), rack)]
    early_media.learn(leg, reply)
    if reply.status == FORK_ENDED:
        # The page has one dialog for all forks, which goes on: it is not told.
        del record.legs[reply.to_tag]
    elif reply.has_sdp and not leg.told and reply.body != leg.answer:
        leg.answer, leg.unusable = reply.body, ""
        record.legs[reply.to_tag] = record.legs.pop(reply.to_tag)  # the newest is last
    return [*acknowledge, *hear(record, reply, settings)]


def hear(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Let the page hear the fork it should hear now, then pass the response on.

    A fork whose description cannot be used is not heard.  The call ends for it where it is all there is, before it
    answers and is charged for; where others are known, one of them may answer, or this one describe something else.
    """
    before = early_media.passing(record)
    notes: list[act.Action] = []
    while True:
        tag = early_media.heard(record, settings)
        leg = record.legs[tag] if tag else None
        if leg is None or forks.applied(tag, leg.answer) == record.applied_answer or record.doomed:
            taken = _pass_on(record, reply, settings)
            break
        try:
            taken = _connect(record, tag, leg.answer, reply, settings)
            break
        except GatewayError as error:
            if len(record.legs) == 1 and tag == reply.to_tag:
                taken = _not_taken(record, reply, error, settings)
                break
            leg.answer, leg.unusable = "", error.detail
            if forks.has_answered(leg) and record.ims_offer_answer is OfferAnswer.OFFER_SENT:
                record.move_ims(OfferAnswerEvent.ANSWER_RECEIVED)  # and it may put that right by UPDATE
            notes.append(act.Note("early_answer_unusable", logging.WARNING, {"detail": error.detail}))
    if tag or record.applied_answer:
        early_media.allow(record, tag, settings)
    return [*notes, *early_media.gates_since(record, before), *taken]


def _on_answer(record: CallRecord, reply: Reply, leg: Leg, settings: CallSettings) -> list[act.Action]:
    """The first 2xx: this fork has the call (RFC 3261 §13.2.2.4)."""
    is_first = not record.confirmed_tag
    if is_first:
        record.confirmed_tag = reply.to_tag
        record.move_dialog(DialogEvent.ANSWERED)
        session_timer.answered_by_core(record, reply, settings)
    answer = forks.answer_in(leg, reply)
    for known in record.legs.values():
        known.answer, known.early_media = "", []
    before = early_media.passing(record)
    early_media.allow_all(record)
    applied = (
        record.media_state is Media.CONNECTED and forks.applied(reply.to_tag, answer) == record.applied_answer
    )
    if not answer or applied or record.ended or record.doomed:
        if not answer and leg.unusable:
            record.doomed = leg.unusable
        elif not record.applied_answer:
            record.doomed = "the core answered without a session description"
        follow = []
        if applied and is_first and not record.ended:
            if not leg.told:  # else ours answers what the fork has offered, and not the other way round
                record.ims_description = exchange.as_taken(record, record.ims_description, answer, settings)
            follow = _answered_as_before(record, settings)
        return [*early_media.gates_since(record, before), _forward(record, reply, settings), *follow]
    try:
        taken = _connect(record, reply.to_tag, answer, reply, settings)
    except GatewayError as error:
        taken = _not_taken(record, reply, error, settings)
    return [*early_media.gates_since(record, before), *taken]


def _answered_as_before(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """The relay works with this answer since it came in a provisional response: what it refuses is refused for good."""
    refused = tuple(medium.kind for medium in record.media if not medium.active)
    release = [act.ReleaseMedia(record.key, record.node, refused)] if refused else []
    return [*pictures.request_key_frames(record), *release, *correct(record, settings)]


def _not_taken(
    record: CallRecord, reply: Reply, error: GatewayError, settings: CallSettings
) -> list[act.Action]:
    if isinstance(error, RemoteProtocolError):  # not the page's fault: RFC 3261 §21.5.3
        error = SipReject(error.detail, status=502, reason_phrase="Bad Gateway")
    return on_media_failed(record, MediaFailed(error, reply), settings)


def _rseq(reply: Reply) -> int:
    """Return the number of a reliable response, 0 for any other."""
    text = "".join(reply.headers("RSeq")).strip()
    return number_or(0, text) if "100rel" in reply.tokens("Require") else 0


def _forward_refusal(record: CallRecord, reply: Reply, settings: CallSettings) -> act.ForwardReply:
    # A redirection's Contact is its content (RFC 3261 §21.3); any other would show the core's address.  A body that
    # says why, and what to do now, is read by no other means (TS 24.229 §5.1.3.1): no page takes it for a description.
    remove, insert = boundary.towards_page(reply, settings)
    if reply.status >= 400:
        remove += ("Contact",)
    else:
        remove, insert = boundary.readable_targets(reply, remove, insert, settings)
    insert += trunk_call.on_refusal(record, reply, settings)
    if reply.status == 422:
        session_timer.learn_too_short(record, reply, settings)
    body = None if reply.content_type.partition(";")[0].strip().lower() == emergency.BODY_TYPE else ""
    return act.ForwardReply(
        boundary.as_of_page(
            record,
            act.MessageEdits(
                to_tag=record.gateway_tag,
                cseq=_cseq_for_page(record),
                remove=remove,
                insert=insert,
                body=body,
            ),
        )
    )


def _learn_leg(record: CallRecord, reply: Reply) -> Leg:
    """Keep the remote target and route set of this early or confirmed dialog (RFC 3261 §12.1.2)."""
    # Without a Contact, which it owes (RFC 3261 §12.1.1), it is asked where the INVITE went.
    leg = record.legs.setdefault(reply.to_tag, Leg(contact="" if record.trunk else record.request_uri))
    record.caller_lines = []  # the INVITE will not be sent again
    learn_allowed(leg, reply)
    learn_target(leg, reply)
    routes = addresses_from_headers(reply.headers("Record-Route"))
    if routes:
        leg.route_set = routes[::-1]
    return leg


def _connect(
    record: CallRecord, tag: str, answer_text: str, reply: Reply, settings: CallSettings
) -> list[act.Action]:
    kinds = tuple(medium.kind for medium in record.media)
    told = forks.told(record, tag)
    answers = ims_answer_media(answer_text, kinds, told)
    if all(answer.sdp is None for answer in answers.values()):
        raise NotAcceptableHere("the far end refused every medium")
    if record.legs[tag].told:  # ours answers what the fork has offered, and not the other way round
        record.ims_description = told
    elif reply.status < 200:  # another fork may take what this one refuses
        record.ims_description = agreed(told, answer_text)
    else:
        record.ims_description = exchange.as_taken(record, told, answer_text, settings)
    record.applied_answer = forks.applied(tag, answer_text)
    # The same once more is a refresh, which our offer answers only where the far end took all of it (RFC 3264 §6).
    whole = all(one.sdp is not None and one.direction is Direction.SENDRECV for one in answers.values())
    record.far_checksum = checksum(answer_text) if whole else ""
    if record.ims_offer_answer is OfferAnswer.OFFER_RECEIVED:
        # Another fork's, which loses the media to this one: it is refused when the relay is done with it.
        record.move_ims(OfferAnswerEvent.OFFER_REFUSED)
    record.move_ims(OfferAnswerEvent.ANSWER_RECEIVED)
    media = []
    notes: list[act.Action] = []
    for medium in record.media:
        answer = answers[medium.kind]
        if answer.is_missing:
            notes.append(act.Note("answer_too_short", logging.WARNING, {"detail": f"no {medium.kind} line"}))
        if answer.why:
            notes.append(act.Note("video_not_passed", logging.WARNING, {"detail": answer.why}))
            record.core_behind = True  # of that: the far end believes that its video is on
        medium.answered, medium.active, medium.codec = True, answer.sdp is not None, answer.codec or ""
        medium.ims_answer, medium.ims_direction = answer.sdp or "", answer.direction
        if answer.sdp is None and reply.status < 200:
            continue  # another fork may take it: its ports stay, behind a gate
        media.append(
            act.MediumAnswer(medium.kind, medium.wic_offer, medium.reverse, answer.sdp, medium.reverse_answer)
        )
    connect = act.ConnectMedia(
        record.call_id, record.node, record.transport, tuple(media), reply, told=record.wic_description
    )
    return [*notes, connect]


def on_media_connected(record: CallRecord, event: MediaConnected, settings: CallSettings) -> list[act.Action]:
    """The relay works with this answer: now the page may hear of it."""
    if record.ended:  # hung up while the relay was at it, which may have made its call anew
        kinds = tuple(medium.kind for medium in record.media)
        release = act.ReleaseMedia(record.key, record.node, kinds)
        # An answer goes on all the same: nothing else ends the INVITE's transaction.
        reply = _forward(record, event.reply, settings) if event.reply.status >= 200 else act.DropReply()
        return [reply, release]
    record.move_media(MediaEvent.CONNECTED)
    return [*_pass_on(record, event.reply, settings), *correct(record, settings)]


def on_media_gated(_record: CallRecord, _event: MediaGated, _settings: CallSettings) -> list[act.Action]:
    """Early media passes as it may."""
    return []


def on_media_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """No media, no call: end it on both sides with the reason."""
    error, reply = event.error, event.reply
    note = act.Note(
        "media_failed", logging.ERROR, {"status": error.status, "detail": error.detail, "node": record.node}
    )
    if event.bearer == early_media.GATED:
        record.relay_behind = True
        return [note]  # heard or not, the call goes on
    if reply is None:  # while the set-up is still ours
        if record.wic_offer_answer is not OfferAnswer.OFFER_RECEIVED:
            return [note, *reject(record, _rejection(error))]
        return [
            note,
            act.SendReply(error.status, error.reason_phrase, headers.explanation_of(error, settings.realm)),
            *finish(record, DialogEvent.REJECTED),
        ]
    if reply.status >= 200 and isinstance(error, MediaForgotten):
        record.move_media(MediaEvent.CONNECTED)
        record.recovery = Recovery()  # it moves as soon as the page has acknowledged
        return [note, _forward(record, reply, settings)]
    if reply.status >= 200:
        # Too late to refuse: the page gets its answer, and both sides a BYE when the page has acknowledged.
        record.doomed = error.detail
        return [note, _forward(record, reply, settings)]
    record.cancelled = True
    record.rejection = _rejection(error)
    return [note, act.DropReply(), cancel_forwarded(record)]


def _rejection(error: GatewayError) -> Rejection:
    return Rejection(error.status, error.reason_phrase, error.detail, error.warn_code)


def _cseq_for_page(record: CallRecord) -> int | None:
    """The page knows its INVITE by its own number, however often we sent it."""
    return record.invite_cseq if record.ims_invite_cseq != record.invite_cseq else None


def _pass_on(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Pass a response on, unless it is none, or one that ends a fork."""
    if not reply.status:
        return []
    if reply.status == FORK_ENDED:
        return [act.DropReply()]
    return [_forward(record, reply, settings)]


def _forward(record: CallRecord, reply: Reply, settings: CallSettings) -> act.ForwardReply:
    """Put a 1xx or 2xx into the page's dialog."""
    hidden, warnings = boundary.required_of_page(reply, *boundary.towards_page(reply, settings))
    insert = [boundary.contact_for_page(reply, settings), *warnings]
    remove = ["Contact", *hidden]
    if record.wic_takes_digits:
        removed, added = digits.packages_for_page(reply)
        remove, insert = [*remove, *removed], [*insert, *added]
    record.remote_identity = boundary.remote_identity(reply) or record.remote_identity
    if reply.status >= 200:
        insert += session_timer.answer_to_page(record)
    core_rseq = _rseq(reply) if reply.status < 200 else 0
    if core_rseq:
        remove.append("RSeq")
    if core_rseq and record.reliable_answer:
        insert.append(f"RSeq: {_our_rseq(record, reply.to_tag, core_rseq)}")
    elif core_rseq:
        remove.append("Require")  # acknowledged by us: to a page without 100rel it is like any other
    body = ""
    if reply.status >= 200 and record.wic_answer:
        body = record.wic_answer
    edits = act.MessageEdits(
        to_tag=record.gateway_tag,
        cseq=_cseq_for_page(record),
        remove=tuple(remove),
        insert=tuple(insert),
        body=body,
    )
    return act.ForwardReply(boundary.as_of_page(record, edits))


def _our_rseq(record: CallRecord, tag: str, core_rseq: int) -> int:
    """Return the RSeq the page sees for this one of the core's; a retransmission gets the same (RFC 3262 §3)."""
    known = _known_rseq(record, tag, core_rseq)
    if known is not None:
        return known
    record.rseq += 1
    record.reliable[str(record.rseq)] = (tag, core_rseq)
    return record.rseq


def _known_rseq(record: CallRecord, tag: str, core_rseq: int) -> int | None:
    ours = (ours for ours, known in record.reliable.items() if tuple(known) == (tag, core_rseq))
    return next((int(number) for number in ours), None)


def _refuse_answer(record: CallRecord, reply: Reply, leg: Leg) -> list[act.Action]:
    """Another fork answered too, or somebody just as we gave up (RFC 3261 §9.1): acknowledge it and hang it up, the
    page never hears of it (§13.2.2.4)."""
    actions: list[act.Action] = [
        act.DropReply(),
        own_request_to_ims(record, reply.to_tag, "ACK", record.ims_invite_cseq),
    ]
    if not leg.refused:
        leg.refused = True
        actions.append(own_request_to_ims(record, reply.to_tag, "BYE", record.next_ims_cseq()))
    if len(record.legs) > forks.MOST_FORKS:
        del record.legs[reply.to_tag]  # it has what it is due, and comes again only if that was lost
    return actions


def _refuse_unheard_answer(
    record: CallRecord, reply: Reply, leg: Leg, settings: CallSettings
) -> list[act.Action]:
    """The callee answered while we were cancelling for a page that is gone: acknowledge and hang up for it.

    The answer goes on all the same: it ends the INVITE's transaction, wherever it gets to.
    """
    leg.refused = True
    return [
        own_request_to_ims(record, reply.to_tag, "ACK", record.ims_invite_cseq),
        own_request_to_ims(record, reply.to_tag, "BYE", record.next_ims_cseq()),
        _forward(record, reply, settings),
        *finish(record, DialogEvent.CANCELLED),
    ]


def on_ims_failed(record: CallRecord, event: ImsFailed, settings: CallSettings) -> list[act.Action]:
    """The forwarded INVITE ended without an answer."""
    if record.dialog is Dialog.CONFIRMED:
        return []  # an answer was faster: the call runs
    if record.ended:
        return release_media(record)
    if event.status == 422 and is_worth_a_longer_session(record, settings):
        return try_longer_session(record, settings)
    if challenged.is_challenged(record, event):
        return challenged.on_challenged(record)
    if (onward := trunk_call.on_failed(record, event, settings)) is not None:
        return onward
    return _refused(record, event, settings)


def _refused(record: CallRecord, event: ImsFailed, settings: CallSettings) -> list[act.Action]:
    """Nobody else is asked: the page hears how it ended."""
    if record.rejection is None and event.local and not record.cancelled:
        nobody = trunk_call.NO_TRUNK if record.trunk else NO_CORE
        record.rejection = NOBODY_ANSWERED if record.legs else nobody
    why = record.rejection
    reasons: tuple[str, ...] = ()
    if why is None and (instead := trunk_call.refusal(record, event)) is not None:
        why, reasons = instead
        if why in trunk_call.NOT_OF_CALLEE:
            record.rejection = why
    actions: list[act.Action] = []
    if why is not None:
        explanation = headers.explanation_of(why, settings.realm)
        actions.append(act.SendReply(why.status, why.reason_phrase, (*explanation, *reasons)))
    silent = event.local and not (event.heard or record.legs)
    if record.service_route and not record.trunk and not record.cancelled and (silent or event.unknown):
        actions.append(act.RenewRegistration(record.key, record.connection_id))
    end = DialogEvent.CANCELLED if record.cancelled else DialogEvent.REJECTED
    note = act.Note("call_rejected", logging.INFO, {"status": event.status, "local": int(event.local)})
    if not (event.local or event.timed_out):
        return [note, *actions, *finish(record, end)]
    record.move_dialog(end)  # but it is kept for who answers at this moment
    forget = act.Schedule(record.key, Due.FORGET, MAY_CROSS_S)
    return [note, *actions, *release_media(record), forget]
