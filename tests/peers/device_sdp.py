"""What an MMTel device behind the core says in SDP: one m-line per kind, RTP/AVP.

Knows codec choice and direction (RFC 3264 §6). Must not know RTP packets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.peers.sdp import MIRRORED, MediaSection, sdp_from_text

_STATIC: Final = {"PCMU": (0, 8000), "PCMA": (8, 8000), "G722": (9, 8000)}
_DYNAMIC: Final = {
    "opus": (98, "48000/2"),
    "AMR": (97, "8000"),
    "AMR-WB": (104, "16000"),
    "VP8": (99, "90000"),
    "H264": (102, "90000"),
}


_ORIENTATION: Final = "urn:3gpp:video-orientation"


class NoCommonCodecError(ValueError):
    """The offer lacks the codec this device was told to use."""


SOME_KEY: Final = "AES_CM_128_HMAC_SHA1_80 inline:" + "QUJD" * 10
"""Of a device that takes keys and says nothing."""


@dataclass(frozen=True)
class DeviceMedia:
    """Codecs and ports of one device; `video=None` refuses video with port 0."""

    address: str = "127.0.0.1"
    audio_port: int = 40000
    audio: str = "PCMA"
    video: str | None = None
    video_port: int = 40002
    direction: str = "sendrecv"
    telephone_event: bool = True
    event_number: int | None = None
    """Another payload type for telephone-events than it was offered (RFC 3264 §6.1 lets it)."""
    version: int = 1
    feedback: tuple[str, ...] = ()
    """What its video says in rtcp-fb; devices that say nothing obey it nevertheless."""
    avpf: bool = False
    """It knows RTP/AVPF and how that is negotiated (RFC 5939, TS 26.114 §6.2.3)."""
    orientation: bool = False
    """Its video is not turned: the packets say how it is to be (TS 26.114 §7.4.5)."""
    crypto: str = ""
    """Suite and key of a crypto attribute (RFC 4568), for answers to RTP/SAVP; with it an offer is one of RTP/SAVP."""
    protocol: str = ""
    """Another protocol than it was offered, which no answer may name (RFC 3264 §6)."""

    def codec(self, kind: str) -> str | None:
        """Codec for a kind of m-line; None refuses it."""
        return {"audio": self.audio or None, "video": self.video}.get(kind)

    def port(self, kind: str) -> int:
        """RTP port for a kind of m-line."""
        return {"audio": self.audio_port, "video": self.video_port}[kind]


def device_answer(offer: str, media: DeviceMedia) -> str:
    """Answer an offer of the gateway with exactly one codec per accepted line.

    Raises:
        NoCommonCodecError: the device's codec was not offered.
    """
    lines = _session_lines(media)
    for offered in sdp_from_text(offer).media:
        codec = media.codec(offered.kind)
        if codec is None or offered.port == 0:
            lines.append(f"m={offered.kind} 0 {offered.protocol} {' '.join(offered.formats)}")
            continue
        lines += _answer_line(offered, codec, media)
    return _text(lines)


def device_offer(media: DeviceMedia) -> str:
    """Return an offer of the device itself."""
    lines = _session_lines(media)
    for kind in ("audio", "video"):
        codec = media.codec(kind)
        if codec is None:
            continue
        number, clock = _STATIC[codec] if codec in _STATIC else _DYNAMIC[codec]
        events = kind == "audio" and media.telephone_event
        protocol = "RTP/SAVP" if media.crypto else "RTP/AVP"
        lines.append(f"m={kind} {media.port(kind)} {protocol} {number}{' 101' if events else ''}")
        lines += [f"a=crypto:1 {media.crypto}"] if media.crypto else []
        lines.append(f"a=rtpmap:{number} {codec}/{clock}")
        if codec == "H264":
            lines.append(f"a=fmtp:{number} profile-level-id=42e01f;packetization-mode=1")
        if kind == "video":
            lines += ["a=tcap:1 RTP/AVPF", "a=pcfg:1 t=1"] if media.avpf else []
            lines += _video_lines(media, number, (7,))
        if events:
            lines += ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"]
        lines.append(f"a={media.direction}")
    return _text(lines)


def _session_lines(media: DeviceMedia) -> list[str]:
    return [
        "v=0",
        f"o=device 7001 {media.version} IN IP4 {media.address}",
        "s=-",
        f"c=IN IP4 {media.address}",
        "t=0 0",
    ]


def _answer_line(offered: MediaSection, codec: str, media: DeviceMedia) -> list[str]:
    number = offered.payload_type(codec)
    if number is None:
        raise NoCommonCodecError(f"{codec} not in {offered.lines[0]!r}")
    numbers = [str(number)]
    maps, renumbered = offered.attributes("rtpmap"), ("", "")
    clock = next((value.split("/")[1] for value in maps if value.split()[0] == numbers[0]), "8000")
    for value in maps:
        event, _, name = value.partition(" ")
        if media.telephone_event and name.startswith(f"telephone-event/{clock}"):
            numbers.append(event)
            renumbered = (event, str(media.event_number or event))
    limit = MIRRORED[offered.direction]
    direction = media.direction if limit == "sendrecv" else limit
    liked_better = media.avpf and "1 t=1" in offered.attributes("pcfg")
    protocol = media.protocol or ("RTP/AVPF" if liked_better else offered.protocol)
    return [
        f"m={offered.kind} {media.port(offered.kind)} {protocol} "
        f"{' '.join(renumbered[1] if one == renumbered[0] else one for one in numbers)}",
        *(["a=acfg:1 t=1"] if liked_better else []),
        *(
            line.replace(f":{renumbered[0]} ", f":{renumbered[1]} ")
            for line in offered.codec_lines(numbers)
            if not line.startswith("a=rtcp-fb")
        ),
        *(_video_lines(media, number, orientation_numbers(offered)) if offered.kind == "video" else ()),
        *(f"a=crypto:{tag} {media.crypto}" for tag in _crypto_tags(offered, media.crypto)),
        f"a={direction}",
    ]


def _crypto_tags(offered: MediaSection, crypto: str) -> list[str]:
    """Return the tag under which the suite of ours was offered (RFC 4568 §5.1.2)."""
    found = (value.split()[:2] for value in offered.attributes("crypto"))
    return [tag for tag, suite in found if suite == crypto.partition(" ")[0]][:1]


def _video_lines(media: DeviceMedia, number: int, extensions: Iterable[int]) -> list[str]:
    lines = [f"a=rtcp-fb:{number} {value}" for value in media.feedback]
    return [*lines, *(f"a=extmap:{one} {_ORIENTATION}" for one in extensions if media.orientation)]


def orientation_numbers(section: MediaSection) -> list[int]:
    """Return under which number the section has the extension for turned pictures: one, or none."""
    pairs = (value.split() for value in section.attributes("extmap"))
    return [int(number) for number, name in pairs if name == _ORIENTATION]


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)
