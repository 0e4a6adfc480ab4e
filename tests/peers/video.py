"""Video as RTP payloads and back: a moving test picture, and how many frames a recording decodes to.

Knows VP8 (RFC 7741) and H.264 (RFC 6184) through aiortc's payload formats and PyAV. Must not
know sockets.
"""

from __future__ import annotations

import fractions
from collections.abc import Iterable
from dataclasses import dataclass

import av
import numpy as np
from aiortc import RTCRtpCodecParameters
from aiortc.codecs import depayload, get_encoder

from tests.peers.rtp import RtpPacket, in_sequence

CLOCK_HZ = 90000
FRAMES_PER_S = 15
WIDTH, HEIGHT = 320, 240

_DECODERS = {"VP8": "vp8", "H264": "h264"}


def moving_picture(number: int) -> av.VideoFrame:
    """Return frame `number` of a moving pattern."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = (columns + 4 * number) % 256
    green = (rows + 2 * number) % 256
    blue = np.where((columns // 40 + rows // 40 + number // 8) % 2, 220, 30)
    frame = av.VideoFrame.from_ndarray(np.stack([red, green, blue], axis=-1).astype(np.uint8), format="rgb24")
    frame.pts = number * CLOCK_HZ // FRAMES_PER_S
    frame.time_base = fractions.Fraction(1, CLOCK_HZ)
    return frame


class VideoEncoder:
    """Turns test pictures into RTP payloads."""

    def __init__(self, codec: str) -> None:
        self._encoder = get_encoder(_parameters(codec))

    def payloads(self, number: int, *, key_frame: bool) -> list[bytes]:
        """Return the RTP payloads of one frame."""
        payloads, _ = self._encoder.encode(moving_picture(number), force_keyframe=key_frame)
        return payloads


@dataclass(frozen=True)
class DecodedVideo:
    """What came out of a decoder."""

    frames: int
    size: tuple[int, int] | None
    errors: int


def decode_video(packets: Iterable[RtpPacket], codec: str) -> DecodedVideo:
    """Decode received packets, in the order they were sent; frames before a key frame are errors."""
    parameters = _parameters(codec)
    decoder = av.CodecContext.create(_DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = errors = 0
    size: tuple[int, int] | None = None
    for data in _access_units(in_sequence(packets), parameters):
        try:
            decoded = decoder.decode(av.Packet(data))
        except av.FFmpegError:
            errors += 1
            continue
        frames += len(decoded)
        if decoded:
            size = (decoded[-1].width, decoded[-1].height)
    return DecodedVideo(frames, size, errors)


def _access_units(packets: Iterable[RtpPacket], parameters: RTCRtpCodecParameters) -> list[bytes]:
    units: list[bytes] = []
    timestamp: int | None = None
    for packet in packets:
        if not packet.payload:
            continue  # probing
        if packet.timestamp != timestamp:
            timestamp = packet.timestamp
            units.append(b"")
        units[-1] += depayload(parameters, packet.payload)
    return units


def _parameters(codec: str) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(mimeType=f"video/{codec}", clockRate=CLOCK_HZ)
