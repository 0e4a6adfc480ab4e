"""Which payload types of a web offer cross the gateway.

Knows the codecs both worlds can speak (RFC 7874, RFC 7742; TS 26.114 §5.2) and the preferences among
variants of one codec.  Knows nothing of directions or transports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from kemi.core.sdp.model import Codec, MediaDescription

WIC_AUDIO_CODECS: Final = ("opus", "pcma", "pcmu", "g722", "evs")
"""What the relay can turn into any IMS codec, best first; EVS, of native clients, passes or is not there.

Exactly one is kept per call: the codec pinned on the web side never changes with the IMS answer, so the answer the
client already has stays true."""

IMS_AUDIO_CODECS: Final = frozenset({"opus", "amr-wb", "amr", "g722", "pcma", "pcmu"})
"""What the relay takes from the core and turns into Opus."""

PASSING_AUDIO: Final = frozenset({"evs"})
"""What the relay cannot transcode."""

DEFAULT_VIDEO_CODECS: Final = ("H264", "VP8")
"""Video is not transcoded: what IMS may take, in order (TS 26.114 §5.2.2 makes H.264 mandatory)."""

TELEPHONE_EVENT: Final = "telephone-event"
AUXILIARY: Final = frozenset({TELEPHONE_EVENT, "cn"})
"""What goes with a codec and is none."""
_EVENT_RATES: Final = {48000: (48000, 8000), 16000: (16000, 8000)}
"""By clock of the codec: its own, and 8 kHz, which the relay offers on to IMS (RFC 4733 §2.1)."""

_CONSTRAINED_BASELINE_BIT: Final = 0x40
_BASELINE_IDC: Final = 0x42


_UNREAD_AMR: Final = ("crc", "robust-sorting", "interleaving")
"""What a payload type of AMR may say that the relay does not understand (RFC 4867 §8.1)."""


class OnlyThese(tuple[str, ...]):
    """Audio codecs where nothing is transcoded: both sides have one of them in common, or no audio."""

    __slots__ = ()


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


def relayed_codecs(
    media: MediaDescription, video_codecs: Sequence[str], audio_codecs: Sequence[str] = ()
) -> tuple[Codec, ...]:
    """Choose the payload types the relay is offered, main codec first; nothing when there is none.

    What the operator offers the core first the client is to speak, too, if it can: that passes through.
    """
    if media.kind != "audio":
        return _relayed_video(media.codecs, tuple(video_codecs))
    if isinstance(audio_codecs, OnlyThese):
        return _relayed_audio(media.codecs, tuple(audio_codecs))
    wish = [name for name in audio_codecs[:1] if name.lower() in WIC_AUDIO_CODECS]
    return _relayed_audio(media.codecs, (*wish, *WIC_AUDIO_CODECS))


@lru_cache(maxsize=64)
def _relayed_video(codecs: tuple[Codec, ...], names: tuple[str, ...]) -> tuple[Codec, ...]:
    """Choose once for all calls of one browser: its codecs are the same in each."""
    chosen = []
    for name in map(str.lower, names):
        same = [codec for codec in codecs if codec.name == name]
        for is_format in _FORMATS.get(name, _ALL):
            best = _best_variant([codec for codec in same if is_format(codec)], name)
            chosen += [] if best is None else [best]
    return tuple(chosen)


@lru_cache(maxsize=64)
def _relayed_audio(codecs: tuple[Codec, ...], names: tuple[str, ...]) -> tuple[Codec, ...]:
    """The same for audio: one codec, with its telephone-events."""
    first = {codec.name: codec for codec in reversed(codecs)}
    for name in map(str.lower, names):
        if name in first:
            main = first[name]
            rates = _EVENT_RATES.get(main.clock_rate, (8000,))
            events = {codec.clock_rate: codec for codec in reversed(codecs) if codec.name == TELEPHONE_EVENT}
            return (main, *(events[rate] for rate in rates if rate in events))
    return ()


def passing_and_others(codecs: Sequence[Codec]) -> tuple[tuple[Codec, ...], tuple[Codec, ...]]:
    """Split audio codecs into what only passes, with the telephone-events of its clock, and what is transcoded.

    A relay that transcodes keeps nothing that it cannot transcode, so one call has either these or those.
    """
    passing = [codec for codec in codecs if codec.name in PASSING_AUDIO]
    rates = {codec.clock_rate for codec in passing}
    events = [codec for codec in codecs if codec.name == TELEPHONE_EVENT and codec.clock_rate in rates]
    others = tuple(codec for codec in codecs if codec.name not in PASSING_AUDIO)
    return ((*passing, *events) if passing else ()), others


def is_unread(codec: Codec) -> bool:
    """Whether a codec is in a payload format that the relay neither reads nor writes: AMR with CRCs, interleaved or
    sorted (RFC 4867 §4.4)."""
    if codec.name not in ("amr", "amr-wb"):
        return False
    parameters = codec.fmtp_parameters()
    return any(parameters.get(name, "0") != "0" for name in _UNREAD_AMR)


def in_order(codecs: Sequence[Codec], audio_codecs: Sequence[str]) -> list[Codec]:
    """Put audio codecs in the operator's order; what is not named follows as it was, telephone-events come last."""
    names = (name.lower().removesuffix("-oa") for name in audio_codecs)
    rank = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return sorted(codecs, key=lambda one: (one.name in AUXILIARY, rank.get(one.name, len(rank))))


def _best_variant(codecs: Sequence[Codec], name: str) -> Codec | None:
    for fits in _VARIANTS.get(name, _ALL):
        for codec in codecs:
            if fits(codec):
                return codec
    return None
