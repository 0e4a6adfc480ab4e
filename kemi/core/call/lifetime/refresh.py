"""Session timers at work (RFC 4028 §10): our refreshes towards the core, and the end of a session nobody refreshed.

A refresh changes nothing: UPDATE without a description where the far end takes one, else a re-INVITE with the
description it has already.  The relay hears of it only where the answer is another one than before (RFC 3264 §8).

The same request says where a call is now that has come from another gateway, whether its session expires or not.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import replace
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import Due, OwnRequestAnswered
from kemi.core.call.lifetime import session_timer
from kemi.core.call.lifetime.ending import hang_up_by_gateway
from kemi.core.call.media.far_answer import follow_far_end, take_far_answer
from kemi.core.call.own_request import METHOD_NOT_TAKEN, learn_target, own_request_to_ims, takes_update
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.errors import GatewayError
from kemi.core.messages import Reply, Side
from kemi.core.sdp.interwork.ims_reoffer import as_offer, is_answer
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

MAX_FAILURES: Final = 4
"""How often a refused refresh is repeated in the time that is left."""
_CALL_IS_GONE: Final = frozenset({408, 481})
"""RFC 3261 §12.2.1.2."""
LOOK_AGAIN_S: Final = 1.0
"""So often a session whose time is up is looked at while an offer is open that may refresh it."""
_TARGET_AGAIN_S: Final = 10.0
"""After this time a far end that refused is told again where its call is."""
DUES: Final = frozenset({Due.SESSION_REFRESH, Due.TARGET_REFRESH})
"""What on_refresh_due is for."""
_CORE_CLOCK: Final = DUES | {Due.SESSION_EXPIRED}
_PAGE_CLOCK: Final = frozenset({Due.PAGE_SESSION_EXPIRED})
_SAYS_NOTHING_OF_UPDATE: Final = frozenset({401, 407, 422, 491})
"""Refusals after which the method is the same; so it is where Retry-After says when to come again."""


def may_be_refreshed(record: CallRecord, due: Due) -> bool:
    """Whether what is due depends on an offer that is open: its 2xx will refresh that session, its refusal will not."""
    opened = record.exchange
    if opened is None or opened.former is None or opened.answered:
        return False
    return due in (_CORE_CLOCK if opened.former.tag else _PAGE_CLOCK)


def on_refresh_due(record: CallRecord, due: Due, settings: CallSettings) -> list[act.Action]:
    """Refresh the session with the core, where that is ours to do; or tell the core where the call is now, whoever
    refreshes its session, if it has one (RFC 3261 §12.2, RFC 3311 §5.1)."""
    session = record.ims_session
    if record.dialog is not Dialog.CONFIRMED:
        return []
    if due is Due.SESSION_REFRESH and (session is None or not session.we_refresh):
        return []
    if record.exchange is not None and not takes_update(record):
        return [act.Schedule(record.key, due, LOOK_AGAIN_S)]
    return _refresh(record, settings)


def _refresh(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    method = "UPDATE" if takes_update(record) else "INVITE"
    if method == "INVITE" and record.exchange is not None:
        return [_again(record)]  # one INVITE at a time (RFC 3261 §14.1)
    cseq = record.own_refresh.cseq = record.next_ims_cseq()
    record.own_refresh.by_invite = method == "INVITE"
    lines = (
        boundary.contact_for_core(record, settings),
        headers.ALLOW,
        f"Supported: {session_timer.TIMER}",
        *session_timer.request_to_core(record, settings),
        *boundary.access_network_line(record, settings),
        *(("Content-Type: application/sdp",) if method == "INVITE" else ()),
    )
    request = own_request_to_ims(record, record.confirmed_tag, method, cseq, *lines)
    body = _description(record, settings) if method == "INVITE" else ""
    return [replace(request, body=body, report=True)]


def _description(record: CallRecord, settings: CallSettings) -> str:
    """Return what the core was told last, as an offer."""
    if is_answer(record.ims_description):
        offer = as_offer(sdp_from_text(record.ims_description), exchange.next_ims_origin(record, settings))
        record.ims_description = sdp_to_text(offer)
        record.far_checksum = ""  # no answer any more to what it said before
    return record.ims_description


def is_refresh(record: CallRecord, answered: OwnRequestAnswered | Reply) -> bool:
    """Whether a response is the core's to our refresh."""
    side = answered.side if isinstance(answered, Reply) else answered.to
    return (
        side is Side.IMS
        and 0 < record.own_refresh.cseq == answered.cseq
        and answered.method in session_timer.REFRESHES
    )


def is_out(record: CallRecord) -> bool:
    """Whether a re-INVITE of ours to the core has no answer yet: one at a time (RFC 3261 §14.2)."""
    return record.own_refresh.cseq > 0 and record.own_refresh.by_invite


def on_refresh_answered(
    record: CallRecord, event: OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    """Go on, try again, or end a call that the far end does not know any more."""
    session, ours = record.ims_session, record.own_refresh
    done = 200 <= event.status < 300
    actions: list[act.Action] = []
    if done and event.method == "INVITE":  # RFC 3261 §13.2.2.4; that of tm has the INVITE's branch
        actions.append(own_request_to_ims(record, record.confirmed_tag, "ACK", event.cseq))
    if record.ended or (done and event.reply is None):
        return actions
    ours.cseq = 0
    if done and event.reply is not None:
        leg = record.legs.get(event.reply.to_tag)
        if leg is not None:
            learn_target(leg, event.reply)
        clock = session_timer.answered_by_core(record, event.reply, settings)
        return [*actions, *clock, *_followed(record, event.reply, settings)]
    if event.status in _CALL_IS_GONE:
        return end(record, settings, f"the far end answered our refresh with {event.status}", reach_page=True)
    ours.failures += 1
    we_refresh = session is not None and session.we_refresh
    if ours.failures > MAX_FAILURES and not we_refresh:
        ours.failures = 0
        note = act.Note("target_refresh_refused", logging.WARNING, {"status": event.status})
        return [note, *session_timer.core_clock(record)]
    if ours.failures > MAX_FAILURES:
        return end(record, settings, "our refreshes were refused", reach_page=True)
    if event.status == 422 and event.reply is not None:
        record.min_se_s = max(record.min_se_s, session_timer.min_se_of(event.reply))
        if session is not None:
            session.interval_s = max(session.interval_s, record.min_se_s)
        return _refresh(record, settings)
    if event.status in METHOD_NOT_TAKEN and event.method == "UPDATE":
        record.legs[record.confirmed_tag].takes_update = False
        return _refresh(record, settings)
    if event.status not in _SAYS_NOTHING_OF_UPDATE and event.retry_after_s is None:
        record.legs[record.confirmed_tag].takes_update = False  # perhaps none without a description
    return [_again(record, event)]


def _followed(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Follow a far end that is elsewhere now, or wants something else."""
    if not reply.has_sdp:
        return []
    if record.exchange is not None:  # the relay has one change at a time: it is asked for once more
        return [act.Schedule(record.key, _due(record), LOOK_AGAIN_S)]
    media = deepcopy(record.media)
    try:
        take_far_answer(media, record.ims_description, reply.body)
    except GatewayError as error:
        return [act.Note("refresh_answer_unusable", logging.WARNING, {"detail": error.detail})]
    if media == record.media:
        return []
    before, record.media = record.media, media
    record.ims_description = exchange.as_taken(record, record.ims_description, reply.body, settings)
    record.far_checksum = ""  # what it said before would be news
    return follow_far_end(record, before, settings)


def on_session_expired(record: CallRecord, settings: CallSettings, *, reach_page: bool) -> list[act.Action]:
    """The far end did not refresh its session with us."""
    if record.ims_session is None or record.ims_session.we_refresh:
        return []
    return end(record, settings, "the far end did not refresh the session", reach_page=reach_page)


def on_page_session_expired(
    record: CallRecord, settings: CallSettings, *, reach_page: bool
) -> list[act.Action]:
    """The page did not refresh its session with us."""
    if record.wic_session is None:
        return []
    return end(record, settings, "the page did not refresh the session", reach_page=reach_page)


def end(record: CallRecord, settings: CallSettings, why: str, *, reach_page: bool) -> list[act.Action]:
    """Hang up on both sides (RFC 4028 §10)."""
    if record.dialog is not Dialog.CONFIRMED:
        return []
    note = act.Note("session_expired", logging.WARNING, {"why": why})
    return [note, *hang_up_by_gateway(record, settings, 408, why, reach_page=reach_page)]


def _again(record: CallRecord, event: OwnRequestAnswered | None = None) -> act.Schedule:
    """Come back a little later; after glare at a time of our own (RFC 3261 §14.1)."""
    session, delay_s = record.ims_session, _TARGET_AGAIN_S
    if session is not None and session.we_refresh:
        delay_s = session_timer.time_for_retries_s(session) / (MAX_FAILURES + 1)
    if event is not None and event.status == 491:
        owns_call_id = record.incoming is None
        glare_s = 2.1 + event.jitter * 1.9 if owns_call_id else event.jitter * 2.0
        delay_s = min(delay_s, round(glare_s, 2))
    elif event is not None and event.retry_after_s is not None:
        delay_s = min(delay_s, event.retry_after_s)
    return act.Schedule(record.key, _due(record), delay_s)


def _due(record: CallRecord) -> Due:
    """Return what the next refresh is of ours: of the session, where we refresh it, or of our target."""
    session = record.ims_session
    return Due.SESSION_REFRESH if session is not None and session.we_refresh else Due.TARGET_REFRESH
