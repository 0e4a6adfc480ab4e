"""A page's call on its way through trunks: which one is next, and what of their answers ends the search.

    ChooseTrunk ──► TrunkChosen ──► INVITE ──► 408, 503 or silence ──► the next hop of the trunk, or the next trunk
                                          ├──► 401, 407 ──► the same once more, with credentials
                                          └──► 422 ──► the same once more, with a longer session

Any other refusal is the far end's and goes to the page, as does whatever comes after somebody has rung: then a second
telephone would ring (RFC 3263 §4.3; SIPconnect 2.0).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.events import ImsFailed, TrunkChosen
from kemi.core.call.from_page import core_invite, credentials
from kemi.core.call.from_page.credentials import CHALLENGES, asked_by, is_stale
from kemi.core.call.from_page.outbound import Outbound
from kemi.core.call.from_page.setup import finish
from kemi.core.call.record import CallRecord, Rejection
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import DialogEvent
from kemi.core.errors import RemoteProtocolError
from kemi.core.headers import explanation_of
from kemi.core.identity import ANONYMOUS, canonical
from kemi.core.messages import Reply, Request, Side
from kemi.core.routing.way import CORE_WAY, Way
from kemi.core.trunk import causes
from kemi.core.trunk.numbers import caller_number, shown, trunk_uri
from kemi.core.trust import withholds_identity

_NEXT: Final = frozenset({408, 503})
"""What of a hop says that nobody there has the call."""
NO_ROOM: Final = Rejection(503, "Service Unavailable", "no trunk has room for this call")
REDIRECTED: Final = Rejection(480, "Temporarily Unavailable", "the trunk redirects, which is not followed")
UNAVAILABLE: Final = Rejection(503, "Service Unavailable", "the trunk takes no calls")
NOT_KNOWN: Final = Rejection(500, "Server Internal Error", "the trunk does not take our credentials")
NOT_OF_CALLEE: Final = (REDIRECTED, NOT_KNOWN)
"""What is between the trunk and us: the call ends by us, and its history says why."""
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {
    480: "Temporarily Unavailable",
    484: "Address Incomplete",
    486: "Busy Here",
    488: "Not Acceptable Here",
}
NO_TRUNK: Final = Rejection(504, "Server Time-out", "no trunk answers")


def outbound_of(way: Way, request: Request, asserted: Sequence[str], identities: Sequence[str]) -> Outbound:
    """Return what a page's call needs to know that may leave by trunks."""
    return Outbound(
        left=list(way.trunks),
        number=way.number,
        parameters=list(way.parameters),
        caller=caller_number(asserted, identities),
        is_emergency=way.is_emergency,
        withheld=canonical(request.from_uri) == ANONYMOUS or withholds_identity(request.headers),
    )


def on_chosen(record: CallRecord, event: TrunkChosen, settings: CallSettings) -> list[act.Action]:
    """A trunk has room, or none has."""
    outbound = record.outbound
    if outbound is None or record.ended:
        return []
    if event.trunk is None:
        outbound.left = []
        return _no_room(record, event, settings)
    outbound.left, outbound.trunk = list(event.left), event.trunk
    _move(record, outbound, event.hops)
    if event.trunk != CORE_WAY:
        trunk = settings.trunks[event.trunk]
        outbound.from_value = shown(outbound.caller, trunk, withheld=outbound.withheld).from_value
        outbound.to_value = f"<{trunk_uri(outbound.number, trunk)}>"
    return _send(record, outbound, settings)


def on_failed(record: CallRecord, event: ImsFailed, settings: CallSettings) -> list[act.Action] | None:
    """The INVITE was refused or not answered; None: that is how the call ends."""
    outbound = record.outbound
    if outbound is None or record.legs or record.cancelled or record.rejection is not None:
        return None
    if event.status in CHALLENGES and not event.local and _may_answer(outbound):
        outbound.answered += 1
        return core_invite.again(record, settings)
    silent = event.local and not event.heard
    if not (silent or (event.status in _NEXT and not event.local)):
        return None
    note = act.Note(
        "trunk_failed" if outbound.trunk else "core_failed",
        logging.WARNING,
        {"trunk": outbound.trunk, "hop": outbound.hops[0] if outbound.hops else "", "status": event.status},
    )
    _move(record, outbound, outbound.hops[1:])
    if outbound.hops:
        return [note, *_send(record, outbound, settings)]
    if outbound.left:
        return [note, core_invite.choose_trunk(record, outbound)]
    return None


def _move(record: CallRecord, outbound: Outbound, hops: Sequence[str]) -> None:
    """Go on to other hops, where nobody has asked for anything yet."""
    outbound.hops, outbound.asked, outbound.answered = list(hops), None, 0
    record.longer_sessions = record.wanted_se_s = 0


def _may_answer(outbound: Outbound) -> bool:
    """Whether the trunk's challenge has not been answered yet; a nonce that was too old is answered once more."""
    if not outbound.asked or outbound.asked.count:
        return False
    return outbound.answered == 0 or (outbound.answered == 1 and is_stale(outbound.asked))


def on_refusal(record: CallRecord, reply: Reply, settings: CallSettings) -> tuple[str, ...]:
    """Keep what a final response of a trunk to the INVITE says for what is done next; give lines for the page."""
    outbound = record.trunk
    if outbound is None:
        return ()
    outbound.reasons = reply.headers("Reason")
    if reply.status in CHALLENGES and credentials.login(outbound, settings) is not None:
        with suppress(RemoteProtocolError):  # one that nobody can answer
            outbound.asked = asked_by(reply)
    return causes.of_response(reply.status, outbound.reasons, reply.headers("Warning"))


def refusal(record: CallRecord, event: ImsFailed) -> tuple[Rejection, tuple[str, ...]] | None:
    """Return what a page is told in the place of a trunk's final response, and its Reason; None: that itself.

    A redirection is not followed: where a carrier sends a call would be paid for here, and no table has allowed it.
    """
    outbound = record.trunk
    if outbound is None or event.local or record.cancelled:
        return None
    if 300 <= event.status < 400:
        return REDIRECTED, ('Reason: SIP;cause=%d;text="redirected"' % event.status,)  # noqa: UP031
    if event.status == 503:  # said by us, or it would be made a 500 (RFC 3261 §16.7)
        return UNAVAILABLE, tuple(f"Reason: {value}" for value in outbound.reasons) or causes.of_response(
            503, ()
        )
    if event.status in CHALLENGES:
        return NOT_KNOWN, causes.of_response(event.status, outbound.reasons)
    status = causes.status_for_page(event.status, outbound.reasons)
    if status == event.status:
        return None
    return Rejection(status, _PHRASES.get(status, "Call Failed")), tuple(
        f"Reason: {value}" for value in outbound.reasons
    )


def dressed(record: CallRecord, actions: Sequence[act.Action], settings: CallSettings) -> list[act.Action]:
    """Let requests of ours to a trunk say who sends them, and why a call ends in the words of telephone networks."""
    if record.trunk is None:
        return list(actions)
    return credentials.sent(record, [_with_cause(one) for one in actions], settings)


def _with_cause(action: act.Action) -> act.Action:
    if not isinstance(action, act.SendRequest) or action.to is not Side.IMS or action.method != "BYE":
        return action
    given = [line.partition(": ")[2] for line in action.headers if line.startswith("Reason: ")]
    return replace(action, headers=(*action.headers, *causes.for_trunk(given)))


def _send(record: CallRecord, outbound: Outbound, settings: CallSettings) -> list[act.Action]:
    note = act.Note(
        "call_sent",
        logging.INFO,
        {"trunk": outbound.trunk, "hop": outbound.hops[0] if outbound.hops else ""},
    )
    if outbound.sent:  # what still answers the former one is told apart by its number
        return [note, *core_invite.again(record, settings)]
    outbound.sent = True
    return [note, core_invite.invite(record, settings)]


def _no_room(record: CallRecord, event: TrunkChosen, settings: CallSettings) -> list[act.Action]:
    note = act.Note("call_rejected", logging.WARNING, {"status": NO_ROOM.status, "detail": NO_ROOM.detail})
    if record.cancelled:
        return [note, *finish(record, DialogEvent.CANCELLED)]
    record.rejection = NO_ROOM
    lines = (*explanation_of(NO_ROOM, settings.realm), f"Retry-After: {event.retry_after_s or 1}")
    reply = act.SendReply(NO_ROOM.status, NO_ROOM.reason_phrase, lines)
    return [note, reply, *finish(record, DialogEvent.REJECTED)]
