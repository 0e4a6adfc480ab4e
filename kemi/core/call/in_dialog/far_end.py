"""Who is at the far end now, and how the page hears of it: RFC 4916, and P-Asserted-Identity in any request that
changes a session.

    IMS                       we                                   WIC
     │ UPDATE, no description ►│ ─── passed on ───────────────────► │   core_requests.py
     │ re-INVITE, description ►│ passed on where the page is asked
     │ ◄──────────── 200 ──────│ else, once all that is settled:
     │                         │ ─── UPDATE, no description ──────► │   tell
"""

from __future__ import annotations

from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.own_request import own_request_to_wic
from kemi.core.call.record import CallRecord, Former
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import Dialog
from kemi.core.messages import Request, uri_from_address
from kemi.core.trust import withholds_identity

_CARRIED = act.ForwardRequest | act.ReserveIncoming
"""The core's own request goes to the page with its header fields, now or once the relay has ports."""
_NOBODY: Final = ""
"""Nobody is named: the Contact is the news."""


def learn(record: CallRecord, request: Request, before: Former) -> bool:
    """Take whom a request names at the far end; return whether that is somebody else and the page can be told.

    So it is where a call becomes a conference, or ceases to be one: the page knows that by the Contact.

    From counts in a request that has nothing else to say (RFC 4916 §4.5); in others, which old equipment sends with
    any From, only whom the network asserts.
    """
    focus = record.legs[request.from_tag].focus
    # by its address alone: its features are not the same in all messages of one server
    became = record.dialog is Dialog.CONFIRMED and uri_from_address(before.focus) != uri_from_address(focus)
    return (_take_name(record, request) or became) and record.wic_takes_update


def _take_name(record: CallRecord, request: Request) -> bool:
    """Return whether a request names somebody else."""
    if record.trunk is not None:
        return False  # a trunk's own form of the number that was called
    confirmed = record.dialog is Dialog.CONFIRMED
    if not confirmed and not (record.wic_takes_update and record.needs_update):
        return False  # of an early dialog Allow is no promise; see kemi/core/sdp/judge.py
    asserted = boundary.remote_identity(request)
    is_another = bool(asserted) and set(asserted.split()).isdisjoint(record.remote_identity.split())
    says_so = request.method == "UPDATE" and not request.body
    if not is_another and not (says_so and request.from_uri != record.target_uri):
        return False
    record.remote_identity = asserted or record.remote_identity
    if record.incoming is not None:
        record.incoming.withheld = withholds_identity(request.headers)
    if confirmed:
        record.target_uri = request.from_uri
    return True


def hear(
    record: CallRecord, request: Request, done: list[act.Action], before: Former, *, page_is_there: bool
) -> None:
    """Note whom a request with an offer, or that asks for one, names; ``done`` is what became of it."""
    refused = any(isinstance(action, act.SendReply) and action.status >= 300 for action in done)
    if refused or record.dialog is not Dialog.CONFIRMED:
        return
    if not learn(record, request, before) or not page_is_there:
        return
    if not any(isinstance(action, _CARRIED) for action in done):
        named = request.headers("P-Asserted-Identity") if boundary.remote_identity(request) else []
        record.far_end_untold = list(named) or [_NOBODY]


def tell(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Let the page know, as soon as no offer is open, who came in a request that it has not seen."""
    if not record.acknowledged or record.ack_awaited is not None or exchange.is_open(record) or record.ended:
        return []
    values, record.far_end_untold = record.far_end_untold, []
    lines = [f"P-Asserted-Identity: {value}" for value in values if value != _NOBODY]
    return [own_request_to_wic(record, settings, "UPDATE", record.next_gateway_cseq(), *lines)]
