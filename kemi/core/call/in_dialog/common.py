"""What requests inside the dialog have in common, whichever side they come from."""

from __future__ import annotations

from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call.events import Due, OwnRequestAnswered, UpdateAnswered
from kemi.core.call.page_target import page_target
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.messages import Reply, Request
from kemi.core.registration import Flow

PASSED_ON: Final = frozenset({"INFO", "MESSAGE", "OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE"})
"""Methods that go on to the other side and change nothing here."""

NO_DIALOG: Final = act.SendReply(481, "Call/Transaction Does Not Exist")


def unknown(request: Request) -> list[act.Action]:
    """Answer a request that is of none of our dialogs (RFC 3261 §12.2.2)."""
    return [] if request.method == "ACK" else [NO_DIALOG]


def ask_again(request: Request) -> act.SendReply | None:
    """Answer a request of a page whose running call it may speak in a moment later; None: as one in no dialog.

    Pages take a 481 for the end of the call.  After 491 they send a re-INVITE once more; nothing else is lost by a 500.
    A BYE is not worth a second one.
    """
    if request.method == "INVITE":
        return act.SendReply(491, "Request Pending")
    if request.method == "UPDATE" or request.method in PASSED_ON:
        return act.SendReply(500, "Not Ready Yet", ("Retry-After: 1",))
    return None


def offer_in_prack(settings: CallSettings) -> act.SendReply:
    """Refuse a PRACK whose offer (RFC 3262 §5) neither the other side nor we can answer."""
    why = headers.explanation("no offer is expected in this PRACK", settings.realm)
    return act.SendReply(488, "Not Acceptable Here", why)


def follow(record: CallRecord, successor: Flow | None) -> None:
    """The page is back on a new connection and has said nothing in this call yet."""
    if successor is not None:
        record.connection_id, record.source = successor.connection_id, successor.source
        record.ack_awaited = None  # our 2xx went to the connection before


def retarget_page(record: CallRecord, event: UpdateAnswered | OwnRequestAnswered) -> None:
    """The page's 2xx to an offer of ours may name another Contact (RFC 3261 §12.2.1.2, RFC 3311 §5.1)."""
    reply = event.reply if isinstance(event, OwnRequestAnswered) else None
    contact = event.contact if isinstance(event, UpdateAnswered) else reply.contact if reply else ""
    if 200 <= event.status < 300:
        record.wic_contact = page_target(contact, record.wic_contact)


def passes(record: CallRecord, request: Request) -> bool:
    """Whether a request that changes nothing here still goes to the other side."""
    return not record.ended or (request.method == "NOTIFY" and record.reports_due > 0)


def over(record: CallRecord, reply: Reply, settings: CallSettings) -> list[act.Action]:
    """Forget a call when its last answer has passed: to the BYE, or to the last report on a transfer.

    The two may cross: who is told that the transfer succeeded hangs up, and its BYE overtakes the report's answer.
    """
    if not record.ended or reply.status < 200 or reply.method not in ("BYE", "NOTIFY"):
        return []
    record.bye_answered = record.bye_answered or reply.method == "BYE"
    if record.bye_answered and not record.reports_due:
        return [act.ForgetCall(record.key)]
    return [act.Schedule(record.key, Due.FORGET, settings.reports_s)] if reply.method == "BYE" else []
