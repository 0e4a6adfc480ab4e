"""How a request of the core goes into the page's dialog."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.in_dialog.transfers import named_for_page
from kemi.core.call.record import CallRecord, Outstanding
from kemi.core.call.settings import CallSettings
from kemi.core.messages import Request, Side
from kemi.core.trunk import causes

MOST_INVITES: Final = 8
"""Re-INVITEs of the core that are remembered: the page may repeat its 2xx for 32 s (RFC 3261 §13.3.1.4)."""

SILENT: Final = "the page has not answered in time"
_AGAIN_S: Final = 5


def forward_to_page(record: CallRecord, request: Request, settings: CallSettings) -> act.ForwardRequest:
    """Put a request of the core into the page's dialog."""
    cseq = request.cseq + record.cseq_offset
    if (
        cseq <= record.gateway_cseq
    ):  # another fork, or numbers below those we used: stay rising (RFC 3261 §12.2.1.1)
        record.cseq_offset += record.gateway_cseq - cseq + 1
        cseq = record.gateway_cseq + 1
    record.gateway_cseq = cseq
    if request.method == "INVITE":
        record.core_invites = [*record.core_invites[1 - MOST_INVITES :], (request.cseq, cseq)]
    record.outstanding[str(cseq)] = Outstanding(
        request.from_tag, request.cseq, headers.vias_of_response(request)
    )
    return act.ForwardRequest(Side.WIC, edits_to_page(record, request, cseq, settings))


def unanswered(method: str, settings: CallSettings) -> act.SendReply:
    """Return what the core gets to a request inside a call that the page has not answered in time.

    The page may be on its way back.  408 would end the call (RFC 3261 §12.2.1.2); after 491 whoever has sent an INVITE
    sends it again by itself (§14.1).
    """
    lines = headers.explanation(SILENT, settings.realm)
    if method == "INVITE":
        return act.SendReply(491, "Request Pending", lines)
    if method == "UPDATE":
        return act.SendReply(500, "Server Internal Error", (f"Retry-After: {_AGAIN_S}", *lines))
    return act.SendReply(480, "Temporarily Unavailable", lines)


def edits_to_page(
    record: CallRecord, request: Request, cseq: int, settings: CallSettings
) -> act.MessageEdits:
    """Return how a request of the core looks inside the page's dialog."""
    hidden, insert = boundary.towards_page(request, settings)
    if request.contact:
        insert += (boundary.contact_for_page(request, settings),)
    if record.trunk is not None and request.method == "BYE":
        insert += causes.for_page(request.headers("Reason"))
    edits = act.MessageEdits(
        request_uri=record.wic_contact,
        next_hop=record.wic_destination,
        from_tag=record.gateway_tag,
        to_tag=None if record.incoming is None else record.wic_tag,
        cseq=cseq,
        remove=("Route", "Contact", *hidden),
        insert=insert,
    )
    edits = named_for_page(record, request, edits)
    if record.trunk is not None:
        far, near = (
            f"<{record.target_uri}>;tag={record.gateway_tag}",
            f"<{record.wic_uri}>;tag={record.wic_tag}",
        )
        edits = replace(edits, from_value=far, to_value=near, from_tag=None)
    return boundary.readable(request, edits, settings)
