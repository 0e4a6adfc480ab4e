"""One offer at a time in a running session, whoever made it (RFC 3264 §4, RFC 3261 §14, RFC 3311 §5.2).

The relay joins both sides of a call, so an offer of one side is an offer to the whole call: while it is open, the other
side's offers are refused.  What an exchange changes stands in it until the answer, so that a refusal costs nothing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.events import OwnRequestAnswered, UpdateAnswered
from kemi.core.call.record import CallRecord, Exchange, Former, Offerer, checksum
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import OfferAnswer, OfferAnswerEvent
from kemi.core.errors import GatewayError, LocalProtocolError
from kemi.core.messages import Reply, Request, Side
from kemi.core.sdp.build import off_line, session_description, session_section
from kemi.core.sdp.interwork import check_reverse_answer
from kemi.core.sdp.interwork.avpf import agreed
from kemi.core.sdp.interwork.wic import as_agreed
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text

_SETTLED: Final = frozenset({OfferAnswer.STABLE, OfferAnswer.IDLE})
_ENDING: Final[Mapping[OfferAnswer, OfferAnswerEvent]] = MappingProxyType(
    {
        OfferAnswer.OFFER_RECEIVED: OfferAnswerEvent.ANSWER_SENT,
        OfferAnswer.OFFER_SENT: OfferAnswerEvent.ANSWER_RECEIVED,
    }
)
_LONGEST_RETRY_AFTER_S: Final = 10
_MOST_OVERDUE: Final = 4
_REFUSED_LINE: Final = re.compile(r"[\r\n]m=\S+\s+0+[/\s]")


def is_open(record: CallRecord) -> bool:
    """Say whether somebody's offer, of the set-up or of the running session, waits for its answer."""
    return record.exchange is not None or not {record.wic_offer_answer, record.ims_offer_answer} <= _SETTLED


def refusal(record: CallRecord, request: Request) -> act.SendReply | None:
    """Return what an INVITE, or an UPDATE with an offer, of either side gets while another offer is open; else None.

    The sender's own earlier offer: 500 with Retry-After (RFC 3261 §14.2, RFC 3311 §5.2).  Anybody else's: 491, after
    which the sender tries again by itself (RFC 3261 §14.1).
    """
    if record.recovery is not None:
        return act.SendReply(491, "Request Pending")  # an offer of ours to both sides is due, or out
    if not is_open(record):
        return None
    own = Offerer.WIC if request.side is Side.WIC else Offerer.IMS
    side = record.wic_offer_answer if request.side is Side.WIC else record.ims_offer_answer
    of_sender = (
        side is OfferAnswer.OFFER_RECEIVED if record.exchange is None else record.exchange.offerer is own
    )
    if not of_sender:
        return act.SendReply(491, "Request Pending")
    # RFC 3261 §14.2 wants it drawn anew each time; a checksum of what names the request does that without I/O.
    drawn = zlib.crc32("".join(request.headers("Via")).encode()) % (_LONGEST_RETRY_AFTER_S + 1)
    return act.SendReply(500, "Server Internal Error", (f"Retry-After: {drawn}",))


def is_answered_by(record: CallRecord, event: UpdateAnswered | OwnRequestAnswered) -> bool:
    """Whether a response is to the offer of ours that is open.

    tm hands us a response as often as it comes, and a 2xx to an INVITE comes until its ACK does (RFC 3261 §13.3.1.4):
    perhaps when another offer of ours is out already, to the same side or to the other one.
    """
    opened = _open(record)
    if isinstance(event, UpdateAnswered):
        side, method = Side.WIC, "UPDATE"
    else:
        side, method = event.to, event.method
    if side is Side.IMS and record.recovery is not None and opened.offerer is Offerer.GATEWAY:
        return (method, event.cseq) == ("INVITE", record.recovery.core_cseq)
    asked = Side.IMS if opened.offerer is Offerer.GATEWAY_TO_IMS else Side.WIC
    return (side, method) == (asked, opened.method) and event.cseq in (opened.cseq, None)


def begin(record: CallRecord, exchange: Exchange) -> None:
    """Open an exchange.

    A description in it is an offer of ours to that side.

    Raises:
        LocalProtocolError: another one is open.
    """
    if is_open(record):
        raise LocalProtocolError("an offer is open already")
    record.exchange = exchange
    if exchange.offer and exchange.offerer is Offerer.WIC:
        record.move_wic(OfferAnswerEvent.OFFER_RECEIVED)
    if exchange.offer and exchange.offerer is Offerer.IMS:
        record.move_ims(OfferAnswerEvent.OFFER_RECEIVED)
    offered(record)


def offered(record: CallRecord) -> None:
    """Note that a description put into the open exchange now goes out as our offer to that side."""
    exchange = _open(record)
    if exchange.wic_description and record.wic_offer_answer is OfferAnswer.STABLE:
        record.move_wic(OfferAnswerEvent.OFFER_SENT)
    if exchange.ims_description and record.ims_offer_answer is OfferAnswer.STABLE:
        record.move_ims(OfferAnswerEvent.OFFER_SENT)


def commit(record: CallRecord) -> None:
    """Settle the open exchange: what it prepared is what the call has from now on."""
    exchange = _open(record)
    record.exchange = None
    if record.update_offer:  # a correction that was to be sent again is of what was before
        record.update_offer, record.page_behind = "", True
    if exchange.wic_description:
        record.overdue = {}  # the page has gone on from there
    if exchange.media:
        record.media = exchange.media
    if exchange.offerer is Offerer.IMS:
        record.far_checksum = checksum(exchange.offer) if exchange.offer else ""
    elif exchange.ims_description:
        record.far_checksum = ""  # it has answered
    record.wic_description = exchange.wic_description or record.wic_description
    record.ims_description = exchange.ims_description or record.ims_description
    if record.wic_offer_answer not in _SETTLED:
        record.move_wic(_ENDING[record.wic_offer_answer])
    if record.ims_offer_answer not in _SETTLED:
        record.move_ims(_ENDING[record.ims_offer_answer])


def rollback(record: CallRecord) -> list[act.Action]:
    """Forget the open exchange, the call is as before (RFC 3261 §14.1); gives back relay ports that were for it."""
    exchange = _open(record)
    record.exchange = None
    if record.wic_offer_answer not in _SETTLED:
        record.move_wic(OfferAnswerEvent.OFFER_REFUSED)
    if record.ims_offer_answer not in _SETTLED:
        record.move_ims(OfferAnswerEvent.OFFER_REFUSED)
    actions: list[act.Action] = []
    if exchange.former is not None and not exchange.answered:
        put_back(record, exchange.former)  # whose clock goes on: nothing was refreshed (RFC 4028 §7.2)
    if exchange.reserved:
        actions.append(act.ReleaseMedia(record.key, record.node, tuple(exchange.reserved)))
    return actions


def give_up_with_page(record: CallRecord) -> None:
    """Give up the open exchange's offer to the page, of the core or ours, as far as it has gone out."""
    pending = _open(record)
    if pending.offerer is Offerer.GATEWAY_TO_WIC:
        give_up_offer(record, pending.cseq, pending.wic_description)
    if pending.offerer is not Offerer.IMS:
        return
    for ours, asked in list(record.outstanding.items()):
        if (asked.tag, asked.cseq) == (record.confirmed_tag, pending.cseq):
            # a 2xx that comes now is ours alone, its ACK as well (in_dialog/dialog.py)
            del record.outstanding[ours]
            give_up_offer(record, int(ours), pending.wic_description)


def give_up_offer(record: CallRecord, cseq: int, description: str) -> None:
    """Remember what the page was offered under this number of ours: it may take it when nobody waits for that."""
    newest = list(record.overdue.items())[1 - _MOST_OVERDUE :]
    record.overdue = {**dict(newest), str(cseq): description}


def answered_late(record: CallRecord, reply: Reply) -> None:
    """Take the page's final response to an offer that was given up: after a 2xx it has that description and no medium
    of it that is new, so that it is to be offered what holds."""
    offered_text = record.overdue.pop(str(reply.cseq), "") if reply.status >= 200 else ""
    if not offered_text or reply.status >= 300 or record.ended:
        return
    try:
        offer = sdp_from_own_text(offered_text)
        answer = check_reverse_answer(offer, reply.body).description
    except GatewayError:
        return
    record.wic_description, record.page_behind = sdp_to_text(as_agreed(offer, answer)), True


def former(record: CallRecord, request: Request) -> Former:
    """Return what a request that offers changes before it is answered."""
    if request.side is Side.WIC:
        return Former("", record.wic_contact, record.wic_session)
    leg = record.legs[request.from_tag]
    return Former(request.from_tag, leg.contact, record.ims_session, leg.focus)


def put_back(record: CallRecord, former: Former) -> None:
    """The request was refused."""
    if not former.tag:
        record.wic_contact, record.wic_session = former.contact, former.session
    elif former.tag in record.legs:
        leg, record.ims_session = record.legs[former.tag], former.session
        leg.contact, leg.focus = former.contact, former.focus


def unless_refused(
    record: CallRecord,
    before: Former,
    was_open: Exchange | None,
    answered: list[act.Action],
    clock: list[act.Action],
) -> list[act.Action]:
    """Return what is done about a request that offers, ``answered`` and ``clock``; a refusal changes nothing.

    Only a 2xx refreshes a session (RFC 4028 §7.2), so where that is still to come the clock is set with it.
    """
    if any(isinstance(one, act.SendReply) and one.status >= 300 for one in answered):
        put_back(record, before)
        return answered
    if record.exchange is not None and record.exchange is not was_open:
        record.exchange.former = before
        if not record.exchange.answered:
            return answered
    return [*answered, *clock]


def next_wic_origin(record: CallRecord) -> Origin:
    """Return the origin of the next description for the page; no version is used twice, even after a refusal."""
    record.wic_version += 1
    return Origin(record.session_id, record.wic_version)


def next_ims_origin(record: CallRecord, settings: CallSettings) -> Origin:
    """Return the origin of the next description for the core."""
    record.ims_version += 1
    return Origin(record.session_id + 1, record.ims_version, settings.media_address)


def as_taken(record: CallRecord, ours: str, answer: str, settings: CallSettings) -> str:
    """Return our offer to the core as its answer of a 2xx has made it, with a new version where a line is off now.

    What the far end has refused is off for both (RFC 3264 §6): it stays so in later offers, and is nothing to tell it.
    """
    ours = agreed(ours, answer)
    if not _REFUSED_LINE.search(answer) and answer.count("\nm=") >= ours.count("\nm="):
        return ours
    offer, answered = sdp_from_text(ours), sdp_from_text(answer).media
    refused = {
        place for place in range(len(offer.media)) if place >= len(answered) or not answered[place].port
    }
    if not any(line.port and place in refused for place, line in enumerate(offer.media)):
        return ours
    lines = [off_line(line) if place in refused else line for place, line in enumerate(offer.media)]
    session = session_section(next_ims_origin(record, settings), connection=offer.session_connection)
    return sdp_to_text(session_description(session, lines))


def _open(record: CallRecord) -> Exchange:
    if record.exchange is None:
        raise LocalProtocolError("no offer is open")
    return record.exchange
