"""How much bandwidth a line asks of the core, and how long packets of audio are (TS 26.114 §6.2.2, §6.2.5, §7.3.1).

b=AS is for one direction, in kbit/s, with IP, UDP and RTP headers (RFC 3890 §1.1): what the dearest codec of the line
needs, since any of them may be used.  Gives the figures of TS 26.114 Annex K.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import Final

from kemi.core.sdp.codecs import AUXILIARY
from kemi.core.sdp.model import Codec, MediaDescription

PTIME_MS: Final = 20
_FRAME_MS: Final = 20
MAXPTIME_MS: Final = 240
"""Of AMR, AMR-WB and EVS: twelve frames (TS 26.114 §6.2.2)."""
_FRAMED: Final = frozenset({"amr", "amr-wb", "evs"})
_RTP_UDP_BYTES: Final = 12 + 8
_IP_BYTES: Final = {"IP4": 20, "IP6": 40}
_OPUS_BPS: Final = 64_000
"""Full-band speech or music of one channel in two (RFC 7587 §3.1.1)."""
_RTCP_BPS: Final = ("RS:600", "RR:2000")
"""Reports every few seconds are enough for speech; 0 would switch RTCP off, and with it our view of the quality."""
_RTCP_OF_VIDEO_BPS: Final = ("RS:600", "RR:5000")
"""With room for feedback: RR is that of TS 26.114 Annex A.15, where reports alone get 2500."""

# Speech bits of a frame by mode (TS 26.101 table 1, TS 26.201 table 2).
_AMR_BITS: Final = (95, 103, 118, 134, 148, 159, 204, 244)
_AMR_WB_BITS: Final = (132, 177, 253, 285, 317, 365, 397, 461, 477)
_NUMBER: Final = re.compile(r"[0-9]{1,7}")
_KBPS: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?")
_EVS_BYTES: Final = 320
"""Of a frame at 128 kbit/s, the highest rate; br= and bw= may say less."""


def audio_lines(media: MediaDescription, codecs: Iterable[Codec], connection: str | None) -> list[str]:
    """Write the b= lines of an audio line of ours."""
    speech = [codec for codec in codecs if codec.name not in AUXILIARY]
    family = (connection or "IN IP4").split()[1]
    ptime_ms = media.ptime_ms or PTIME_MS
    headers = _RTP_UDP_BYTES + _IP_BYTES.get(family.upper(), 20)
    packet = headers + max((_payload_bytes(codec, ptime_ms) for codec in speech), default=0)
    return [f"b=AS:{ceil(8 * packet / ptime_ms)}", *(f"b={value}" for value in _RTCP_BPS)]


def video_lines(media: MediaDescription, kbps: int) -> list[str]:
    """Write the b= lines of a video line of ours: those it has, and what it lacks of b=AS (``kbps``) and of RTCP's."""
    lines = [f"b={value}" for value in media.values("b")]
    said = {line.partition(":")[0] for line in lines}
    if "b=AS" not in said:
        lines.insert(0, f"b=AS:{kbps}")
    return lines + [f"b={value}" for value in _RTCP_OF_VIDEO_BPS if f"b={value[:2]}" not in said]


def packet_lines(media: MediaDescription, codecs: Iterable[Codec]) -> list[str]:
    """Write ptime and maxptime where the relay said nothing of them."""
    lines = [] if media.ptime_ms else [f"a=ptime:{PTIME_MS}"]
    if media.maxptime_ms is None and any(codec.name in _FRAMED for codec in codecs):
        lines.append(f"a=maxptime:{MAXPTIME_MS}")
    return lines


def _payload_bytes(codec: Codec, ptime_ms: int) -> int:
    return _PAYLOADS.get(codec.name, _samples)(codec, ptime_ms)


def _samples(_codec: Codec, ptime_ms: int) -> int:
    """G.711 and G.722: 64 kbit/s (RFC 3551 §4.5)."""
    return 8 * ptime_ms


def _amr(bits: tuple[int, ...]) -> Callable[[Codec, int], int]:
    def payload(codec: Codec, ptime_ms: int) -> int:
        """CMR, a table of contents and the speech of each frame (RFC 4867 §4.3, §4.4)."""
        parameters = codec.fmtp_parameters()
        named = [int(mode) for mode in _NUMBER.findall(parameters.get("mode-set", ""))]
        speech = bits[max((mode for mode in named if mode < len(bits)), default=len(bits) - 1)]
        frames = max(1, ptime_ms // _FRAME_MS)
        if parameters.get("octet-align") == "1":
            return 1 + frames * (1 + ceil(speech / 8))
        return ceil((4 + frames * (6 + speech)) / 8)

    return payload


def _opus(codec: Codec, ptime_ms: int) -> int:
    wanted = codec.fmtp_parameters().get("maxaveragebitrate", "")
    rate = int(wanted) if _NUMBER.fullmatch(wanted) else _OPUS_BPS
    return ceil(min(max(rate, 6_000), 510_000) * ptime_ms / 8000)


def _evs(codec: Codec, ptime_ms: int) -> int:
    """Header-full format: CMR and a table of contents before the frame (TS 26.445 §A.2.2)."""
    rate = codec.fmtp_parameters().get("br", "").rpartition("-")[2]
    frame = min(_EVS_BYTES, ceil(float(rate) * _FRAME_MS / 8)) if _KBPS.fullmatch(rate) else _EVS_BYTES
    return 1 + max(1, ptime_ms // _FRAME_MS) * (1 + frame)


_PAYLOADS: Final[Mapping[str, Callable[[Codec, int], int]]] = {
    "amr": _amr(_AMR_BITS),
    "amr-wb": _amr(_AMR_WB_BITS),
    "opus": _opus,
    "evs": _evs,
}
