"""A media node is dead: its calls move to another one, and both sides are told at once.

    WIC                      we                                     IMS
     │                       │ on_node_lost: the new node has ports
     │◄─ UPDATE or INVITE ───│── INVITE ────────────────────────────►│ the session as it is, at other addresses
     │ 200 with answer ─────►│ on_own_request_answered ◄──────── 200 │
     │                       │ the new node works with both answers

A page gets another transport for each line, which restarts its ICE and DTLS, the core other ports; directions stay, so
a call on hold comes back on hold.  Nothing can be undone, for the old node is gone: what one side refuses ends the call
on both, but for what passes by itself (491, 500), which is tried again (RFC 3261 §14.1).  A call before its answer is
refused, one with another offer open waits for that, one whose page is away waits for the page.

Where no node takes the call it is looked at again for half a minute: its media do not pass us, and perhaps only our
network to the nodes is broken.  A node that is back and has the call keeps it, and nobody is told anything; one that
was started again may take it as another one would.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.errands import run_alone
from kemi.core.call.events import (
    Continuation,
    Due,
    MediaFailed,
    MediaMoved,
    MediaStays,
    NodeLost,
    OwnRequestAnswered,
    TimerFired,
    UpdateAnswered,
)
from kemi.core.call.in_dialog.common import follow
from kemi.core.call.lifetime.ending import hang_up_by_gateway
from kemi.core.call.lifetime.release import refuse_early
from kemi.core.call.media.running import SPLIT, gate_of
from kemi.core.call.media.session import is_news, medium_change
from kemi.core.call.node_loss import answers as recovery_answers
from kemi.core.call.node_loss.offers import describe, send_to_core, send_to_page
from kemi.core.call.node_loss.record import Recovery
from kemi.core.call.record import CallRecord, Exchange, Offerer
from kemi.core.call.renegotiation.own_offer import acknowledge, is_idle
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog, Moving, MovingEvent, Telling, TellingEvent
from kemi.core.errors import GatewayError, LocalProtocolError, MediaUnavailable
from kemi.core.messages import Side

LOOK_AGAIN_S: Final = 0.5
MOST_LOOKS: Final = 68
"""How often a call that cannot move yet is looked at again before it is ended; not while its page is away.  Longer than
a far end may leave our request without a response (32 s, RFC 3261 §17.1.1.2)."""
MOST_SEARCHES: Final = 18
"""How often a node is looked for, which takes half a minute."""
_LONGEST_SEARCH_PAUSE: Final = 4
"""In LOOK_AGAIN_S: so that a gateway with many calls and no node is not busy with that alone."""
MOST_ATTEMPTS: Final = 4
"""How often one side is sent our offer."""
MOST_NODES: Final = 3
"""How many nodes one after the other may die or fail under a call."""
_LOST: Final = "the media node is gone"
_TRY_AGAIN: Final = frozenset({491, 500})
_LONGEST_PAUSE_S: Final = 5.0


# ---------------------------------------------------------------- the node is gone


def on_node_lost(record: CallRecord, event: NodeLost, settings: CallSettings) -> list[act.Action]:
    """Move a call off its dead node, now or as soon as it can be moved; refuse one that is not answered yet."""
    follow(record, event.successor)
    if record.ended or record.node != event.node:
        return []
    if record.recovery is not None and record.recovery.state is Moving.WAITING:
        return []  # it is named again and again as long as the node is down
    note = act.Note("media_node_lost", logging.WARNING, {"node": event.node, "state": record.dialog.value})
    if record.dialog is not Dialog.CONFIRMED:
        return refuse_early(record, settings, note, _LOST, flow_alive=event.flow_alive)
    if record.recovery is not None:
        record.recovery.state = record.recovery.moved(MovingEvent.NODE_LOST)
        record.recovery.again = record.recovery.state is Moving.OFFERED
        return [note]
    record.recovery = Recovery(page_away=not event.flow_alive)
    return [note, *go_on(record, settings)]


def go_on(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Begin to move if nothing is in the way any more; flow.py asks after each event."""
    recovery = record.recovery
    if recovery is None or record.ended or recovery.state is not Moving.WAITING or recovery.is_paused:
        return []
    if recovery.page_away or not is_idle(record):
        if recovery.is_waited_for:
            return []
        recovery.is_waited_for = True
        return [act.Schedule(record.key, Due.RECOVERY, LOOK_AGAIN_S)]
    recovery.state = recovery.moved(MovingEvent.BEGUN)
    recovery.again, recovery.is_joined, recovery.is_stale = False, False, False
    recovery.page = recovery.core = Telling.NOT_YET
    recovery.page_attempts = recovery.core_attempts = 0
    media = deepcopy(record.media)
    exchange.begin(record, Exchange(Offerer.GATEWAY, "", 0, media=media))
    changes = tuple(medium_change(medium) for medium in media if medium.active)
    then = Continuation(_on_moved, _on_move_failed)
    # Of a node that was to take it nobody knows how far it came.
    may_stay = not recovery.nodes
    return [act.MoveMedia(record.key, record.node, changes, bearer=then, may_stay=may_stay)]


def on_due(record: CallRecord, event: TimerFired, settings: CallSettings) -> list[act.Action]:
    """Look again at a call that waits, or offer again where that was refused."""
    followed = event.successor is not None
    follow(record, event.successor)
    recovery = record.recovery
    if recovery is None or record.ended:
        return []
    if recovery.state is Moving.WAITING:
        recovery.page_away, recovery.is_waited_for = not event.flow_alive, False
        recovery.is_paused = False
        recovery.looks += event.flow_alive
        if recovery.looks > MOST_LOOKS:
            return _end(record, settings, 503, "the call could not be moved", reach_page=event.flow_alive)
        return []  # flow.py asks go_on
    actions: list[act.Action] = []
    if recovery.page is Telling.UNREACHED:
        if event.flow_alive and not followed:
            return _end(record, settings, 408, "the page does not answer", reach_page=True)
        if not event.flow_alive:
            return [act.Schedule(record.key, Due.RECOVERY, LOOK_AGAIN_S)]
    if recovery.page in (Telling.REFUSED, Telling.UNREACHED):
        actions += send_to_page(record, settings)
    if recovery.core is Telling.REFUSED:
        actions += send_to_core(record, settings)
    return actions


# ---------------------------------------------------------------- the new node


def _on_moved(record: CallRecord, event: MediaMoved | MediaStays, settings: CallSettings) -> list[act.Action]:
    """Another node has ports: tell both sides.  Or the call is where it was."""
    recovery = record.recovery
    if isinstance(event, MediaStays):
        return _stay(record)
    if record.ended or recovery is None:
        return [act.ReleaseMedia(record.key, event.node, tuple(event.moved))]
    record.node = event.node
    recovery.nodes += 1
    record.digits_armed = record.page_events = record.digits_withheld = False  # the other node knows of none
    record.relay_behind, record.relay_attempts = False, 0
    try:
        describe(record, event.moved, settings)
    except GatewayError as error:
        return _end(record, settings, 503, error.detail, reach_page=not _page_away(record))
    recovery.state = recovery.moved(MovingEvent.RESERVED)
    exchange.offered(record)
    note = act.Note("call_moves", logging.INFO, {"node": event.node})
    return [note, *send_to_page(record, settings), *send_to_core(record, settings)]


def _stay(record: CallRecord) -> list[act.Action]:
    """The node is back and has the call as it was: no side has been told anything."""
    recovery = record.recovery
    if record.ended or recovery is None:
        return []
    exchange.rollback(record)
    recovery.state = recovery.moved(MovingEvent.NODE_BACK)
    record.recovery = None
    note = act.Note("media_node_back", logging.INFO, {"node": record.node})
    if not record.ice_before:
        return [note]
    return [note, act.Schedule(record.key, Due.ICE_RESTART, LOOK_AGAIN_S)]  # RECOVERY has taken its place


def _on_move_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """No node takes it: perhaps one does in a moment, or its own is back."""
    recovery = record.recovery
    if record.ended or recovery is None:
        return []
    recovery.searches += 1
    if not isinstance(event.error, MediaUnavailable) or recovery.searches > MOST_SEARCHES:
        return _end(record, settings, 503, event.error.detail, reach_page=not _page_away(record))
    exchange.rollback(record)
    recovery.state, recovery.is_paused = recovery.moved(MovingEvent.NO_NODE), True
    pause_s = LOOK_AGAIN_S * min(recovery.searches, _LONGEST_SEARCH_PAUSE)
    return [act.Schedule(record.key, Due.RECOVERY, pause_s)]


# ---------------------------------------------------------------- the answers


def on_own_request_answered(
    record: CallRecord, event: UpdateAnswered | OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    """Take the final response of one side to its offer."""
    recovery = _recovery(record)
    to_page = isinstance(event, UpdateAnswered) or event.to is Side.WIC
    done = acknowledge(record, event, settings)
    if not to_page and isinstance(event, OwnRequestAnswered):
        done = recovery_answers.acknowledge_core(record, event)
    if record.ended or (recovery.page if to_page else recovery.core) is not Telling.SENT:
        return done  # a 2xx once more, whose ACK is late or lost (RFC 3261 §13.3.1.4)
    if not 200 <= event.status < 300:
        return [*done, *_refused(record, event, settings, to_page=to_page)]
    try:
        if to_page:
            body = (
                event.body if isinstance(event, UpdateAnswered) else event.reply.body if event.reply else ""
            )
            recovery_answers.take_from_page(record, body, settings)
        elif isinstance(event, OwnRequestAnswered) and event.reply is not None:
            done += recovery_answers.take_from_core(record, event.reply, settings)
    except GatewayError as error:
        return [*done, *_end(record, settings, 488, error.detail, reach_page=True)]
    recovery.told(Side.WIC if to_page else Side.IMS, TellingEvent.ANSWERED)
    return [*done, *_join(record, settings)]


def _refused(
    record: CallRecord,
    event: UpdateAnswered | OwnRequestAnswered,
    settings: CallSettings,
    *,
    to_page: bool,
) -> list[act.Action]:
    recovery = _recovery(record)
    side = Side.WIC if to_page else Side.IMS
    if to_page and event.status == 408:
        recovery.told(side, TellingEvent.UNREACHED)  # and whether it is away, the timer knows
        return [act.Schedule(record.key, Due.RECOVERY, 0.0)]
    reply = event.reply if isinstance(event, OwnRequestAnswered) else None
    if event.status == 422 and not to_page and recovery_answers.longer_session(record, reply):
        recovery.told(side, TellingEvent.REFUSED)
        return send_to_core(record, settings)
    attempts = recovery.page_attempts if to_page else recovery.core_attempts
    if event.status in _TRY_AGAIN and attempts < MOST_ATTEMPTS:
        recovery.told(side, TellingEvent.REFUSED)
        owner = to_page == (record.incoming is not None)  # of the Call-ID, towards this side
        pause_s = event.jitter * 2.0 if not owner else 2.1 + event.jitter * 1.9
        if event.status != 491 and event.retry_after_s is not None:
            pause_s = min(event.retry_after_s, _LONGEST_PAUSE_S)
        return [act.Schedule(record.key, Due.RECOVERY, round(pause_s, 2))]
    who = "the page" if to_page else "the far end"
    reach_page = not (to_page and event.status == 481)
    return _end(
        record, settings, event.status, f"{who} did not follow to another node", reach_page=reach_page
    )


# ---------------------------------------------------------------- what the answers mean to the node


def _join(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Let the node work with the page's answer, and again with another line of the core's; then it is done."""
    recovery = _recovery(record)
    opened = record.exchange
    if opened is None:
        raise LocalProtocolError("no offer is open")
    if recovery.page is not Telling.ANSWERED or recovery.is_joining:
        return []
    if recovery.is_joined and not recovery.is_stale:
        return _settle(record, settings) if recovery.core is Telling.ANSWERED else []
    first = not recovery.is_joined
    # The node is told of another line of the core's when it knows the page.
    recovery.is_joining, recovery.is_stale = True, recovery.is_stale and first
    changes = tuple(medium_change(medium) for medium in opened.media if medium.active)
    then = Continuation(_on_joined, _on_join_failed)
    return [act.ReofferFromIms(record.key, record.node, SPLIT, changes, first=first, bearer=then)]


def _on_joined(record: CallRecord, _event: object, settings: CallSettings) -> list[act.Action]:
    if record.ended or record.recovery is None:
        return []
    record.recovery.is_joining, record.recovery.is_joined = False, True
    return _join(record, settings)


def _on_join_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """The new node fails as well: a third one may take the call, once both sides have answered."""
    if record.ended or record.recovery is None:
        return []
    note = act.Note("media_failed", logging.ERROR, {"detail": event.error.detail, "node": record.node})
    record.recovery.is_joining, record.recovery.is_joined, record.recovery.again = False, True, True
    return [note, *_join(record, settings)]


def _settle(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Both sides have answered and the node works: the call is where it was, on another node."""
    recovery, opened = _recovery(record), record.exchange
    if opened is None:
        raise LocalProtocolError("no offer is open")
    before = record.media
    exchange.commit(record)
    news = any(map(is_news, before, record.media))
    record.page_behind = record.page_behind or news
    record.core_behind = True  # of what the page has refused, or wants again, if anything
    if recovery.again:
        if recovery.nodes >= MOST_NODES:
            return _end(record, settings, 503, _LOST, reach_page=not _page_away(record))
        recovery.state = recovery.moved(MovingEvent.AGAIN)
        return []  # flow.py asks go_on
    recovery.state = recovery.moved(MovingEvent.SETTLED)
    record.recovery, record.ice_before = None, ""  # the page has begun ICE anew
    gone = tuple(
        old.kind for old, new in zip(before, record.media, strict=True) if old.active and not new.active
    )
    gates = [gate_of(record, [medium for medium in record.media if medium.active])] if news else []
    return [
        act.Note("call_moved", logging.INFO, {"node": record.node}),
        *run_alone(record, gates, settings),
        *([act.ReleaseMedia(record.key, record.node, gone)] if gone else []),
    ]


def _end(
    record: CallRecord, settings: CallSettings, cause: int, why: str, *, reach_page: bool
) -> list[act.Action]:
    """Hang up on both sides."""
    note = act.Note("call_not_moved", logging.WARNING, {"status": cause, "why": why, "node": record.node})
    return [note, *hang_up_by_gateway(record, settings, cause, why, reach_page=reach_page)]


def _page_away(record: CallRecord) -> bool:
    return record.recovery is not None and record.recovery.page_away


def _recovery(record: CallRecord) -> Recovery:
    if record.recovery is None:
        raise LocalProtocolError("the call does not move")
    return record.recovery
