"""A call whose gateway was restarted: what of its record still holds, and what was lost with the processes.

Transactions and the pages' connections are gone.  The media are not: the relay is a program of its own.
"""

from __future__ import annotations

from kemi.core.call import exchange
from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog, OfferAnswer
from kemi.core.identity import one_spelling


def revive(record: CallRecord) -> bool:
    """Make a kept record one that a call can go on with; False where there is none to go on with.

    A call that was being set up ends: both sides notice by themselves.  An offer that was out is given up, its sender
    gets no answer and tries again (RFC 3261 §14.1); the description before it counts (RFC 3264 §8).  Where that was we,
    or were about to be, both sides are told again what they have not heard of.
    """
    if record.dialog is not Dialog.CONFIRMED or record.doomed:
        return False
    settled = record.wic_offer_answer is record.ims_offer_answer is OfferAnswer.STABLE
    if not record.acknowledged and not settled:
        return False
    # An ACK that came meanwhile was lost; the 2xx comes again until it is (RFC 3261 §13.3.1.4). But perhaps the 2xx was
    # lost, and the page has given up: it is asked when it is back.
    record.answer_unsure = record.answer_unsure or not record.acknowledged
    record.acknowledged = True
    record.owner = one_spelling(record.owner)  # which the release before kept as the page wrote it
    record.connection_id = ""  # counted from 1 again: the old number is somebody else's now
    record.transaction = None
    if record.exchange is not None and record.exchange.wic_description:
        exchange.give_up_with_page(record)  # which may take it all the same
    record.exchange = None
    record.recovery = None  # a node that is still dead is noticed again
    record.wic_offer_answer = record.ims_offer_answer = OfferAnswer.STABLE
    record.update_offer = ""
    record.page_behind = record.core_behind = True
    record.relay_behind = record.relay_behind or record.relay_attempts > 0
    record.update_attempts = record.core_attempts = record.relay_attempts = 0
    record.own_ims_offer = 0
    record.ack_awaited = None
    record.outstanding.clear()
    record.reliable.clear()
    record.to_core.clear()
    record.own_refresh.cseq = 0
    return True
