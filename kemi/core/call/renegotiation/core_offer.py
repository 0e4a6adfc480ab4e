"""Offers of the core in a session: re-INVITE and UPDATE with and without a description (RFC 3261 §14, RFC 3311).

    IMS                      we                                     WIC
     │ re-INVITE, offer ────►│ on_core_offer
     │                       │   nothing new for the page: the relay learns it
     │◄── 200 with answer ───│ on_reoffered
     │                       │   else ─── re-INVITE, our offer ─────►│
     │                       │◄──────────────── 200 with answer ─────│ on_page_reply
     │◄── 200 with answer ───│ on_reoffered
     │ ACK ─────────────────►│──────────────────────────────── ACK ─►│

The relay stands between the sides: another address, port, codec or payload type of the far end is no business of the
page.  That it holds, resumes, or adds and removes a medium is.  A page that takes no UPDATE learns what one changed
afterwards, by a re-INVITE of ours (own_offer.py); so does one that is away just now.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.errands import run_alone
from kemi.core.call.events import (
    ChangeFailed,
    ImsReoffered,
    ImsRequest,
    IncomingConnected,
    IncomingReserved,
    MediaFailed,
    MediaRenewed,
)
from kemi.core.call.from_page import early_media, forks
from kemi.core.call.from_page.setup import reserved_too_late
from kemi.core.call.in_dialog.to_page import forward_to_page
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media.running import held_back, holds_digits
from kemi.core.call.media.session import (
    direction_for_core,
    is_news,
    keep_what_is_agreed,
    medium_change,
    shown_media,
    take_page_answer,
)
from kemi.core.call.record import CallRecord, Exchange, Medium, Offerer, checksum
from kemi.core.call.renegotiation.core_late_offer import Late, ask_for_offer
from kemi.core.call.renegotiation.core_late_offer import on_media_failed as on_late_media_failed
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog, Media
from kemi.core.errors import GatewayError, LocalProtocolError, NotAcceptableHere
from kemi.core.extensions import refuse as refuse_extensions
from kemi.core.messages import Reply, Request
from kemi.core.sdp.interwork.client_offer import Added, offered_again
from kemi.core.sdp.interwork.core_reoffer import CoreReoffer, core_reanswer, read_core_reoffer
from kemi.core.sdp.interwork.incoming import added_answer
from kemi.core.sdp.interwork.page_reoffer import is_unaddressed
from kemi.core.sdp.interwork.places import has_room
from kemi.core.sdp.interwork.wic import as_agreed
from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.preconditions import OPTION_TAG, missing
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text

_OTHERS_EXTENSIONS = boundary.NOT_OF_PAGES | boundary.RELIABLE
"""Extensions of the core's that a page is not offered."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """What is carried through the relay's work: the page's response, and the relay's answers for what is new."""

    forward: act.ForwardReply | None = None
    """None: the core's own request is being answered."""
    answers: dict[str, str] = field(default_factory=dict)


def on_core_offer(record: CallRecord, event: ImsRequest, settings: CallSettings) -> list[act.Action]:
    """Answer a later offer of the core, or ask the page."""
    request = event.request
    if record.dialog is not Dialog.CONFIRMED and request.method == "INVITE":
        # RFC 3261 §14.2: their first INVITE is not answered yet, or ours is not
        busy = act.SendReply(500, "Server Internal Error", ("Retry-After: 5",))
        return [act.SendReply(491, "Request Pending") if record.incoming is None else busy]
    refusal = exchange.refusal(record, request)
    if refusal is not None:
        return [refusal]
    if record.media_state is not Media.CONNECTED:
        return [act.SendReply(500, "Server Internal Error", ("Retry-After: 1",))]
    if not request.body:
        return ask_for_offer(record, request)
    if not request.has_sdp:
        return [act.SendReply(415, "Unsupported Media Type", ("Accept: application/sdp",))]
    if checksum(request.body) == record.far_checksum:
        return [answered(record, record.ims_description, settings)]  # nothing but a refresh (RFC 4028 §7.4)
    try:
        offer = sdp_from_text(request.body)
        if record.dialog is Dialog.CONFIRMED:
            _check_preconditions(request, offer)
        reoffer = read_core_reoffer(
            offer,
            sdp_from_text(record.ims_description),
            places(record.media),
            settings.video_codecs,
            settings.audio_codecs,
            own_video(record),
        )
    except GatewayError as error:
        return [refuse(error, settings)]
    told = sdp_from_own_text(record.wic_description).media
    if not has_room(told, [line.kind for line in reoffer.added]):
        reoffer = replace(reoffer, added=())  # port 0 for those; what runs goes on
        if not reoffer.going_on:
            return [
                refuse(NotAcceptableHere("The page's description has no room for another line"), settings)
            ]
    note = [act.Note("video_not_passed", logging.WARNING, {"detail": reoffer.unfit})] if reoffer.unfit else []
    return [*note, *_follow(record, event, reoffer, settings)]


def _follow(
    record: CallRecord, event: ImsRequest, reoffer: CoreReoffer, settings: CallSettings
) -> list[act.Action]:
    request = event.request
    media = _as_offered(record.media, reoffer)
    news = bool(reoffer.added) or any(map(is_news, record.media, media))
    pending = Exchange(Offerer.IMS, request.method, request.cseq, request.body, media)
    exchange.begin(record, pending)
    if not news:
        return [_tell_relay(record, reoffer.going_on.keys(), _Answered())]
    takes_it = request.method == "INVITE" or record.wic_takes_update
    if record.dialog is not Dialog.CONFIRMED or not event.flow_alive or not takes_it:
        record.page_behind = True
        return [_tell_relay(record, reoffer.going_on.keys(), _Answered())]
    if not reoffer.added:
        return _ask_page(record, request, settings, {})
    pending.reserved = [line.kind for line in reoffer.added]
    edits = act.MessageEdits()  # made when the relay has answered: our offer is not known before
    reserve = act.ReserveIncoming(
        record.key,
        record.node,
        {line.kind: line.sdp for line in reoffer.added},
        edits,
        bearer=(request, reoffer),
    )
    return [reserve]


def _check_preconditions(request: Request, offer: SessionDescription) -> None:
    """Raise SipReject (420) where the far end requires that a change waits for resources it lacks (RFC 3312 §4).

    Before the answer a page need not ring until they are there (towards_page/preconditions.py); a session that runs
    would have to be kept as it is, and nobody needs that.
    """
    active = [place for place, line in enumerate(offer.media) if not line.rejected]
    if OPTION_TAG in request.tokens("Require") and missing(offer, active):
        refuse_extensions({OPTION_TAG})


def refuse(error: GatewayError, settings: CallSettings) -> act.SendReply:
    """Refuse an offer; the session stays as it was (RFC 3261 §14.2)."""
    lines = (*error.lines, *headers.explanation_of(error, settings.realm))
    return act.SendReply(error.status, error.reason_phrase, lines)


def own_video(record: CallRecord) -> str:
    """Return the page's video line alone, "" where it has none."""
    video = record.medium("video")
    return "" if video is None else video.wic_offer


def places(media: list[Medium]) -> dict[str, int]:
    """Return which line of the core each medium of the call has."""
    return {medium.kind: medium.ims_line for medium in media if medium.active}


def _as_offered(media: list[Medium], reoffer: CoreReoffer) -> list[Medium]:
    """Return the call's media as the core wants them, without what it adds."""
    changed = deepcopy(media)
    for medium in changed:
        offered = reoffer.going_on.get(medium.kind)
        if offered is None:
            medium.active = medium.active and medium.kind not in reoffer.switched_off
            continue
        medium.ims_direction = offered.direction
        medium.ims_answer = offered.sdp or medium.ims_answer
        if medium.kind == "video":
            medium.codec = offered.codec
    return changed


# ---------------------------------------------------------------- asking the page


def on_reserved(record: CallRecord, event: IncomingReserved, settings: CallSettings) -> list[act.Action]:
    """The relay has ports for what the core adds: now the page is asked."""
    if record.ended:
        return reserved_too_late(record.key, event)
    request, reoffer = event.bearer
    pending = _of_core(record)
    for line in reoffer.added:
        pending.media = [medium for medium in pending.media if medium.kind != line.kind]
        pending.media.append(
            Medium(
                kind=line.kind,
                wic_offer="",
                ims_line=line.place,
                ims_answer=line.sdp,
                ims_direction=line.direction,
                answered=True,
            )
        )
    return _ask_page(record, request, settings, event.offers)


def _ask_page(
    record: CallRecord, request: Request, settings: CallSettings, relay_offers: Mapping[str, str]
) -> list[act.Action]:
    pending = _of_core(record)
    one_way = any(medium.reverse_line is not None for medium in record.media)
    told = sdp_from_own_text(record.wic_description)
    numbers = {number for line in told.media if not line.rejected for number in line.formats}
    added = [
        Added(
            medium.kind,
            medium.ims_direction,
            relay_offers[medium.kind],
            # told apart by payload types alone: where one is taken, one line for both directions
            one_way and numbers.isdisjoint(sdp_from_text(relay_offers[medium.kind]).media[0].formats),
        )
        for medium in pending.media
        if medium.kind in relay_offers
    ]
    known = [medium for medium in pending.media if medium.kind not in relay_offers]
    origin = exchange.next_wic_origin(record)
    offer, placed = offered_again(
        sdp_from_own_text(record.wic_description),
        shown_media(known, flips=not record.wic_takes_update),
        origin,
        added,
    )
    if offer is None:  # the page has heard of it already
        return [_tell_relay(record, [medium.kind for medium in known if medium.active], _Answered())]
    for medium in pending.media:
        if medium.kind in placed:
            medium.line, medium.reverse_line = placed[medium.kind]
    pending.wic_description = sdp_to_text(offer)
    exchange.offered(record)
    forward = forward_to_page(record, request, settings)
    edits = _without_extensions(forward.edits, request)
    return [replace(forward, edits=replace(edits, body=pending.wic_description), change=True)]


def _without_extensions(edits: act.MessageEdits, request: Request) -> act.MessageEdits:
    insert = edits.insert
    for name in ("Supported", "Require"):
        others = sorted(request.tokens(name) - _OTHERS_EXTENSIONS)
        insert += (f"{name}: {', '.join(others)}",) if others else ()
    return replace(
        edits,
        remove=(*edits.remove, "Supported", "Require", "Session-Expires", "Min-SE"),
        insert=insert,
    )


def on_page_reply(record: CallRecord, reply: Reply, forward: act.ForwardReply) -> list[act.Action]:
    """Take the page's response to an offer of the core; ``forward`` sends it on as any other."""
    pending = record.exchange
    answered = (Offerer.IMS, reply.method, forward.edits.cseq)
    if pending is None or answered != (pending.offerer, pending.method, pending.cseq) or reply.status < 200:
        # provisional; or a 2xx once more, which is answered as before, also where the core has offered anew
        again = reply.has_sdp and reply.status >= 200
        body = record.ims_description if again else ""
        return [replace(forward, edits=replace(forward.edits, body=body)) if reply.body else forward]
    if reply.status >= 300:
        return [forward, *exchange.rollback(record)]
    if pending.settling:
        return [act.DropReply()]
    pending.settling = True
    new = list(pending.reserved)
    try:
        offered = sdp_from_own_text(pending.wic_description)
        answer = take_page_answer(pending.media, offered, reply.body)
        pending.wic_description = sdp_to_text(as_agreed(offered, answer.description))
        lines = {
            medium.kind: added_answer(offered, answer.description, medium.line, medium.reverse_line)
            for medium in pending.media
            if medium.kind in new
        }
    except GatewayError:
        lines = {}
    connect: dict[str, str | None] = {}
    for medium in pending.media:
        if medium.kind in new:
            text = lines.get(medium.kind)
            connect[medium.kind] = text
            medium.wic_offer, medium.active = text or "", text is not None
            medium.unaddressed = text is not None and is_unaddressed(answer.description.media[medium.line])
    if connect:
        return [act.ConnectIncoming(record.key, record.node, connect, reply, bearer=forward)]
    return [_tell_relay(record, _going_on(pending), _Answered(forward))]


def on_connected(record: CallRecord, event: IncomingConnected, settings: CallSettings) -> list[act.Action]:
    """The relay works with the page's answer to what is new; now for what goes on."""
    pending = _of_core(record)
    added = (medium for medium in pending.media if medium.kind in pending.reserved)
    answered = _Answered(event.bearer, dict(event.answers))
    return [*held_back(record, added, settings), _tell_relay(record, _going_on(pending), answered)]


def _going_on(pending: Exchange) -> list[str]:
    return [medium.kind for medium in pending.media if medium.active and medium.kind not in pending.reserved]


# ---------------------------------------------------------------- answering the core


def _tell_relay(record: CallRecord, kinds: Iterable[str], bearer: _Answered) -> act.ReofferFromIms:
    pending, wanted = _of_core(record), set(kinds)
    pending.settling = True
    media = [medium for medium in pending.media if medium.active and medium.kind in wanted]
    allowed = early_media.within_gates(record, tuple(map(medium_change, media)))
    drops = any(holds_digits(record, medium) for medium in media)
    return act.ReofferFromIms(
        record.key, record.node, record.transport, allowed, bearer=bearer, new_encoder=drops
    )


def too_late(
    record: CallRecord, event: ImsReoffered | MediaRenewed, settings: CallSettings
) -> list[act.Action]:
    """The call ended while the relay was asked: what it has made anew goes, and who asked for it hears so (RFC 3261
    §15.1.2)."""
    pending = record.exchange
    kinds = {medium.kind for medium in (*record.media, *(pending.media if pending is not None else ()))}
    release = act.ReleaseMedia(record.key, record.node, tuple(sorted(kinds)))
    if pending is None or pending.offerer is not Offerer.IMS or pending.answered:
        return [release]
    if (
        isinstance(event, ImsReoffered)
        and isinstance(done := event.bearer, _Answered)
        and done.forward is not None
    ):
        return [*_answer(record, {**event.answers, **done.answers}, done.forward, settings), release]
    return [act.SendReply(487, "Request Terminated"), *exchange.rollback(record), release]


def on_reoffered(record: CallRecord, event: ImsReoffered, settings: CallSettings) -> list[act.Action]:
    """The relay works with the core's offer: answer it."""
    done: _Answered = event.bearer
    former = _of_core(record).former
    if done.forward is None and former is not None and not forks.has_media(record, former.tag):
        # Another fork is heard, or has answered, meanwhile: the relay goes on with that one.
        back = exchange.rollback(record)
        active = tuple(medium_change(medium) for medium in record.media if medium.active)
        again = act.ReofferFromIms(
            record.key, record.node, record.transport, early_media.within_gates(record, active)
        )
        busy = act.SendReply(500, "Server Internal Error", ("Retry-After: 1",))
        return [busy, *back, *run_alone(record, [again], settings)]
    answers = {**event.answers, **done.answers}
    return _answer(record, answers, done.forward, settings)


def _answer(
    record: CallRecord, answers: dict[str, str], forward: act.ForwardReply | None, settings: CallSettings
) -> list[act.Action]:
    pending = _of_core(record)
    lines = {medium.kind: medium.ims_line for medium in pending.media if medium.active}
    description = core_reanswer(
        sdp_from_text(pending.offer),
        sdp_from_text(record.ims_description),
        {medium.ims_line: direction_for_core(medium) for medium in pending.media if medium.active},
        {lines[kind]: text for kind, text in answers.items() if kind in lines},
        exchange.next_ims_origin(record, settings),
        {medium.ims_line: medium.wic_offer for medium in pending.media if medium.active},
    )
    keep_what_is_agreed(pending.media, description)
    gone = [
        old.kind
        for old, new in zip(record.media, pending.media, strict=False)
        if old.active and not new.active and old.kind == new.kind
    ]
    is_early = forks.is_early(record)
    shut = early_media.shut(record, gone) if is_early else []
    gone = [*([] if is_early else gone), *(kind for kind in pending.reserved if kind not in lines)]
    pending.ims_description = body = sdp_to_text(description)
    if is_early and pending.former is not None:
        forks.offered_anew(record, pending.former.tag, pending.offer, body)
    exchange.commit(record)
    release = [*shut, *([act.ReleaseMedia(record.key, record.node, tuple(gone))] if gone else [])]
    clock = session_timer.core_clock(record)  # the 2xx refreshes the session
    if forward is not None:
        edits = replace(forward.edits, remove=(*forward.edits.remove, "Require"), body=body)
        return [replace(forward, edits=edits), *clock, *release]
    return [answered(record, body, settings), *clock, *release]


def answered(record: CallRecord, body: str, settings: CallSettings) -> act.SendReply:
    """Return the 200 to an offer of the core."""
    lines = (
        boundary.contact_for_core(record, settings),
        headers.ALLOW,
        *session_timer.answer_to_core(record),
        *boundary.charging_line(record),
    )
    return act.SendReply(200, "OK", lines, body)


def on_media_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """The relay did not do it: the session stays as it was, as far as that is still ours to say, and the relay is told
    again what that is.  Not where ports were asked for what the core adds: that touches nothing that runs."""
    if isinstance(event.bearer, Late | _Answered | act.ForwardReply):
        record.relay_behind = True
    if isinstance(event.bearer, Late):
        return on_late_media_failed(record, event, settings)
    note = act.Note("media_failed", logging.ERROR, {"detail": event.error.detail, "node": record.node})
    bearer = event.bearer
    forward = bearer.forward if isinstance(bearer, _Answered) else bearer
    if not isinstance(forward, act.ForwardReply):
        return [note, *exchange.rollback(record), refuse(event.error, settings)]
    pending = _of_core(record)  # the page has agreed, so the core gets an answer: what it was told last
    for medium in pending.media:
        medium.active = medium.active and medium.kind not in pending.reserved
    return [note, *_answer(record, {}, forward, settings)]


def on_unanswered(record: CallRecord, _event: ChangeFailed, _settings: CallSettings) -> list[act.Action]:
    """The page did not answer the offer; the core hears so by ``unanswered``."""
    _of_core(record)
    exchange.give_up_with_page(record)
    return exchange.rollback(record)


def _of_core(record: CallRecord) -> Exchange:
    if record.exchange is None or record.exchange.offerer is not Offerer.IMS:
        raise LocalProtocolError("the core has no offer open")
    return record.exchange
