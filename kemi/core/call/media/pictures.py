"""Asking for a whole picture: by INFO of the core (RFC 5168), and when both ends have come together.

INFO is how devices without RTCP feedback ask; a browser knows nothing of it, so it ends here and goes on as RTCP.
"""

from __future__ import annotations

import re
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.media.session import direction_for_core
from kemi.core.call.record import CallRecord
from kemi.core.messages import Request

MEDIA_CONTROL: Final = "application/media_control+xml"
_WHOLE_PICTURE = re.compile(r"<\s*picture_fast_update\s*/?>")


def on_core_info(record: CallRecord, request: Request) -> list[act.Action] | None:
    """Answer a request for a whole picture, and other media control that nobody here knows; None for other INFO."""
    if not is_media_control(request):
        return None
    if not _WHOLE_PICTURE.search(request.body):
        return [act.SendReply(415, "Unsupported Media Type")]
    return [act.SendReply(200, "OK"), *request_key_frames(record, of_ims=False)]


def is_media_control(request: Request) -> bool:
    """Whether an INFO is of that kind."""
    return (
        request.method == "INFO" and request.content_type.partition(";")[0].strip().lower() == MEDIA_CONTROL
    )


def request_key_frames(
    record: CallRecord, *, of_wic: bool = True, of_ims: bool = True
) -> list[act.RequestKeyFrames]:
    """Ask for key frames in the directions in which video passes."""
    video = record.medium("video")
    if video is None or not video.active:
        return []
    passing = direction_for_core(video)
    of_wic, of_ims = of_wic and passing.sends, of_ims and passing.receives
    return [act.RequestKeyFrames(record.key, record.node, of_wic, of_ims)] if of_wic or of_ims else []
