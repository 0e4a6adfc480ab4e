"""Responses to an INVITE that was given up: the next hop, trunk or entry point has the call, under a new number.

tm has ended their branch: it cancels who begins to ring there, acknowledges a refusal and passes nothing on.  An answer
is acknowledged and hung up here (RFC 3261 §13.2.2.4), or somebody talks to nobody.
"""

from __future__ import annotations

from kemi.core.call import actions as act
from kemi.core.call.record import CallRecord
from kemi.core.messages import Reply, Side, addresses_from_headers, uri_from_address


def is_given_up(record: CallRecord, reply: Reply) -> bool:
    """Whether this is a response to a page's INVITE as it was sent before it got its present number."""
    is_invite = reply.method == "INVITE" and record.incoming is None
    return is_invite and record.invite_cseq <= reply.cseq < record.ims_invite_cseq


def on_late_reply(record: CallRecord, reply: Reply) -> list[act.Action]:
    """Hang up who answers too late; everything else is tm's."""
    if not 200 <= reply.status < 300 or not reply.to_tag:
        return []
    contact = uri_from_address(reply.contact) if reply.contact else ""
    if not contact:
        return [act.DropReply()]
    return [
        act.DropReply(),
        _request(reply, contact, "ACK", reply.cseq),
        _request(reply, contact, "BYE", record.next_ims_cseq()),
    ]


def _request(reply: Reply, contact: str, method: str, cseq: int) -> act.SendRequest:
    """Build a request in the dialog of this response, whose From and To the record no longer has."""
    routes = addresses_from_headers(reply.headers("Record-Route"))[::-1]
    ends = (f"{name}: {value}" for name in ("From", "To", "Call-ID") for value in reply.headers(name)[:1])
    return act.SendRequest(
        to=Side.IMS,
        method=method,
        request_uri=contact,
        next_hop=uri_from_address(routes[0]) if routes else contact,
        headers=(*(f"Route: {route}" for route in routes), *ends, f"CSeq: {cseq} {method}"),
        to_former=True,
    )
