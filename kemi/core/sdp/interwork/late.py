"""An INVITE of the core without an offer: we offer both sides, and nobody has chosen a codec yet.

The relay and the client are given a stand-in for the offer the core has not made, with everything the relay can do.
What the core gets as our offer has the same payload types, so that its answer fits what the relay knows.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from kemi.core.sdp.build import (
    address_to_text,
    media_description,
    off_line,
    session_description,
    session_section,
)
from kemi.core.sdp.codecs import TELEPHONE_EVENT
from kemi.core.sdp.interwork.ims import core_line
from kemi.core.sdp.interwork.incoming import CoreLine
from kemi.core.sdp.interwork.relay import only_line
from kemi.core.sdp.model import Codec, Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_DISCARD_PORT: Final = 9
_AMR: Final = "mode-change-capability=2;max-red=0"
_AUDIO: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        # name in the settings: payload type, rtpmap, fmtp (RFC 4867 §8, RFC 7587 §7; RFC 3551 §6)
        "opus": ("96", "opus/48000/2", "useinbandfec=1"),
        "amr-wb": ("97", "AMR-WB/16000/1", _AMR),
        "amr-wb-oa": ("98", "AMR-WB/16000/1", f"octet-align=1;{_AMR}"),
        "amr": ("99", "AMR/8000/1", _AMR),
        "amr-oa": ("100", "AMR/8000/1", f"octet-align=1;{_AMR}"),
        "g722": ("9", "G722/8000", ""),
        "pcma": ("8", "PCMA/8000", ""),
        "pcmu": ("0", "PCMU/8000", ""),
    }
)
_EVENTS: Final = {"8000": "101", "16000": "102", "48000": "103"}
"""Clock rate -> payload type of the telephone-events that go with it (RFC 4733 §2.1); G722's is 8000."""
_H264: Final = "profile-level-id=42e01f;level-asymmetry-allowed=1"
_VIDEO: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "h264": ("104", "H264/90000", f"{_H264};packetization-mode=1"),
        "vp8": ("105", "VP8/90000", ""),
        "vp9": ("106", "VP9/90000", ""),
    }
)
_FEEDBACK: Final = ("nack pli", "ccm fir")
_SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
_KEY_OCTETS: Final = 30
"""Key and salt (RFC 4568 §6.2)."""


def stand_in_offer(
    audio_codecs: Sequence[str], video_codecs: Sequence[str], origin: Origin, *, keyed: bool = False
) -> SessionDescription:
    """Write what the core might have offered: all codecs, in the operator's order; video only where there are any.

    ``keyed``: as a far end with keys in SDP (RFC 4568), which is offered keys, too.
    """
    connection = address_to_text(origin.address)
    keys = _stand_in_keys(origin) if keyed else []
    lines = [_line("audio", [_AUDIO[name.lower()] for name in audio_codecs if name.lower() in _AUDIO], keys)]
    video = [_VIDEO[name.lower()] for name in video_codecs if name.lower() in _VIDEO]
    if video:
        lines.append(_line("video", video, keys))
    return session_description(session_section(origin, connection=connection), lines)


def _stand_in_keys(origin: Origin) -> list[str]:
    """Return a key under which nobody sends; the far end brings its own before it is heard."""
    key = sha256(str(origin.session_id).encode()).digest()[:_KEY_OCTETS]
    return [f"a=crypto:1 {_SUITE} inline:{b64encode(key).decode()}"]


def _line(kind: str, codecs: list[tuple[str, str, str]], keys: Sequence[str]) -> MediaDescription:
    if kind == "audio":
        rates = dict.fromkeys(encoding.split("/")[1] for _, encoding, _ in codecs)
        codecs += [(_EVENTS[rate], f"{TELEPHONE_EVENT}/{rate}", "0-15") for rate in rates]
    body = []
    for payload_type, encoding, fmtp in codecs:
        body.append(f"a=rtpmap:{payload_type} {encoding}")
        if kind == "video":
            body += [f"a=rtcp-fb:{payload_type} {value}" for value in _FEEDBACK]
        if fmtp:
            body.append(f"a=fmtp:{payload_type} {fmtp}")
    formats = [payload_type for payload_type, _, _ in codecs]
    proto = "RTP/SAVP" if keys else "RTP/AVP"
    return media_description(kind, _DISCARD_PORT, proto, formats, [*keys, *body, "a=sendrecv"])


def core_offer(
    stand_in: SessionDescription,
    lines: Sequence[CoreLine],
    directions: Mapping[str, Direction],
    client_lines: Mapping[str, str],
    relay_answers: Mapping[str, str],
    origin: Origin,
    *,
    transcoding: bool = True,
) -> SessionDescription:
    """Offer the core what the client has taken; a medium it refused keeps its line with port 0 (RFC 3264 §5.1).

    Args:
        stand_in: what the client's offer was made of.
        directions: the client's, per kind.
        client_lines: the client's line for the relay, per kind it took: of what is not to be transcoded the core is
            offered no codec but the client's.
        relay_answers: the relay's answer to the stand-in, per kind the client took: where it listens for the core.
        transcoding: whether the relay transcodes audio; never video.
    """
    sources = {kind: only_line(sdp_from_text(text)) for kind, text in relay_answers.items()}
    connection = next(source.connection for source in sources.values())
    media = []
    for line in lines:
        offered = stand_in.media[line.place]
        source = sources.get(line.kind)
        if source is None:
            media.append(off_line(offered))
            continue
        codecs = list(offered.codecs)
        if line.kind == "video" or not transcoding:
            codecs = _common(codecs, sdp_from_text(client_lines[line.kind]).media[0].codecs)
        own = None if source.connection == connection else source.connection
        direction = directions[line.kind]
        media.append(core_line(source, source.port, offered.proto, codecs, direction, own))
    return session_description(session_section(origin, connection=connection), media)


def _common(offered: Sequence[Codec], taken: Sequence[Codec]) -> list[Codec]:
    """Keep codecs that were taken; of telephone-events those that go with one of them (RFC 4733 §2.1)."""
    names = {codec.name for codec in taken}
    common = [codec for codec in offered if codec.name in names]
    rates = {codec.clock_rate for codec in common if codec.name != TELEPHONE_EVENT}
    return [codec for codec in common if codec.clock_rate in rates]
