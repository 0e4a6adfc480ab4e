"""Whether a request that is inside a dialog by its tags fits it (RFC 3261 §12.2.2): number, required extensions."""

from __future__ import annotations

import logging

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call.record import CallRecord, Offerer
from kemi.core.call.settings import CallSettings
from kemi.core.errors import GatewayError
from kemi.core.extensions import refuse, unknown_extensions
from kemi.core.messages import Request, Side


def misfit(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Count a request in its direction and return nothing; or return what is done about it instead, and count nothing.

    An offer that is sent once more while the relay is asked about it has no transaction yet that would absorb it; it is
    answered where it came first (RFC 3261 §17.2.3).
    """
    if request.method == "ACK" or record.ended:  # an ACK has the number of its INVITE, and gets no answer
        return []
    if request.cseq <= _highest(record, request):
        if _is_being_answered(record, request):
            return [act.Note("request_sent_again", logging.DEBUG, {"method": request.method})]
        why = headers.explanation("CSeq is not above the last one", settings.realm)
        return [act.SendReply(500, "Out of Order", why)]
    _count(record, request)
    try:
        refuse(unknown_extensions(request))
    except GatewayError as error:
        why = headers.explanation_of(error, settings.realm)
        return [act.SendReply(error.status, error.reason_phrase, (*error.lines, *why))]
    return []


def _is_being_answered(record: CallRecord, request: Request) -> bool:
    opened = record.exchange
    if opened is None or request.side is Side.WIC or opened.offerer is not Offerer.IMS:
        return False  # a page's come over TCP, once
    of_same_fork = opened.former is None or opened.former.tag == request.from_tag
    return of_same_fork and (opened.method, opened.cseq) == (request.method, request.cseq)


def _highest(record: CallRecord, request: Request) -> int:
    if request.side is Side.WIC:
        return record.wic_cseq
    return record.legs[request.from_tag].cseq


def _count(record: CallRecord, request: Request) -> None:
    if request.side is Side.WIC:
        record.wic_cseq = request.cseq
    else:
        record.legs[request.from_tag].cseq = request.cseq
