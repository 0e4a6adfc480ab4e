"""The core's responses to offers of the page in a running session (see page_offer.py).

A refusal goes to the page and nothing has changed; an answer goes there once the relay works with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.errands import Errand, failed_note, run_errands
from kemi.core.call.events import ChangeFailed, MediaFailed, Renewed
from kemi.core.call.lifetime import session_timer
from kemi.core.call.lifetime.ending import SESSION_LOST, hang_up_by_gateway
from kemi.core.call.media.running import (
    SPLIT,
    gate_of,
    holds_digits,
    line_change,
    renewal,
)
from kemi.core.call.own_request import learn_target, own_request_to_ims
from kemi.core.call.record import CallRecord, Exchange, Medium, Offerer
from kemi.core.call.renegotiation.ice_restart import expect_where_refused
from kemi.core.call.renegotiation.page_change import (
    description_for_page,
    open_exchange,
    read_offer,
    settle,
)
from kemi.core.call.settings import CallSettings
from kemi.core.errors import GatewayError, NotAcceptableHere, RemoteProtocolError
from kemi.core.messages import Reply
from kemi.core.sdp.interwork.ims_reoffer import ims_answer_lines, to_be_taken_back, with_its_address

_ENDS_THE_DIALOG: Final = frozenset({408, 481})
"""What to a request inside a dialog ends it (RFC 3261 §12.2.1.2)."""


def on_core_reply(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action] | None:
    """Take the core's response to a re-INVITE or UPDATE of the page; None where it is no such response."""
    opened = record.exchange
    if (
        opened is None
        or opened.offerer is not Offerer.WIC
        or not opened.ims_description
        or (opened.method, _went_out_as(record, opened.cseq)) != (reply.method, reply.cseq)
    ):
        return _repeated(record, reply)
    if reply.status < 200:
        return [act.DropReply()]  # the page needs no more than the 100 of its own hop
    if reply.status >= 300:
        return _refused(record, reply, settings)
    clock = session_timer.answered_by_core(record, reply, settings)
    learn_target(record.legs[record.confirmed_tag], reply)
    if opened.settling:
        return [act.DropReply()]
    if record.ended:
        return [_forward(record, reply, settings, "")]
    opened.settling = True
    try:
        record.core_behind |= _take_answer(record, opened, reply, settings)
    except GatewayError as error:
        return _refuse_for_core(record, reply, error)
    errands = run_errands(
        record,
        _errands_of_answer(record, opened, reply, settings),
        partial(_on_relay_changed, reply),
        partial(_on_relay_failed, reply),
        settings,
    )
    return [*clock, *errands]


def _went_out_as(record: CallRecord, page_cseq: int) -> int:
    """Return our CSeq towards the core of a request of the page.

    Its own number may be that of a request of ours, whose 2xx may come again (RFC 3261 §13.3.1.4).
    """
    return next((int(ours) for ours, page in record.to_core.items() if page == page_cseq), page_cseq)


def _repeated(record: CallRecord, reply: Reply) -> list[act.Action] | None:
    """A 2xx that comes again has lost its ACK (RFC 3261 §13.2.2.4); the page has had it, and may have offered anew.

    While a re-INVITE of ours is out the page sends none, so that what is older than its newest one has been answered.
    """
    if reply.method != "INVITE" or record.last_invite is None or reply.cseq > record.last_invite[1]:
        return None
    if reply.to_tag != record.confirmed_tag:
        return None
    if reply.cseq == record.ims_invite_cseq and record.incoming is None:
        return None  # the call's first INVITE, sent again with another number
    if not 200 <= reply.status < 300 or record.ended:
        return None
    return [act.DropReply(), own_request_to_ims(record, record.confirmed_tag, "ACK", reply.cseq)]


def _take_answer(record: CallRecord, opened: Exchange, reply: Reply, settings: CallSettings) -> bool:
    """Put the far end's answer into the media of the exchange; raise what it deserves.

    Return whether the far end believes in video that cannot pass.
    """
    if not reply.has_sdp:
        raise RemoteProtocolError("the core answered without a session description")
    lines = {medium.kind: medium.ims_line for medium in opened.media if medium.active}
    answers = ims_answer_lines(opened.ims_description, reply.body, lines)
    if all(answer.sdp is None for answer in answers.values()):
        raise NotAcceptableHere("the far end refused every medium")
    opened.ims_description = exchange.as_taken(record, opened.ims_description, reply.body, settings)
    for medium in opened.media:
        answer = answers.get(medium.kind)
        if answer is None:
            continue
        medium.answered, medium.active = True, answer.sdp is not None
        medium.ims_direction = answer.direction
        if answer.sdp is not None:
            medium.ims_answer = with_its_address(answer.sdp, medium.ims_answer)
            medium.codec = answer.codec or ""
    return any(answer.why for answer in answers.values())


def _errands_of_answer(
    record: CallRecord, opened: Exchange, reply: Reply, settings: CallSettings
) -> list[Errand]:
    """Return what the relay has to be told, in order."""
    offered = {medium.kind: medium for medium in read_offer(record, opened.offer, settings).media}
    renewed: list[Medium] = []
    silenced: list[Medium] = []
    gated: list[Medium] = []
    added: list[Medium] = []
    for medium in opened.media:
        if not medium.active:
            continue
        if medium.kind in opened.reserved:
            added.append(medium)
        elif offered[medium.kind].renewed or line_change(record.medium(medium.kind), medium):
            renewed.append(medium)
        elif holds_digits(record, medium):
            silenced.append(medium)
        else:
            gated.append(medium)
    errands: list[Errand] = []
    if added:
        answers = tuple(
            act.MediumAnswer(medium.kind, medium.wic_offer, False, medium.ims_answer) for medium in added
        )
        errands.append(gate_of(record, added))
        errands.append(act.ConnectMedia(record.key, record.node, SPLIT, answers, reply))
    if renewed:
        drops = any(holds_digits(record, medium) for medium in renewed)
        errands.append(replace(renewal(record, renewed), new_encoder=drops))
    if silenced:
        errands.append(replace(renewal(record, silenced), new_encoder=True))
    if gated:
        errands.append(gate_of(record, gated))
    return errands


def _on_relay_changed(
    reply: Reply, record: CallRecord, renewed: Mapping[str, Renewed], settings: CallSettings
) -> list[act.Action]:
    """The relay works with the answer: now the page may hear of it."""
    if record.ended or record.exchange is None:
        return [_forward(record, reply, settings, "")]
    body = description_for_page(record, renewed, settings)
    on = {medium.kind for medium in record.exchange.media if medium.active}
    was_on = {medium.kind for medium in record.media if medium.active} | set(record.exchange.reserved)
    settle(record)
    gone = tuple(sorted(was_on - on))
    release = [act.ReleaseMedia(record.key, record.node, gone)] if gone else []
    return [_forward(record, reply, settings, body), *session_timer.page_clock(record), *release]


def _on_relay_failed(
    reply: Reply, record: CallRecord, event: MediaFailed, settings: CallSettings
) -> list[act.Action]:
    """The core has taken the offer but the relay cannot follow: refuse it all the same, media go on as they were."""
    if record.ended or record.exchange is None:
        return [_forward(record, reply, settings, "")]
    restart = expect_where_refused(record, settings)
    return [failed_note(record, event), *_refuse_for_core(record, reply, event.error), *restart]


def _refuse_for_core(record: CallRecord, reply: Reply, error: GatewayError) -> list[act.Action]:
    """The core's 2xx cannot be used, and a 2xx cannot be turned into a refusal: it ends here, and the page is refused
    in the core's name (RFC 3261 §14.1: the session goes on as if nothing had been offered).  For the core it does not;
    see ``_refused``."""
    lines = headers.response_of_ims(reply, error.detail)
    actions: list[act.Action] = [
        act.Note("core_answer_unusable", logging.WARNING, {"detail": error.detail}),
        act.DropReply(),
    ]
    if reply.method == "INVITE":
        actions.append(own_request_to_ims(record, record.confirmed_tag, "ACK", reply.cseq))
    return [*actions, act.AnswerForCore(record.key, 488, "Not Acceptable Here", lines)]


def _refused(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """The page gets the core's refusal, the session stays (RFC 3261 §14.1); some refusals end the dialog.

    One of ours in its name stands for a 2xx, by which the core has changed its session (RFC 3264 §8): it is offered
    what still holds.
    """
    opened = open_exchange(record)
    if opened.settling:
        record.ims_description = to_be_taken_back(opened.ims_description, record.ims_description)
        record.core_behind, record.far_checksum = True, ""
    back = exchange.rollback(record)
    actions = [_forward(record, reply, settings, ""), *back]
    if reply.status in _ENDS_THE_DIALOG and not record.ended:
        actions += _end(record, reply.status, settings)
    return actions


def on_unanswered(record: CallRecord, event: ChangeFailed, settings: CallSettings) -> list[act.Action]:
    """The core did not answer the page's offer; the page hears so from tm."""
    asked = open_exchange(record).cseq
    record.to_core = {ours: theirs for ours, theirs in record.to_core.items() if theirs != asked}
    back = exchange.rollback(record)
    if event.status in _ENDS_THE_DIALOG and not record.ended:
        return [*back, *_end(record, event.status, settings)]
    return back


def _end(record: CallRecord, status: int, settings: CallSettings) -> list[act.Action]:
    return hang_up_by_gateway(record, settings, status, SESSION_LOST, reach_page=True)


def _forward(record: CallRecord, reply: Reply, settings: CallSettings, body: str) -> act.ForwardReply:
    """Put a final response of the core to the page's offer into the page's dialog."""
    hidden, insert = boundary.towards_page(reply, settings)
    if reply.status < 300:
        insert = (boundary.contact_for_page(reply, settings), *insert, *session_timer.answer_to_page(record))
    page_cseq = record.to_core.pop(str(reply.cseq), None)
    edits = act.MessageEdits(
        from_tag=None if record.incoming is None else record.wic_tag,
        to_tag=record.gateway_tag,
        cseq=page_cseq,
        remove=("Contact", "Require", "Session-Expires", *hidden),
        insert=insert,
        body=body,
    )
    return act.ForwardReply(boundary.readable(reply, boundary.as_of_page(record, edits), settings))
