"""RTCP that we send ourselves: asking a sender of video for a key frame (RFC 4585 §6.3.1, RFC 5104 §4.3.1)."""

import struct
from typing import Final

_RECEIVER_REPORT: Final = 201
_PAYLOAD_FEEDBACK: Final = 206
_PICTURE_LOSS: Final = 1
_FULL_INTRA: Final = 4
_OUR_SSRC: Final = 1
"""We send no media; libwebrtc's receivers call themselves so, too."""


def key_frame_request(media_ssrc: int, number: int) -> bytes:
    """Write a compound packet: an empty receiver report, which has to come first (RFC 3550 §6.1), a PLI and a FIR.

    A sender may know only one of the two. `number`: each FIR has another one, modulo 256.
    """
    report = struct.pack("!BBHI", 0x80, _RECEIVER_REPORT, 1, _OUR_SSRC)
    command = struct.pack(
        "!BBHIIIB3x", 0x80 | _FULL_INTRA, _PAYLOAD_FEEDBACK, 4, _OUR_SSRC, 0, media_ssrc, number
    )
    picture_loss = struct.pack("!BBHII", 0x80 | _PICTURE_LOSS, _PAYLOAD_FEEDBACK, 2, _OUR_SSRC, media_ssrc)
    return report + picture_loss + command
