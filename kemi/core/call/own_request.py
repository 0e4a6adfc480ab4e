"""Requests of our own inside a dialog of either side."""

from __future__ import annotations

from typing import Final

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.record import CallRecord, Leg
from kemi.core.call.settings import CallSettings
from kemi.core.messages import Message, Side, uri_from_address

METHOD_NOT_TAKEN: Final = frozenset({405, 501})


def own_request_to_wic(
    record: CallRecord,
    settings: CallSettings,
    method: str,
    cseq: int,
    *further: str,
    body: str = "",
    report: bool = False,
) -> act.SendRequest:
    """Build a request of our own to the page, with ``further`` header lines; ``report``: its answer is an event."""
    lines = headers.towards_wic(record, settings, cseq, method, describes=bool(body))
    return act.SendRequest(
        to=Side.WIC,
        method=method,
        request_uri=record.wic_contact,
        next_hop=record.wic_destination,
        headers=(*lines, *further),
        body=body,
        report=report,
    )


def own_request_to_ims(
    record: CallRecord, tag: str, method: str, cseq: int, *further: str
) -> act.SendRequest:
    """Build a request of our own to the core's leg ``tag``, with ``further`` header lines."""
    leg = record.legs[tag]
    return act.SendRequest(
        to=Side.IMS,
        method=method,
        request_uri=leg.contact,
        next_hop=uri_from_address(leg.route_set[0]) if leg.route_set else leg.contact,
        headers=(*headers.towards_ims(record, tag, cseq, method), *further),
    )


def learn_allowed(leg: Leg, message: Message) -> None:
    """Keep whether a leg of the core's takes UPDATE; a message without Allow says nothing (RFC 3261 §20.5)."""
    if message.headers("Allow"):
        leg.takes_update = "update" in message.tokens("Allow")


def learn_target(leg: Leg, message: Message) -> None:
    """Keep where a leg of the core's wants its requests from now on (RFC 3261 §12.1, §12.2)."""
    if message.contact:
        leg.contact, leg.focus = uri_from_address(message.contact), boundary.focus_of(message)


def takes_update(record: CallRecord) -> bool:
    """Say whether the far end that has the call takes UPDATE, so that a request of our own need be no re-INVITE."""
    leg = record.legs.get(record.confirmed_tag)
    return leg is not None and leg.takes_update
