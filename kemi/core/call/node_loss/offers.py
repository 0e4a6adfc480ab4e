"""What both sides are sent when a call moves to another media node (recovery.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kemi.core import headers
from kemi.core.call import actions as act
from kemi.core.call import boundary, exchange
from kemi.core.call.events import MovedMedium
from kemi.core.call.lifetime import session_timer
from kemi.core.call.media.session import direction_for_core
from kemi.core.call.node_loss.record import Recovery
from kemi.core.call.own_request import own_request_to_ims, own_request_to_wic
from kemi.core.call.record import CallRecord, Exchange
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import TellingEvent
from kemi.core.errors import LocalProtocolError
from kemi.core.messages import Side
from kemi.core.sdp.interwork.moved import moved_client_offer, moved_core_offer
from kemi.core.sdp.text import sdp_from_own_text, sdp_from_text, sdp_to_text


def describe(record: CallRecord, moved: Mapping[str, MovedMedium], settings: CallSettings) -> None:
    """Write both offers into the open exchange."""
    opened, _ = _open(record)
    transports: dict[int, str] = {}
    ports: dict[int, str] = {}
    for medium in (*record.media, *opened.media):
        medium.reverse_offer = ""  # of the dead node; the line will share its transport instead
    for medium in opened.media:
        if not medium.active:
            continue
        given = moved[medium.kind]
        transports[medium.line] = given.wic_offer
        if medium.reverse_line is not None:
            transports[medium.reverse_line] = given.reverse_offer or given.wic_offer
        ports[medium.ims_line] = given.ims_answer
    directions = {medium.ims_line: direction_for_core(medium) for medium in opened.media if medium.active}
    to_page = moved_client_offer(
        sdp_from_own_text(record.wic_description), transports, exchange.next_wic_origin(record)
    )
    to_core = moved_core_offer(
        sdp_from_text(record.ims_description), directions, ports, exchange.next_ims_origin(record, settings)
    )
    opened.wic_description, opened.ims_description = sdp_to_text(to_page), sdp_to_text(to_core)


def send_to_page(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Send the page its offer, once more if need be."""
    opened, recovery = _open(record)
    method = "UPDATE" if record.wic_takes_update else "INVITE"
    opened.method, opened.cseq = method, record.next_gateway_cseq()
    recovery.told(Side.WIC, TellingEvent.SENT)
    recovery.page_attempts += 1
    return [
        own_request_to_wic(record, settings, method, opened.cseq, body=opened.wic_description, report=True)
    ]


def send_to_core(record: CallRecord, settings: CallSettings) -> list[act.Action]:
    """Send the core its offer, which refreshes the session as well (RFC 4028 §7.4)."""
    opened, recovery = _open(record)
    recovery.core_cseq = record.next_ims_cseq()
    recovery.told(Side.IMS, TellingEvent.SENT)
    recovery.core_attempts += 1
    lines = (
        boundary.contact_for_core(record, settings),
        headers.ALLOW,
        f"Supported: {session_timer.TIMER}",
        *session_timer.request_to_core(record, settings),
        *boundary.access_network_line(record, settings),
        "Content-Type: application/sdp",
    )
    request = own_request_to_ims(record, record.confirmed_tag, "INVITE", recovery.core_cseq, *lines)
    return [replace(request, body=opened.ims_description, report=True)]


def _open(record: CallRecord) -> tuple[Exchange, Recovery]:
    if record.exchange is None or record.recovery is None:
        raise LocalProtocolError("the call does not move")
    return record.exchange, record.recovery
