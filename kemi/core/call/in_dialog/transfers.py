"""REFER inside a call, and the reports on it.

A REFER begins a subscription of its own in the dialog, which a BYE does not end (RFC 3515 §2.4.4, RFC 5057 §4.2).  From
the second REFER on its NOTIFYs name it by its CSeq, ``Event: refer;id=`` (RFC 3515 §2.4.6), which is another one on
either side once we have sent requests of our own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.in_dialog.referral import Referral
from kemi.core.call.record import CallRecord
from kemi.core.messages import (
    Reply,
    Request,
    addresses_from_headers,
    parameter,
    uri_from_address,
    with_parameters,
)

MOST_REFERRALS: Final = 8
"""REFERs of one call whose two numbers are kept; the newest count."""
_REFER: Final = "refer"
"""The event of these reports (RFC 3515 §3)."""
_DIGITS: Final = 10
"""A CSeq has no more (RFC 3261 §8.1.1.5)."""
_PLAIN: Final = re.compile(
    r"sips?:(?:(?:[^@?;%]|%(?!25|3b|3f|40))*@)?[^@?;%]+;(?P<parameters>[^@?%]*)(?:\?(?P<fields>[^@;%]*))?",
    re.IGNORECASE,
)
"""A SIP URI in which nobody finds other parameters, wherever they divide it first and whenever they unescape it."""


def removes_participant(record: CallRecord, request: Request) -> bool:
    """Whether a REFER of the page has the conference that it is in hang up on somebody, so that nobody is called
    (RFC 4579 §5.11, TS 24.147 §5.3.1.5.3)."""
    leg = record.legs.get(record.confirmed_tag)
    if (
        leg is None
        or not leg.focus
        or (request.to_tag, request.from_tag) != (record.gateway_tag, record.wic_tag)
    ):
        return False
    targets = [uri_from_address(one) for one in addresses_from_headers(request.headers("Refer-To"))]
    return len(targets) == 1 and _is_bye(targets[0])


def _is_bye(uri: str) -> bool:
    """Whether every reader of a URI takes its method for BYE (RFC 3261 §19.1.1): what one takes for INVITE is a call.
    A tel URI has no method (RFC 3966)."""
    plain = _PLAIN.fullmatch(uri)
    if plain is None:
        return False
    parameters, fields = plain["parameters"].split(";"), (plain["fields"] or "").split("&")
    named = [one for one in (*parameters, *fields) if one.strip().lower().startswith("method")]
    name, _, value = named[0].partition("=") if named else ("", "", "")
    return len(named) == 1 and named[0] in parameters and (name.lower(), value) == ("method", "BYE")


def referred(record: CallRecord, reply: Reply, *, by_page: bool, page: int, core: int) -> None:
    """A REFER was answered; accepted, reports on it will come, unless nobody wants them (RFC 4488 §4).

    ``page`` and ``core`` are its CSeq on either side.
    """
    reported = "".join(reply.headers("Refer-Sub")).strip().lower() != "false"
    if reply.method != "REFER" or not 200 <= reply.status < 300 or not reported:
        return
    record.reports_due += 1
    if page != core:
        # kept beyond the last report: that may come again, and numbers we add later change nothing about this one
        record.referrals = [*record.referrals, Referral(by_page, page, core)][-MOST_REFERRALS:]


def reported(record: CallRecord, request: Request) -> None:
    """A NOTIFY passes: it may be the last one on a transfer, unless it is about something else, as a conference."""
    state = "".join(request.headers("Subscription-State")).partition(";")[0].strip().lower()
    if (
        request.method == "NOTIFY"
        and state == "terminated"
        and _event(request) == _REFER
        and record.reports_due
    ):
        record.reports_due -= 1


def named_for_page(record: CallRecord, request: Request, edits: act.MessageEdits) -> act.MessageEdits:
    """Name the REFER that a NOTIFY or SUBSCRIBE of the core is about by the number the page knows."""
    named = _named(request)
    if named is None:
        return edits
    by_page = request.method == "NOTIFY"
    known = (one.page for one in record.referrals if (one.by_page, one.core) == (by_page, named))
    # RFC 3515 §2.4.4: the first report may come before the response to the REFER
    pending = record.to_core.get(str(named), named) if by_page else named
    return _renamed(request, edits, next(known, pending))


def named_for_core(record: CallRecord, request: Request, edits: act.MessageEdits) -> act.MessageEdits:
    """The same for one of the page."""
    named = _named(request)
    if named is None:
        return edits
    by_page = request.method == "SUBSCRIBE"
    known = (one.core for one in record.referrals if (one.by_page, one.page) == (by_page, named))
    asked = None if by_page else record.outstanding.get(str(named))
    return _renamed(request, edits, next(known, named if asked is None else asked.cseq))


def _named(request: Request) -> int | None:
    """Return the CSeq of the REFER that a request is about, None where it names none."""
    if request.method not in ("NOTIFY", "SUBSCRIBE"):
        return None
    if _event(request) != _REFER:
        return None
    named = parameter("".join(request.headers("Event")), "id") or ""
    return int(named) if named.isascii() and named.isdigit() and len(named) <= _DIGITS else None


def _event(request: Request) -> str:
    return "".join(request.headers("Event")).partition(";")[0].strip().lower()


def _renamed(request: Request, edits: act.MessageEdits, number: int) -> act.MessageEdits:
    event = "".join(request.headers("Event")).strip()
    renamed = with_parameters(event, lambda name, _: f";id={number}" if name == "id" else None)
    if renamed == event:
        return edits
    return replace(edits, remove=(*edits.remove, "Event"), insert=(*edits.insert, f"Event: {renamed}"))
