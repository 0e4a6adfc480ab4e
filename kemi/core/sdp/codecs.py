"""Which payload types of a web offer cross the gateway.

Knows the codecs both worlds can speak (RFC 7874, RFC 7742; TS 26.114 §5.2) and the preferences among
variants of one codec.  Knows nothing of directions or transports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kemi.core.sdp.model import Codec, MediaDescription

WIC_AUDIO_CODECS: Final = ("opus", "pcma", "pcmu", "g722")
"""What the relay can turn into any IMS codec, best first.

Exactly one is kept per call: the codec pinned on the web side never changes with the IMS answer, so the
answer the
client already has stays true."""

IMS_AUDIO_CODECS: Final = frozenset({"opus", "amr-wb", "amr", "g722", "pcma", "pcmu"})
"""What the relay takes from the core and turns into Opus."""

DEFAULT_VIDEO_CODECS: Final = ("H264", "VP8")
"""Video is not transcoded: what IMS may take, in order (TS 26.114 §5.2.2 makes H.264 mandatory)."""

TELEPHONE_EVENT: Final = "telephone-event"
_RELAYED_EVENT_RATES: Final = (48000, 8000)
"""48 kHz goes with Opus, 8 kHz is what the relay offers on to IMS (RFC 4733 §2.1)."""

_CONSTRAINED_BASELINE_BIT: Final = 0x40
_BASELINE_IDC: Final = 0x42


def _is_baseline(codec: Codec, *, constrained: bool) -> bool:
    try:
        profile = bytes.fromhex(codec.fmtp_parameters().get("profile-level-id", "42e00a"))
    except ValueError:
        return False
    if len(profile) != 3 or profile[0] != _BASELINE_IDC:
        return False
    return not constrained or bool(profile[1] & _CONSTRAINED_BASELINE_BIT)


def _is_packetized(codec: Codec, mode: str) -> bool:
    return codec.fmtp_parameters().get("packetization-mode", "0") == mode


_ALL: Final = (lambda _codec: True,)
_VARIANTS: Final[Mapping[str, Sequence[Callable[[Codec], bool]]]] = {
    # RFC 6184 §8.1: constrained baseline is what every MMTel terminal decodes.
    "h264": (
        lambda codec: _is_baseline(codec, constrained=True),
        lambda codec: _is_baseline(codec, constrained=False),
    ),
    "vp9": (lambda codec: codec.fmtp_parameters().get("profile-id", "0") == "0",),
}
_FORMATS: Final[Mapping[str, Sequence[Callable[[Codec], bool]]]] = {
    # RFC 6184 §8.2.2: an answer cannot choose another packetization mode than its payload type was offered with, so
    # a far end that has only one of them has to be offered that one.
    "h264": (lambda codec: _is_packetized(codec, "1"), lambda codec: _is_packetized(codec, "0")),
}


def relayed_codecs(media: MediaDescription, video_codecs: Sequence[str]) -> tuple[Codec, ...]:
    """Choose the payload types the relay is offered, main codec first; nothing when there is none."""
    if media.kind == "audio":
        return _relayed_audio(media.codecs)
    chosen = []
    for name in map(str.lower, video_codecs):
        same = [codec for codec in media.codecs if codec.name == name]
        for is_format in _FORMATS.get(name, _ALL):
            best = _best_variant([codec for codec in same if is_format(codec)], name)
            chosen += [] if best is None else [best]
    return tuple(chosen)


def _relayed_audio(codecs: Sequence[Codec]) -> tuple[Codec, ...]:
    first = {codec.name: codec for codec in reversed(codecs)}
    for name in WIC_AUDIO_CODECS:
        if name in first:
            main = first[name]
            rates = _RELAYED_EVENT_RATES if main.clock_rate != 8000 else (8000,)
            events = {codec.clock_rate: codec for codec in reversed(codecs) if codec.name == TELEPHONE_EVENT}
            return (main, *(events[rate] for rate in rates if rate in events))
    return ()


def _best_variant(codecs: Sequence[Codec], name: str) -> Codec | None:
    for fits in _VARIANTS.get(name, _ALL):
        for codec in codecs:
            if fits(codec):
                return codec
    return None
