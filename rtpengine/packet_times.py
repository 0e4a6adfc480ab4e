"""How much sound is in a packet, where that is better not left to the two sides."""

from dataclasses import dataclass
from typing import Final

from rtpengine.capabilities import Version, capabilities

_SHORT_FRAME_MS: Final = 10
_USUAL_MS: Final = 20
_PTIMES_MS: Final = frozenset({10, 20, 30, 40, 60})
_FRAMED: Final = frozenset({"amr", "amr-wb", "g722"})
"""What rtpengine makes in packets of 20 ms alone. Told another length it sends nothing at all (AMR; from 12 on G.722,
too), and 10.5 ends with all its calls where AMR is to have less than 20 ms."""


@dataclass(frozen=True, slots=True)
class FarSpeech:
    """What IMS said of its audio: the names of its codecs, lower case, and its ptime, 0 where it gave none."""

    codecs: frozenset[str]
    ptime_ms: int = 0


PLACEHOLDER: Final = FarSpeech(frozenset())
"""What the far end is taken for before it answers. rtpengine keeps what it made ready for a codec then, and the length
of its frames: Opus can be made again, the others cannot."""


def packet_ms_of(
    wic_codec: str, far: FarSpeech, daemon_version: Version, *, digits: bool
) -> tuple[int, int] | None:
    """Return the milliseconds of audio in a packet to IMS and to the WIC; None: as they say themselves.

    `wic_codec` is "" where the WIC has not spoken yet: rtpengine settles the length with the offer to it.

    A far end's ptime is a wish (RFC 8866 §6.4): what is made in one length alone (AMR, G.722) comes in that.

    Where not `opus_takes_all_rates`, all that becomes Opus is resampled to 48 kHz first, which keeps samples back: the
    encoder has a frame of 20 ms together only with the next packet, and each call of a G.711 or AMR phone is heard
    20 ms later than it could be. Of frames of 10 ms one is complete at once.

    Where `passes_while_armed`, packets of different lengths keep audio that is armed for `digits` from being passed on:
    what is transcoded has a clock that digits are not lost by. Not G.722, of which there are no other lengths.
    """
    daemon = capabilities(daemon_version)
    framed = not _FRAMED.isdisjoint({wic_codec, *far.codecs})
    to_ims = far.ptime_ms if far.ptime_ms in _PTIMES_MS and not framed else _USUAL_MS
    if digits and daemon.passes_while_armed and wic_codec in far.codecs and wic_codec not in _FRAMED:
        return to_ims, _USUAL_MS if to_ims == _SHORT_FRAME_MS else _SHORT_FRAME_MS
    if wic_codec != "opus" or daemon.opus_takes_all_rates:
        return (to_ims, to_ims) if framed else None
    return to_ims, to_ims if "opus" in far.codecs else _SHORT_FRAME_MS
