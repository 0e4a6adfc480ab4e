"""Our INVITE to a page: what it is offered, and what of the core's INVITE it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call import boundary
from kemi.core.call.media import digits
from kemi.core.call.record import CallRecord, Medium
from kemi.core.call.settings import CallSettings
from kemi.core.call.states import OfferAnswerEvent
from kemi.core.messages import Request, Side
from kemi.core.sdp.interwork.incoming import CoreLine, client_offer, core_offer_media, spoken_line
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

_NOT_FOR_PAGES: Final = frozenset({"timer", "precondition", "early-session"})
"""Extensions of the core that a page is not offered: they end here, or we would have to keep them for it."""


def medium_of(line: CoreLine, place: int, *, one_way: bool) -> Medium:
    """Return what is remembered of a medium that the core offers; the page has a line for each direction, or one."""
    return Medium(
        kind=line.kind,
        wic_offer="",
        line=2 * place if one_way else place,
        reverse_line=2 * place + 1 if one_way else None,
        ims_line=line.place,
        ims_answer=line.sdp,
        ims_direction=line.direction,
        reverse=one_way,
    )


def describe_to_page(record: CallRecord, relay_offers: Mapping[str, str], settings: CallSettings) -> None:
    """Write our offer for the page, of what the relay gives for each medium."""
    lines = core_offer_media(sdp_from_text(record.ims_offer), settings.video_codecs, settings.audio_codecs)
    if record.incoming is not None and record.incoming.answered_reliably:
        # The core has its answer.
        lines = tuple(line._replace(sdp=spoken_line(line.sdp)) for line in lines)
    one_way = any(medium.reverse_line is not None for medium in record.media)
    origin = Origin(record.session_id, 1)
    max_bundle = settings.max_bundle_pages
    offer = client_offer(lines, relay_offers, origin, one_way=one_way, max_bundle=max_bundle)
    record.wic_description = sdp_to_text(offer)
    record.move_wic(OfferAnswerEvent.OFFER_SENT)


def call_page(
    record: CallRecord, edits: act.MessageEdits, settings: CallSettings, *, resumed: bool = False
) -> act.ForwardInvite:
    """Send the INVITE on, with our offer."""
    described = replace(edits, body=record.wic_description)
    return act.ForwardInvite(described, settings.update_s, settings.ims_answer_s, Side.WIC, resumed)


def edits_of_invite(record: CallRecord, request: Request, settings: CallSettings) -> act.MessageEdits:
    """Return how the core's INVITE looks to the page, but for its description."""
    required = request.tokens("Require")
    supported = (request.tokens("Supported") | required) - _NOT_FOR_PAGES
    if not request.body:
        supported -= {"100rel"}  # our offer would have to go to the core in its 18x (RFC 3261 §13.2.1)
    hidden, warnings = boundary.towards_page(request, settings)
    named, packages = digits.packages_for_page(request)
    # asked for as an option: a page without it would refuse the call
    others = required - _NOT_FOR_PAGES - {"100rel"}
    edits = act.MessageEdits(
        next_hop=record.wic_destination,
        from_tag=record.gateway_tag,
        to_tag="",
        remove=(
            *("Contact", "Record-Route", "Route", "Supported", "Require", "Session-Expires", "Min-SE"),
            *hidden,
            *named,
        ),
        insert=(
            *warnings,
            *packages,
            boundary.contact_for_page(request, settings),
            *((f"Supported: {', '.join(sorted(supported))}",) if supported else ()),
            *((f"Require: {', '.join(sorted(others))}",) if others else ()),
        ),
    )
    return boundary.readable(request, edits, settings)
