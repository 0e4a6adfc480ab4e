"""Just enough SDP for these tests: one m-line out of a browser's offer, and answers to what rtpengine offers."""

from pathlib import Path
from typing import Final, NamedTuple

_OFFERS: Final = Path(__file__).parent / "offers"
_DROPPED: Final = ("a=group", "a=extmap", "a=msid", "a=ssrc", "a=candidate", "a=rtcp-xr", "a=rtcp-rsize")
_DIRECTIONS: Final = ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive")
_STATIC: Final = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}


class Section(NamedTuple):
    """An m-line and its lines."""

    lines: tuple[str, ...]

    @property
    def port(self) -> int:
        """Port of the m-line."""
        return int(self.lines[0].split()[1])

    @property
    def protocol(self) -> str:
        """Transport protocol of the m-line."""
        return self.lines[0].split()[2]

    @property
    def formats(self) -> list[str]:
        """Payload types of the m-line."""
        return self.lines[0].split()[3:]

    @property
    def codecs(self) -> dict[str, str]:
        """Payload type → name/rate[/channels], in the order of the m-line."""
        maps = [
            line.removeprefix("a=rtpmap:").split(" ", 1)
            for line in self.lines
            if line.startswith("a=rtpmap:")
        ]
        known = _STATIC | dict(maps)
        return {payload_type: known[payload_type] for payload_type in self.formats}

    def values(self, attribute: str) -> list[str]:
        """Values of an attribute, in order."""
        start = f"a={attribute}:"
        return [line.removeprefix(start) for line in self.lines if line.startswith(start)]


def sections(sdp: str) -> list[Section]:
    """Split SDP into its m-sections."""
    parts = sdp.replace("\r\n", "\n").split("\nm=")[1:]
    return [Section(tuple(f"m={part}".strip().split("\n"))) for part in parts]


def section(sdp: str) -> Section:
    """Return the only m-section."""
    (only,) = sections(sdp)
    return only


def _kept(lines: tuple[str, ...], formats: list[str]) -> list[str]:
    kept = [" ".join([*lines[0].split()[:3], *formats])]
    for line in lines[1:]:
        about_format = line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"))
        if not about_format or line.split(":", 1)[1].split()[0] in formats:
            kept.append(line)
    return kept


def _join(lines: list[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


def browser_offer(name: str, medium: str, *codecs: str) -> str:
    """Return one medium of a recorded browser offer, with these codecs only and in both directions."""
    (wanted,) = (
        part for part in sections((_OFFERS / name).read_text()) if part.lines[0].startswith(f"m={medium}")
    )
    formats = [number for number, codec in _all_codecs(wanted).items() if codec.split("/")[0] in codecs]
    lines = [
        line
        for line in _kept(wanted.lines, formats)
        if not line.startswith(_DROPPED)
        and line not in _DIRECTIONS
        and not line.endswith(("transport-cc", "goog-remb"))
    ]
    return _join(["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", *lines, "a=sendrecv"])


def _all_codecs(part: Section) -> dict[str, str]:
    return {number: codec for number, codec in part.codecs.items() if number in part.formats}


def plain_offer(host: str, port: int) -> str:
    """Return an offer with the codecs of a browser, over plain RTP."""
    return _join(
        [
            "v=0",
            f"o=- 1 1 IN IP4 {host}",
            "s=-",
            "t=0 0",
            f"m=audio {port} RTP/AVP 111 110 126",
            f"c=IN IP4 {host}",
            "a=mid:0",
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 minptime=10;useinbandfec=1",
            "a=rtpmap:110 telephone-event/48000",
            "a=rtpmap:126 telephone-event/8000",
            "a=sendrecv",
        ]
    )


def answer_to(offer: str, *codecs: str, host: str, port: int = 9) -> str:
    """Answer an offer of rtpengine with codecs by name ("PCMA/8000": the first of it) or payload type ("97").

    None named: with all of it.
    """
    offered = section(offer)
    first_of = {codec: number for number, codec in reversed(offered.codecs.items())}
    wanted = {first_of.get(codec, codec) for codec in codecs}
    formats = [number for number in offered.formats if not codecs or number in wanted]
    first, *rest = _kept(offered.lines, formats)
    words = first.split()
    body = [line for line in rest if line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=mid:"))]
    head = ["v=0", f"o=ims 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    return _join([*head, " ".join([words[0], str(port), *words[2:]]), *body, "a=sendrecv"])


def reverse_answer_to(reverse_offer: str, host: str, port: int) -> str:
    """Answer the reverse offer as a WIC over plain RTP does."""
    ((number, codec),) = section(reverse_offer).codecs.items()
    head = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    return _join([*head, f"m=audio {port} RTP/AVP {number}", f"a=rtpmap:{number} {codec}", "a=recvonly"])


def renumbered(sdp: str, numbers: dict[str, str]) -> str:
    """Give payload types of a one-m-line SDP other numbers."""
    lines = []
    for line in sdp.splitlines():
        head, separator, rest = line.partition(":")
        if line.startswith("m="):
            words = line.split()
            lines.append(" ".join(words[:3] + [numbers.get(word, word) for word in words[3:]]))
        elif head in {"a=rtpmap", "a=fmtp", "a=rtcp-fb"}:
            number, _, value = rest.partition(" ")
            lines.append(f"{head}{separator}{numbers.get(number, number)} {value}")
        else:
            lines.append(line)
    return _join(lines)
