"""Can the gateway work with a web client's offer at all?

Knows what the eIMS-AGW needs of an m-line: WebRTC transport, ICE credentials, a certificate fingerprint, a
codec both worlds can carry.  Does not decide what is done with the line; the details are written for the
person who reads the Warning header field in the browser's console.

Candidates are not looked at: the relay is ICE-lite and learns the client's address from its connectivity
checks, so mDNS names, port 9 and 0.0.0.0 (an offer sent before gathering ended) are all fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError, WarnCode
from kemi.core.sdp.codecs import WIC_AUDIO_CODECS, relayed_codecs
from kemi.core.sdp.model import Codec, MediaDescription, SessionDescription

WIC_PROTOCOLS: Final = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"})
RELAYED_KINDS: Final = frozenset({"audio", "video"})
REPLACED: Final = "The {kind} line stops and another one begins, which takes two offers one after the other"
"""The relay has one call for each kind: that of the old line is over before the new one's begins."""


class Usability(NamedTuple):
    """Can an m-line be relayed, and how."""

    reason: str
    """Why not, as the end of a sentence; the empty string when it can."""
    codecs: tuple[Codec, ...]
    """What crosses the gateway; empty when nothing does."""
    warn_code: WarnCode = WarnCode.MISCELLANEOUS
    """What the reason is for a program."""


def inspect_lines(
    offer: SessionDescription, video_codecs: Sequence[str], audio_codecs: Sequence[str] = ()
) -> list[Usability]:
    """Look at each m-line."""
    return [_inspect(media, video_codecs, audio_codecs) for media in offer.media]


def refuse_unusable(offer: SessionDescription, usability: Sequence[Usability]) -> None:
    """Refuse an offer no m-line of which can be relayed, or all audio of which is unusable; ``usability`` is what
    inspect_lines found.

    Raises:
        NotAcceptableHere: with the reason of the first m-line that matters.
        RemoteProtocolError: two m-lines with the same mid (RFC 5888 §4).
    """
    check_mids(offer)
    reasons = [usable.reason for usable in usability]
    if not reasons:
        raise NotAcceptableHere("The offer has no media line")
    lines = list(zip(offer.media, usability, strict=True))
    audio = [found for media, found in lines if media.kind == "audio" and not media.rejected]
    if audio and all(found.reason for found in audio):
        raise NotAcceptableHere(f"The audio line {audio[0].reason}", warn_code=audio[0].warn_code)
    if all(reasons):
        media, found = next((line for line in lines if line[0].kind in RELAYED_KINDS), lines[0])
        raise NotAcceptableHere(
            f"The {media.kind} line {found.reason}, and there is no other audio or video line",
            warn_code=found.warn_code,
        )


def check_mids(description: SessionDescription) -> None:
    """Raise RemoteProtocolError when a mid names two m-lines."""
    mids = [mid for media in description.media if (mid := media.mid) is not None]
    if len(set(mids)) < len(mids):
        twice = next(mid for mid in mids if mids.count(mid) > 1)
        raise RemoteProtocolError(f"Two media lines have the mid {twice!r}")


def _inspect(media: MediaDescription, video_codecs: Sequence[str], audio_codecs: Sequence[str]) -> Usability:
    if media.kind not in RELAYED_KINDS:
        return Usability(
            f"carries {media.kind}, which is neither audio nor video", (), WarnCode.MEDIA_TYPE_NOT_AVAILABLE
        )
    if media.rejected:
        return Usability("is switched off (port 0)", ())
    if media.proto.upper() not in WIC_PROTOCOLS:
        return Usability(
            f"uses {media.proto}, WebRTC media comes as UDP/TLS/RTP/SAVPF",
            (),
            WarnCode.INCOMPATIBLE_TRANSPORT,
        )
    if not media.ice_ufrag or not media.ice_pwd:
        return Usability("has no ICE credentials (a=ice-ufrag, a=ice-pwd)", ())
    if not media.inherited("fingerprint"):
        return Usability("has no certificate fingerprint for DTLS-SRTP (a=fingerprint)", ())
    codecs = relayed_codecs(media, video_codecs, audio_codecs)
    if codecs:
        return Usability("", codecs)
    wanted = WIC_AUDIO_CODECS if media.kind == "audio" else video_codecs
    names = ", ".join(name.upper() for name in wanted)
    return Usability(f"offers none of the codecs {names}", (), WarnCode.INCOMPATIBLE_FORMAT)
