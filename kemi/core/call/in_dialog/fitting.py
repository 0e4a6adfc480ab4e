"""Whether a request that is inside a dialog by its tags fits it (RFC 3261 §12.2.2): number, required extensions."""

from __future__ import annotations

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call.record import CallRecord
from kemi.core.call.settings import CallSettings
from kemi.core.errors import GatewayError
from kemi.core.extensions import refuse, unknown_extensions
from kemi.core.messages import Request, Side


def misfit(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Count a request in its direction and return nothing; or return its refusal, and count nothing."""
    if request.method == "ACK" or record.ended:  # an ACK has the number of its INVITE, and gets no answer
        return []
    if request.cseq <= _highest(record, request):
        why = headers.explanation("CSeq is not above the last one", settings.realm)
        return [act.SendReply(500, "Out of Order", why)]
    _count(record, request)
    try:
        refuse(unknown_extensions(request))
    except GatewayError as error:
        why = headers.explanation_of(error, settings.realm)
        return [act.SendReply(error.status, error.reason_phrase, (*error.lines, *why))]
    return []


def _highest(record: CallRecord, request: Request) -> int:
    if request.side is Side.WIC:
        return record.wic_cseq
    return record.legs[request.from_tag].cseq


def _count(record: CallRecord, request: Request) -> None:
    if request.side is Side.WIC:
        record.wic_cseq = request.cseq
    else:
        record.legs[request.from_tag].cseq = request.cseq
