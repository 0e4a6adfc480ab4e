"""A page that has lost its connection is perhaps in another network: when it is back, ICE begins anew.

    WIC                      we
     │ ✕ its connection      │ expect
     │ REGISTER ────────────►│ on_due: it is back, and leaves its ICE as it was
     │◄─ UPDATE or INVITE ───│ _on_restarted: the session as it is, with other ICE credentials of ours
     │ 200 with its own ────►│ on_answered: the relay works with them

Without, media go nowhere, or one way only: a browser may go over to another of its addresses and say nothing of it in
SIP, but the relay, being ICE-lite, keeps to the pair of the highest priority that was ever nominated (rtpengine 10.5 to
26), and an address the browser did not have when the call began is none of its candidates at all.  Clients that know of
this restart ICE by themselves: they are given a moment.  For the core nothing changes, and DTLS goes on.

There is no way back: with the first command the relay forgets its former credentials, and what the page checks by them
(RFC 7675) is refused, so that its media end within half a minute.  Where the page or the relay does not follow in the
end, the call is over, with a reason, rather than up and silent.

The same is done for a page whose own restart was refused for a relay that was too slow, once that works again: the page
has perhaps another network, or the relay has taken the restart all the same, and was told what held before.

Not for a page with a line that has a transport of its own, for which the relay cannot begin; clients that have such
lines are those that know.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.events import (
    Continuation,
    Due,
    IceRestarted,
    MediaFailed,
    OwnRequestAnswered,
    Renewed,
    TimerFired,
    UpdateAnswered,
)
from kemi.core.call.in_dialog.common import follow
from kemi.core.call.lifetime.ending import PAGE_KNOWS_NONE, hang_up_by_gateway
from kemi.core.call.media.running import SPLIT, given_back
from kemi.core.call.media.session import medium_change
from kemi.core.call.node_loss.answers import take_from_page
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.record import CallRecord, Exchange, Offerer
from kemi.core.call.renegotiation.own_offer import (
    LOOK_AGAIN_S,
    MAX_ATTEMPTS,
    acknowledge,
    again_later,
    is_idle,
)
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.errors import GatewayError, LocalProtocolError
from kemi.core.sdp.interwork.moved import moved_client_offer
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text

RELAY_PAUSE_S: Final = 5.0
"""Before a relay that has failed is asked again: longer than it takes to see that a node is dead; and all attempts
together are shorter than the page goes on without an answer to its checks."""


def expect(record: CallRecord, settings: CallSettings, *, is_back: bool = False) -> list[act.Action]:
    """The page's connection is lost, or replaced by another one: look soon what has become of its ICE."""
    if not settings.ice_restart_s or not _can_restart(record):
        return []
    record.ice_before, record.update_attempts = _ice(record), 0
    return [act.Schedule(record.key, Due.ICE_RESTART, settings.ice_restart_s if is_back else LOOK_AGAIN_S)]


def expect_where_refused(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """The relay has failed at the page's open offer: one that begins ICE anew is to be made up for, unless the page has
    tried once more by then."""
    offered = {} if record.exchange is None else {one.kind: one.wic_offer for one in record.exchange.media}
    before = ((offered.get(one.kind, one.wic_offer), one.wic_offer) for one in record.media if one.active)
    begins = any(_ufrag(new) != _ufrag(old) for new, old in before)
    return expect(record, settings, is_back=True) if begins else []


def expect_where_unknown(
    record: CallRecord, renewed: Mapping[str, Renewed], settings: CallSettings
) -> list[act.Action]:
    """The relay was told again what holds.  Where it has taken a restart of the page that got 503, the page's ICE of
    before is one more restart to it, with credentials of ours that the page has not heard of."""
    if not _can_restart(record):
        return []
    lines = sdp_from_own_text(record.wic_description).media
    given = {kind: sdp_from_text(one.relay_answer).media[0].ice_ufrag for kind, one in renewed.items()}
    known = all(given[one.kind] == lines[one.line].ice_ufrag for one in record.media if one.active)
    return [] if known else expect(record, settings, is_back=True)


def on_due(record: CallRecord, event: TimerFired, settings: CallSettings) -> list[act.Action]:
    """Restart ICE if the page is back and has not done so itself."""
    is_new = event.successor is not None
    follow(record, event.successor)
    if record.recovery is not None:
        return []  # which looks itself where the call stays
    if not _can_restart(record) or record.ice_before != _ice(record):
        record.ice_before = ""
        return []
    works = not record.relay_behind and not record.relay_attempts  # or it is told first what holds
    if event.flow_alive and not is_new and works and is_idle(record):
        return _begin(record)
    pause_s = settings.ice_restart_s if is_new else LOOK_AGAIN_S
    return [act.Schedule(record.key, Due.ICE_RESTART, pause_s)]


def _can_restart(record: CallRecord) -> bool:
    """Whether this is an answered call in whose lines the relay can restart ICE; one that moves to another media node
    gets another ICE anyway."""
    return (
        record.dialog is Dialog.CONFIRMED
        and record.recovery is None
        and any(medium.active for medium in record.media)
        and all(medium.reverse_answer is None for medium in record.media if medium.active)
    )


def _ice(record: CallRecord) -> str:
    """Return what the page's ICE is known by."""
    return " ".join(_ufrag(medium.wic_offer) for medium in record.media if medium.active)


def _ufrag(wic_line: str) -> str:
    return (sdp_from_text(wic_line).media[0].ice_ufrag or "") if wic_line else ""


# ---------------------------------------------------------------- the offer


def _begin(record: CallRecord) -> list[act.Action]:
    media = deepcopy(record.media)
    exchange.begin(record, Exchange(Offerer.GATEWAY_RESTARTS_ICE, "", 0, media=media))
    changes = tuple(medium_change(medium) for medium in media if medium.active)
    then = Continuation(_on_restarted, _on_failed)
    return [act.RestartIce(record.key, record.node, SPLIT, changes, bearer=then)]


def _on_restarted(record: CallRecord, event: IceRestarted, settings: CallSettings) -> list[act.Action]:
    """The relay has other credentials: tell the page."""
    opened = record.exchange
    if record.ended or opened is None:
        return []
    transports: dict[int, str] = {}
    for medium in opened.media:
        places = (medium.line, medium.reverse_line) if medium.active else ()
        transports |= {place: event.offers[medium.kind] for place in places if place is not None}
    origin = exchange.next_wic_origin(record)
    try:
        offer = moved_client_offer(sdp_from_own_text(record.wic_description), transports, origin)
    except GatewayError as error:
        return _on_failed(record, MediaFailed(error), settings)
    opened.method = "UPDATE" if record.wic_takes_update else "INVITE"
    opened.cseq, opened.wic_description = record.next_gateway_cseq(), sdp_to_text(offer)
    exchange.offered(record)
    record.update_attempts += 1
    request = own_request_to_wic(
        record, settings, opened.method, opened.cseq, body=opened.wic_description, report=True
    )
    return [act.Note("ice_restart_offered", logging.INFO, {"attempt": record.update_attempts}), request]


def _on_failed(record: CallRecord, event: MediaFailed, settings: CallSettings) -> list[act.Action]:
    """The relay has perhaps forgotten its former ICE, of some media: it is asked again, which makes it whole.

    Where the node is dead the call moves to another one meanwhile, and gets another ICE there.
    """
    if record.ended:
        return []
    note = act.Note("ice_not_restarted", logging.WARNING, {"detail": event.error.detail, "node": record.node})
    opened = record.exchange
    own = (
        opened is not None and opened.offerer is Offerer.GATEWAY_RESTARTS_ICE
    )  # or it moves to another node by now
    actions = [note, *(exchange.rollback(record) if own else ())]
    record.update_attempts += 1
    if record.update_attempts < MAX_ATTEMPTS:
        record.ice_before = _ice(record)
        return [*actions, *_later(record, act.Schedule(record.key, Due.ICE_RESTART, RELAY_PAUSE_S))]
    return [*actions, *_end(record, settings, 503, "the media relay did not begin ICE anew", reach_page=True)]


def _later(record: CallRecord, *wake_up: act.Action) -> list[act.Action]:
    """Look again, unless the call moves to another node: it may have nothing but the one wake-up that this would
    replace (kemi/state/schedule.py), and looks itself where it stays."""
    return [] if record.recovery is not None else list(wake_up)


def _end(
    record: CallRecord, settings: CallSettings, cause: int, why: str, *, reach_page: bool
) -> list[act.Action]:
    """Hang up on both sides."""
    record.ice_before, record.update_attempts = "", 0
    if record.recovery is not None:
        return []  # the call moves to another node, with an ICE of its own
    return hang_up_by_gateway(record, settings, cause, why, reach_page=reach_page)


# ---------------------------------------------------------------- the answer


def on_answered(
    record: CallRecord, event: UpdateAnswered | OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    """Take the page's final response."""
    opened = record.exchange
    if opened is None:
        raise LocalProtocolError("no offer is open")
    done = acknowledge(record, event, settings)
    if record.ended:
        return done
    if not 200 <= event.status < 300:
        return [*done, *_refused(record, event, settings)]
    body = event.body if isinstance(event, UpdateAnswered) else event.reply.body if event.reply else ""
    try:
        take_from_page(record, body, settings)
    except GatewayError as error:
        return [*done, *exchange.rollback(record), *_not_followed(record, 488, error.detail, settings)]
    before = record.media
    exchange.commit(record)
    record.ice_before = ""
    record.core_behind = True  # of what the page has refused, if anything
    joining = act.ReofferFromIms(record.key, record.node, SPLIT, _changes(record))
    then = Continuation(partial(_on_joined, joining), _on_failed)
    return [*done, replace(joining, bearer=then), *given_back(record, before)]


def _on_joined(
    joining: act.ReofferFromIms, record: CallRecord, _event: object, _settings: CallSettings
) -> list[act.Action]:
    """The relay works with what held when it was told: no exchange was open, so others went on meanwhile."""
    record.update_attempts = 0
    if exchange.is_open(record) or joining.media != _changes(record):
        record.relay_behind = True  # it has perhaps carried out a newer change before; flow.py tells it again
    return [act.Note("ice_restarted", logging.INFO)]


def _changes(record: CallRecord) -> tuple[act.MediumChange, ...]:
    return tuple(medium_change(medium) for medium in record.media if medium.active)


def _refused(
    record: CallRecord, event: UpdateAnswered | OwnRequestAnswered, settings: CallSettings
) -> list[act.Action]:
    actions = exchange.rollback(record)
    if later := again_later(record, event, settings, Due.ICE_RESTART):
        return [*actions, *_later(record, *later)]
    return [*actions, *_not_followed(record, event.status, "it was refused", settings)]


def _not_followed(record: CallRecord, status: int, detail: str, settings: CallSettings) -> list[act.Action]:
    note = act.Note("ice_restart_refused", logging.WARNING, {"status": status, "detail": detail})
    why = PAGE_KNOWS_NONE if status == 481 else "the page did not follow an ICE restart"
    return [note, *_end(record, settings, status, why, reach_page=status != 481)]
