"""What is told of a call: how far it is; and what is kept of one that is over: who called whom, and why it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kemi.core.call import actions as act
from kemi.core.call import events
from kemi.core.call.lifetime.ending import ENDED
from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog, Media
from kemi.core.identity import ANONYMOUS
from kemi.core.messages import Reply, Side
from kemi.core.trace.redaction import address_of

PAGE, CORE, GATEWAY = "page", "core", "gateway"
STARTED, RINGING, ANSWERED, ELSEWHERE = "started", "ringing", "answered", "elsewhere"
_SIDES = {Side.WIC: PAGE, Side.IMS: CORE}


class HasCaller(Protocol):
    """The same of who calls a page."""

    withheld: bool


class HasFarEnd(Protocol):
    """What a record of any release has of the far end."""

    remote_identity: str
    target_uri: str
    request_uri: str
    dialled: str

    @property
    def incoming(self) -> HasCaller | None:
        """None: the page calls."""


def progress(record: CallRecord, event: events.Event, before: Dialog) -> act.RecordProgress | None:
    """Say how far a call is after ``event``, where that brought it on; a call that rings may be told of again."""
    state = _state(record, event, before)
    if not state:
        return None
    return act.RecordProgress(
        key=record.key,
        call_id=record.call_id,
        owner=record.owner,
        peer=peer_of(record),
        from_page=record.incoming is None,
        state=state,
    )


def peer_of(record: HasFarEnd) -> str:
    """Return the far end's one address: the first that the core asserts (RFC 3325 §9.1 allows two), else whom the page
    calls, or who calls it.  Digits to be dialled after the answer are no part of it, nor what follows a service code:
    they may be a PIN.

    Whom it calls is its Request-URI: what it writes in To leads nowhere (RFC 3261 §8.1.1.2).  Who does not want to be
    known is nobody, as to the page (TS 24.607 §4.5.2).
    """
    if record.incoming is None:
        named = record.dialled or record.request_uri
    elif record.incoming.withheld:
        return ANONYMOUS
    else:
        named = record.target_uri
    return address_of(record.remote_identity.partition(" ")[0] or named)


def _state(record: CallRecord, event: events.Event, before: Dialog) -> str:
    if record.dialog is Dialog.CONFIRMED:
        return ANSWERED if before is not Dialog.CONFIRMED else ""
    if isinstance(event, events.TransactionCreated):
        return STARTED
    if isinstance(event, events.CancelReceived):
        return ELSEWHERE if event.elsewhere else ""
    if isinstance(event, events.WicReply | events.ImsReply) and not record.ended:
        reply, from_page = event.reply, record.incoming is None
        rings = reply.status == 180 and reply.method == "INVITE"
        return RINGING if rings and from_page is isinstance(event, events.ImsReply) else ""
    return ""


def ended(record: CallRecord, event: events.Event, actions: Sequence[act.Action]) -> act.RecordEnd:
    """Say how a call ended of which ``event`` was the last; ``actions`` is what follows from it."""
    by, why, status = _cause(record, event, _said(actions))
    released = {kind for action in actions if isinstance(action, act.ReleaseMedia) for kind in action.kinds}
    if record.media_state in (Media.GATED, Media.CONNECTED):  # given back by a later step
        released |= {medium.kind for medium in record.media}
    return act.RecordEnd(
        key=record.key,
        call_id=record.call_id,
        owner=record.owner,
        peer=peer_of(record),
        from_page=record.incoming is None,
        since=record.since,
        answered_at=record.answered_at,
        by=by,
        why=why,
        status=status,
        relay=record.node,
        kinds=tuple(sorted(released)),
        off=tuple(medium.kind for medium in record.media if not medium.active),
        trunk=record.trunk.trunk if record.trunk is not None else "",
    )


def _said(actions: Sequence[act.Action]) -> str:
    """Return why we hang up ourselves, "" where we do not, or what has just happened says it."""
    ends = (one for one in actions if isinstance(one, act.Note) and one.event == ENDED)
    return next((str(one.fields.get("why", "")) for one in ends), "")


def _cause(record: CallRecord, event: events.Event, said: str) -> tuple[str, str, int]:
    """Return who ended the call, the reason and the SIP status, 0 for an answered call."""
    caller = PAGE if record.incoming is None else CORE
    status = 0 if record.answered_at else _status(event)
    if record.doomed:
        return GATEWAY, record.doomed, status
    hung_up = record.cancelled and record.rejection is not None and record.rejection.status == 487
    if record.rejection is not None and not hung_up:
        return GATEWAY, record.rejection.detail or record.rejection.reason_phrase, record.rejection.status
    if own := _own_reason(event, said):
        return GATEWAY, own, status
    match event:
        case events.WicRequest():
            return PAGE, event.request.method, status
        case events.ImsRequest():
            return CORE, event.request.method, status
        case _ if (
            isinstance(event, events.CancelReceived) or record.cancelled or (caller, status) == (CORE, 487)
        ):
            # A page that was called says 487 of an INVITE that the core has cancelled (RFC 3261 §9.2).
            return caller, "CANCEL", status or 487
        case events.WicFailed() | events.ImsFailed():
            side = PAGE if isinstance(event, events.WicFailed) else CORE
            return (GATEWAY, "no answer", status) if event.local else (side, "refused", status)
        case events.WicReply() | events.ImsReply():
            return _SIDES[event.reply.side], "refused", status
        case _:
            return GATEWAY, type(event).__name__, status


def _own_reason(event: events.Event, said: str) -> str:
    """Return why the gateway has ended a call, "" where it was somebody else."""
    match event:
        case events.MediaLost() | events.CallForbidden() | events.RegistrationEnded():
            return event.why
        case events.FlowClosed():
            return "connection lost"
        case events.MediaFailed():
            return event.error.detail
        case events.TimerFired():
            return said or event.due.value
        case _:
            return said


def _status(event: events.Event) -> int:
    reply: Reply | None = getattr(event, "reply", None)
    return reply.status if reply is not None else int(getattr(event, "status", 0))
