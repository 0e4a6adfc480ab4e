"""What a device hears in the codecs it has to decode: Opus and AMR-WB payloads to a spectral peak.

Knows RFC 7587 and RFC 4867 (bandwidth-efficient, one frame in each packet).  Must not know calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import av
import numpy as np

from tests.peers.rtp import RtpPacket
from tests.peers.tone import Peak, peak_of

SPEECH_BITS: Final = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
"""AMR-WB frame type -> bits of the frame (3GPP TS 26.201 table 2)."""
_NO_DATA: Final = 15


def opus_peak(packets: Iterable[RtpPacket]) -> Peak:
    """Return the peak of Opus packets."""
    return _peak("opus", 48000, [packet.payload for packet in packets])


def wideband_peak(packets: Iterable[RtpPacket]) -> Peak:
    """Return the peak of AMR-WB packets; raise ValueError for a payload that is no single frame."""
    frames = [frame for packet in packets if (frame := _storage_frame(packet.payload))]
    return _peak("amrwb", 16000, frames)


def _storage_frame(payload: bytes) -> bytes:
    """Turn a bandwidth-efficient payload (RFC 4867 §4.3) into a frame as a file has it (§5.3)."""
    bits = "".join(f"{byte:08b}" for byte in payload)
    follows, kind, quality = bits[4], int(bits[5:9], 2), bits[9]
    if kind == _NO_DATA:
        return b""
    speech = bits[10 : 10 + SPEECH_BITS[kind]]
    if follows != "0" or len(speech) < SPEECH_BITS[kind]:
        raise ValueError(f"not one AMR-WB frame: {payload.hex()}")
    padded = speech.ljust(-(-len(speech) // 8) * 8, "0")
    head = kind << 3 | int(quality) << 2
    return bytes([head, *(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))])


def _peak(codec: str, rate_hz: int, frames: list[bytes]) -> Peak:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate = rate_hz
    decoder.layout = "mono"
    to_mono = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    heard = [
        part.to_ndarray().reshape(-1)
        for frame in frames
        for decoded in decoder.decode(av.Packet(frame))
        for part in to_mono.resample(decoded)
    ]
    peak = peak_of(np.concatenate(heard).astype(np.int16), rate_hz)
    assert peak is not None
    return peak
