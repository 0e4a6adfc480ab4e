"""An UPDATE with an offer from a fork that nobody hears just now.

    fork a            fork b             we                   WIC
     │ 183, answer ───────────────────►│ the relay works with a
     │                 │ 183, answer ──►│ ... and now with b
     │ UPDATE, offer ──────────────────►│ on_offer
     │◄────────────── 200 with answer ──│ the relay goes on with b
     │ 200 ────────────────────────────►│ now it works with a, as a has said last

The relay and the page have nothing to do with it before this fork is heard, or has answered.
"""

from __future__ import annotations

from dataclasses import replace

from kemi.core.call import actions as act
from kemi.core.call import exchange
from kemi.core.call.from_page import forks
from kemi.core.call.media.session import direction_for_core
from kemi.core.call.record import CallRecord
from kemi.core.call.renegotiation.core_offer import answered, own_video, refuse
from kemi.core.call.settings import CallSettings
from kemi.core.errors import GatewayError
from kemi.core.messages import Request
from kemi.core.sdp.interwork.core_reoffer import core_reanswer, read_core_reoffer
from kemi.core.sdp.text import sdp_from_text, sdp_to_text


def is_meant(record: CallRecord, request: Request) -> bool:
    """Whether a request is such an UPDATE."""
    is_offer = request.method == "UPDATE" and bool(request.body)
    return is_offer and forks.is_early(record) and request.from_tag != forks.heard(record)


def on_offer(record: CallRecord, request: Request, settings: CallSettings) -> list[act.Action]:
    """Answer it with the lines of our INVITE, and keep what it says with its leg."""
    refusal = exchange.refusal(record, request)
    if refusal is not None:
        return [refusal]
    if not forks.has_answered(record.legs[request.from_tag]):  # our own offer to it is open (RFC 3311 §5.2)
        return [act.SendReply(491, "Request Pending")]
    if not request.has_sdp:
        return [act.SendReply(415, "Unsupported Media Type", ("Accept: application/sdp",))]
    told = forks.invite_offer(record)
    ours = sdp_from_text(told)
    lines = {medium.kind: medium.ims_line for medium in record.media}
    try:
        offer = sdp_from_text(request.body)
        reoffer = read_core_reoffer(
            offer, ours, lines, settings.video_codecs, settings.audio_codecs, own_video(record)
        )
    except GatewayError as error:
        return [refuse(error, settings)]
    going_on = reoffer.going_on.values()
    if "a=crypto:" in told or any("SAVP" in offer.media[line.place].proto.upper() for line in going_on):
        # It may number its keys otherwise than our INVITE, which may have none (RFC 4568 §5.1.2): the relay answers,
        # once it works with it.
        return [act.SendReply(500, "Server Internal Error", ("Retry-After: 5",))]
    directions = {
        line.place: direction_for_core(replace(medium, ims_direction=line.direction))
        for medium in record.media
        if (line := reoffer.going_on.get(medium.kind)) is not None
    }
    origin = exchange.next_ims_origin(record, settings)
    description = sdp_to_text(core_reanswer(offer, ours, directions, {}, origin))
    forks.offered_anew(record, request.from_tag, request.body, description)
    return [answered(record, description, settings)]
