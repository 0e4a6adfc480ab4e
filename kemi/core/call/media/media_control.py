"""A far end without RTCP feedback is asked for whole pictures by INFO (RFC 5168), as it asks itself (pictures.py).

It has shown that it knows that: by such an INFO, or in Accept.  It is asked when its video begins to pass to the page:
after the ACK, when it is resumed or added.  A page asks by RTCP, of which we hear nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.media.pictures import MEDIA_CONTROL, is_media_control
from kemi.core.call.media.session import direction_for_core
from kemi.core.call.own_request import own_request_to_ims
from kemi.core.call.record import CallRecord
from kemi.core.call.states import Dialog
from kemi.core.messages import Message, Reply, Request, Side

_PICTURE: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\r\n'
    "<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>\r\n"
)


def learn(record: CallRecord, message: Message) -> None:
    """Remember whether a far end knows media control."""
    if message.side is not Side.IMS:
        return
    tag = message.to_tag if isinstance(message, Reply) else message.from_tag
    leg = record.legs.get(tag)
    if leg is None or leg.takes_media_control:
        return
    accepted = {name.partition(";")[0].strip() for name in message.tokens("Accept")}
    asks = isinstance(message, Request) and is_media_control(message)
    leg.takes_media_control = asks or MEDIA_CONTROL in accepted


def ask(record: CallRecord) -> list[act.Action]:
    """Ask for a whole picture where one begins to pass."""
    video = record.medium("video")
    passes = (
        video is not None
        and video.active
        and record.acknowledged
        and record.dialog is Dialog.CONFIRMED
        and direction_for_core(video).receives
    )
    begins = passes and not record.picture_passes
    record.picture_passes = passes
    leg = record.legs.get(record.confirmed_tag)
    if not begins or leg is None or not leg.takes_media_control:
        return []
    asked = own_request_to_ims(
        record, record.confirmed_tag, "INFO", record.next_ims_cseq(), f"Content-Type: {MEDIA_CONTROL}"
    )
    return [replace(asked, body=_PICTURE)]
