"""Which video each side is told to send: codec, H.264 level and packetization mode, bandwidth.

Nobody transcodes video, so a side has to send what the other one takes.  The relay leaves payload types of video as
they are; that number says best which of several H.264 formats the far end means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from kemi.core.sdp.build import codec_to_lines, media_description
from kemi.core.sdp.codecs import TELEPHONE_EVENT
from kemi.core.sdp.index import OF_CODECS
from kemi.core.sdp.interwork.orientation import orientation_lines, with_orientation_of
from kemi.core.sdp.model import Codec, MediaDescription
from kemi.core.sdp.text import sdp_from_text

_PLI: Final = "nack pli"
_FIR: Final = "ccm fir"
_KEY_FRAMES: Final = (_PLI, _FIR)
"""RFC 4585, RFC 5104."""
_LEVEL_1B: Final = 0x0B
_CONSTRAINT_SET_3: Final = 0x10
_PROFILE_LEVEL_ID: Final = "profile-level-id"
_THREE_BYTES: Final = re.compile(r"[0-9a-fA-F]{6}")
_LEVEL_1: Final = 10.0
"""What stands for a missing profile-level-id (RFC 6184 §8.1)."""
_KBPS: Final = ((10.0, 64), (10.5, 128), (11.0, 192), (12.0, 384), (13.0, 768))
"""Levels of H.264 below 2 and their highest bit rate (Rec. ITU-T H.264 table A-1)."""
_MOST_KBPS: Final = 2000
"""Level 2; browsers send no more for the pictures of a call, whatever level they name."""
_OVERHEAD: Final = 1 + 40 / 1200
"""IP, UDP and RTP of a packet, which b=AS counts too (RFC 4566 §5.8, TS 26.114 §6.2.5.2)."""


def h264_level(codec: Codec) -> float:
    """Return the level of an H.264 format times ten: 12 is level 1.2, 10.5 is level 1b."""
    try:
        profile = bytes.fromhex(codec.fmtp_parameters().get(_PROFILE_LEVEL_ID, ""))
    except ValueError:
        return _LEVEL_1
    if len(profile) != 3:
        return _LEVEL_1
    if profile[2] == _LEVEL_1B and profile[1] & _CONSTRAINT_SET_3:
        return 10.5
    return float(profile[2])


def bandwidth_kbps(codecs: Sequence[Codec]) -> int:
    """Return what video of these formats needs at most, for b=AS."""
    most = 0
    for codec in codecs:
        level = h264_level(codec) if codec.name == "h264" else math.inf
        most = max(most, next((kbps for highest, kbps in _KBPS if level <= highest), _MOST_KBPS))
    return math.ceil(most * _OVERHEAD)


def fitted_line(media: MediaDescription, codec: str, far: str = "", own: str = "") -> MediaDescription:
    """Write a client's video line so that it sends what the far end takes; the same line where it does already.

    Args:
        codec: the far end's, lower case; where the client has it not, nothing changes.
        far: the far end's line alone.  Of it count which format it means, a lower H.264 level (RFC 6184 §8.2.2: what
            it can decode), b=AS or b=TIAS, that it takes FIR alone, and whether the client may say how its pictures
            are turned (orientation.py).
        own: the client's line alone, as the relay knows it.  It has the formats that the client can be offered again
            (RFC 3264 §8.3.2) where ``media`` was written for another codec; "" is no more than ``media`` has.
    """
    if media.kind != "video":
        return media
    described = next(iter(sdp_from_text(far).media), None) if far else None
    wanted = next((own for own in described.codecs if own.name == codec), None) if described else None
    formats = [known for known in media.codecs if known.name != TELEPHONE_EVENT]
    same = [known for known in formats if known.name == codec]
    if own:
        same += [known for known in _further(own, media.formats) if known.name == codec]
    if not same:
        return media
    if described is not None:
        media = with_orientation_of(described, media)
    exact = [known for known in same if wanted is not None and known.payload_type == wanted.payload_type]
    alike = [known for known in same if wanted is not None and _mode(known) == _mode(wanted)]
    right = (exact or alike or same)[0]
    body = list(media.body)
    names = media.formats
    if formats[0] != right:
        names = (right.payload_type,)
        body = [line for line in body if not _is_of_other_format(line, names)]
        if right not in formats:
            body += codec_to_lines(right)
    if wanted is not None and _FIR in wanted.feedback and _PLI not in wanted.feedback:
        body = [line for line in body if not (line.startswith("a=rtcp-fb:") and line.endswith(f" {_PLI}"))]
    if wanted is not None and codec == "h264" and h264_level(wanted) < h264_level(right):
        body = [_lowered(line, right, wanted) for line in body]
    allowed = _allowed_kbps(described) if described is not None else None
    if allowed is not None:
        body = [line for line in body if not line.startswith("b=")]
        place = next((number for number, line in enumerate(body) if not line.startswith(("i=", "c="))), 0)
        body.insert(place, f"b=AS:{allowed}")
    if names == media.formats and body == list(media.body):
        return media
    return media_description(media.kind, media.port, media.proto, names, body)


def demands(far: str, codec: str) -> tuple[object, ...]:
    """Return what fitted_line heeds of a far end's line, for comparison; "" has none."""
    described = next(iter(sdp_from_text(far).media), None) if far else None
    if described is None:
        return ()
    wanted = next((own for own in described.codecs if own.name == codec), None)
    return wanted, _allowed_kbps(described), orientation_lines(described)


def _allowed_kbps(line: MediaDescription) -> int | None:
    """Return what a line allows, for b=AS: browsers know no b=TIAS, which leaves the headers out (RFC 3890 §6.2)."""
    bandwidth = line.bandwidth
    if "AS" in bandwidth or "TIAS" not in bandwidth:
        return bandwidth.get("AS")
    return math.ceil(bandwidth["TIAS"] / 1000 * _OVERHEAD)


def _further(line: str, formats: Sequence[str]) -> list[Codec]:
    """Return the codecs of a line alone whose numbers are none of ``formats``."""
    return [codec for codec in sdp_from_text(line).media[0].codecs if codec.payload_type not in formats]


def _mode(codec: Codec) -> str:
    return codec.fmtp_parameters().get("packetization-mode", "0")


def _lowered(line: str, right: Codec, wanted: Codec) -> str:
    """Give a format the far end's level and leave its profile: that has to stay the same (RFC 6184 §8.2.2)."""
    start = f"a=fmtp:{right.payload_type} "
    if not line.startswith(start):
        return line
    own = right.fmtp_parameters().get(_PROFILE_LEVEL_ID, "42000a")
    far = wanted.fmtp_parameters().get(_PROFILE_LEVEL_ID, "42000a")
    if not (_THREE_BYTES.fullmatch(own) and _THREE_BYTES.fullmatch(far)):
        return line
    constraints = int(own[2:4], 16) & ~_CONSTRAINT_SET_3 | int(far[2:4], 16) & _CONSTRAINT_SET_3
    kept = [part for part in right.fmtp.split(";") if part.partition("=")[0].strip() != _PROFILE_LEVEL_ID]
    return start + ";".join([*kept, f"{_PROFILE_LEVEL_ID}={own[:2]}{constraints:02x}{far[4:]}"])


def _is_of_other_format(line: str, formats: Sequence[str]) -> bool:
    name, _, value = line.partition(":")
    return name in OF_CODECS and value.split(" ", 1)[0] not in (*formats, "*")


def passing_video(codecs: Sequence[Codec], known: MediaDescription) -> list[Codec]:
    """Return those of a far end's video codecs that pass: the relay translates no payload type of video, so they need
    the numbers that ``known`` has, the client's line or what was offered for it."""
    numbers = {(codec.payload_type, codec.name) for codec in known.codecs}
    return [codec for codec in codecs if (codec.payload_type, codec.name) in numbers]


def promising_key_frames(source: MediaDescription) -> MediaDescription:
    """Add to a video line what is needed to ask for key frames, where the far end has promised neither PLI nor FIR.

    A browser asks nobody who has not promised; and towards RTP/AVP without these lines the relay takes all feedback out
    of RTCP (rtpengine 10.5 knows no "*" there).  Devices obey it nevertheless, or leave alone what they do not know.
    """
    promised = {value for codec in source.codecs for value in codec.feedback}
    if source.kind != "video" or not promised.isdisjoint(_KEY_FRAMES):
        return source
    lines = [f"a=rtcp-fb:{number} {value}" for number in source.formats for value in _KEY_FRAMES]
    body = (*source.body, *lines)
    line = media_description(source.kind, source.port, source.proto, source.formats, body)
    return MediaDescription(line.lines, line.kind, line.port, line.proto, line.formats, source.session)
