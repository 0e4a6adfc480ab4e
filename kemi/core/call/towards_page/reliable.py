"""Reliable provisional responses to the core for pages that have none (RFC 3262 §3), of calls towards pages.

A page's 18x is made reliable where the core insists, or where it has a description and the core takes one so.  One at
a time is out: it is repeated until its PRACK, the page's next 18x waits for that, and so does its 2xx if the one that
is out has a description.  Responses that a page makes reliable itself pass, under numbers of ours.

What we send anew comes in once more as the page's own response, by our own socket; a repetition says its RSeq.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.events import Due
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.call.towards_page.incoming_record import Incoming, Unacknowledged
from kemi.core.decimals import number_or
from kemi.core.messages import Reply, Side

T1_S: Final = 0.5
"""RFC 3261 §17.1.1.1."""
_SAID: Final = (
    "Privacy", "P-Preferred-Identity", "Alert-Info", "Recv-Info", "Supported", "Accept", "Allow-Events", "Call-Info",
    "Reason",
)  # fmt: skip
"""Header fields of a page's response that the one which is made anew has too: whether its identity may be shown, before
all (RFC 3323 §4.2, TS 24.608 §4.5.2).  They are judged when that comes in, as the page's own are."""
_MOST_SAID: Final = 1000
"""Characters of one line that is kept for it."""


def provisional(
    record: CallRecord, incoming: Incoming, reply: Reply, settings: CallSettings
) -> tuple[bool, tuple[str, ...], list[act.Action]]:
    """Decide about a 18x of the page: whether it goes on now, with which lines, and what else is to be done."""
    out = incoming.unacknowledged
    if reply.side is Side.IMS and (again := "".join(reply.headers("RSeq"))):
        is_out = out is not None and again == str(out.rseq)
        return is_out, _lines(int(again)) if is_out else (), []
    if "100rel" in reply.tokens("Require"):
        if out is not None:
            return False, (), []  # it will come again
        return True, _lines(_number(record, "".join(reply.headers("RSeq")))), []
    described = reply.has_sdp and bool(incoming.ims_answer) and not incoming.answered_reliably
    needed = incoming.unreliable_refused or (incoming.takes_reliable and described)
    if not needed:
        return True, (), []
    if incoming.late_offer:
        return False, (), []  # it would have to have an offer
    if out is not None:
        incoming.progress, incoming.progress_lines = (reply.status, reply.reason_phrase), _said(reply)
        return False, (), []
    rseq = _number(record, "")
    first_s = min(T1_S, settings.prack_s)
    incoming.unacknowledged = Unacknowledged(
        rseq, reply.status, reply.reason_phrase, described=described, delay_s=first_s, lines=_said(reply)
    )
    return True, _lines(rseq), [act.Schedule(record.key, Due.RELIABLE_REPEAT, first_s)]


def repeats_answer(incoming: Incoming, reply: Reply) -> bool:
    """Whether a response is our repetition of one with a description."""
    out = incoming.unacknowledged
    return reply.side is Side.IMS and out is not None and out.described


def holds_answer(incoming: Incoming, reply: Reply) -> bool:
    """Whether a 2xx of the page has to wait: the core would not know what answers its offer (RFC 3262 §3)."""
    out = incoming.unacknowledged
    if out is None:
        return False
    if out.described:
        incoming.answer_held, incoming.held_body, incoming.held_lines = True, reply.whole, _said(reply)
        return True
    incoming.unacknowledged = None  # a PRACK may come, but none is asked for any more
    return False


def acknowledged(
    record: CallRecord, incoming: Incoming, rack: str, *, with_offer: bool
) -> list[act.Action] | int:
    """Take a PRACK of the core: what is done about it, or the RSeq of the page that it acknowledges.

    One ``with_offer`` is acknowledged here and answered by whoever answers offers.
    """
    rseq, _, invite = rack.strip().partition(" ")
    cseq, _, method = invite.strip().partition(" ")
    known = record.reliable.get(rseq)
    if known is None or (cseq, method.strip()) != (str(record.invite_cseq), "INVITE"):
        return [act.SendReply(481, "No Such Provisional Response")]
    _, of_page = known
    if of_page:
        return of_page
    del record.reliable[rseq]
    ok = [] if with_offer else [act.SendReply(200, "OK", tuple(boundary.charging_line(record)))]
    out = incoming.unacknowledged
    if out is None or str(out.rseq) != rseq:
        return [*ok]
    incoming.unacknowledged = None
    incoming.answered_reliably |= out.described
    return [*ok, act.Unschedule(record.key), *_next(record, incoming)]


def repeat(record: CallRecord, incoming: Incoming, settings: CallSettings) -> list[act.Action] | None:
    """Send what is out once more; None when it has waited long enough for its PRACK."""
    out = incoming.unacknowledged
    if out is None or record.ended:
        return []
    out.waited_s += out.delay_s
    if out.waited_s >= settings.prack_s:
        return None
    out.delay_s = min(2 * out.delay_s, settings.prack_s - out.waited_s)
    lines = (*out.lines, f"RSeq: {out.rseq}")
    again = answer_for_page(record, incoming, out.status, out.reason_phrase, lines)
    return [act.Schedule(record.key, Due.RELIABLE_REPEAT, out.delay_s), again]


def answer_for_page(
    record: CallRecord, incoming: Incoming, status: int, reason_phrase: str, further: tuple[str, ...] = ()
) -> act.AnswerForPage:
    """Answer the INVITE in the page's name."""
    lines = (*headers.response_of_wic(record, incoming.via), *further)
    return act.AnswerForPage(record.key, status, reason_phrase, lines)


def _next(record: CallRecord, incoming: Incoming) -> list[act.Action]:
    """Go on with what has waited for a PRACK."""
    progress, incoming.progress = incoming.progress, None
    said, incoming.progress_lines = tuple(incoming.progress_lines), []
    if incoming.answer_held:
        content_type, body = incoming.held_body
        lines = (*incoming.held_lines, *([f"Content-Type: {content_type}"] if body else ()))
        incoming.answer_held, incoming.held_body, incoming.held_lines = False, ("", ""), []
        return [replace(answer_for_page(record, incoming, 200, "OK", lines), body=body)]
    return [answer_for_page(record, incoming, *progress, said)] if progress is not None else []


def _said(reply: Reply) -> list[str]:
    lines = (f"{name}: {value}" for name in _SAID for value in reply.headers(name))
    return [line for line in lines if len(line) <= _MOST_SAID]


def _number(record: CallRecord, of_page: str) -> int:
    """Return our RSeq for a response the page numbered itself, or for one of ours; rising by one (RFC 3262 §3)."""
    own = number_or(0, of_page.strip())
    if own:
        for ours, known in record.reliable.items():
            if known[1] == own:
                return int(ours)
    record.rseq += 1
    record.reliable[str(record.rseq)] = ("", own)
    return record.rseq


def _lines(rseq: int) -> tuple[str, ...]:
    return ("Require: 100rel", f"RSeq: {rseq}")
