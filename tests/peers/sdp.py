"""Session descriptions of the scripted peers: sections, mirrored answers, sample offers.

Knows the line structure of SDP (RFC 8866) and what a page or an MMTel device would plausibly
answer (RFC 3264 §6, RFC 8829 §5.3). Must not know ICE, DTLS or RTP: transport attributes are
copied, never used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

AddedDirection = Literal["recvonly", "inactive", "sendrecv"]

MIRRORED: Final = {
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "sendrecv": "sendrecv",
    "inactive": "inactive",
}
"""Direction of an offer → the most an answer may say (RFC 3264 §6.1)."""

_CODEC_ATTRIBUTES = ("rtpmap", "fmtp", "rtcp-fb")
_TRANSPORT_ATTRIBUTES = ("ice-ufrag", "ice-pwd", "ice-options", "fingerprint")


@dataclass
class MediaSection:
    """One m-line with the lines below it."""

    lines: list[str]

    @property
    def kind(self) -> str:
        """audio, video, application."""
        return self._m_line[0]

    @property
    def port(self) -> int:
        """Port of the m-line; 0 is a rejected line."""
        return int(self._m_line[1].partition("/")[0])

    @property
    def protocol(self) -> str:
        """Transport protocol, as RTP/AVP."""
        return self._m_line[2]

    @property
    def formats(self) -> list[str]:
        """Payload types in the order of preference."""
        return self._m_line[3:]

    @property
    def _m_line(self) -> list[str]:
        return self.lines[0].removeprefix("m=").split()

    @property
    def direction(self) -> str:
        """Direction of the line; sendrecv when it says nothing (RFC 8866 §6.7)."""
        return next((d for d in MIRRORED if f"a={d}" in self.lines), "sendrecv")

    def attribute(self, name: str) -> str | None:
        """Return the first value of an attribute, "" for a flag, None when absent."""
        return next(iter(self.attributes(name)), None)

    def attributes(self, name: str) -> list[str]:
        """Return all values of an attribute."""
        return [line[len(name) + 3 :] for line in self.lines if re.match(rf"a={re.escape(name)}(:|$)", line)]

    def payload_type(self, codec: str) -> int | None:
        """Return the payload type of a codec name, static ones included."""
        static = {"PCMU": "0", "G722": "9", "PCMA": "8"}
        for value in self.attributes("rtpmap"):
            number, _, name = value.partition(" ")
            if name.split("/")[0].upper() == codec.upper() and number in self.formats:
                return int(number)
        number = static.get(codec.upper(), "")
        return int(number) if number in self.formats else None

    def codec_lines(self, payload_types: list[str]) -> list[str]:
        """Return the rtpmap, fmtp and rtcp-fb lines of these payload types."""
        pattern = re.compile(rf"a=({'|'.join(_CODEC_ATTRIBUTES)}):(\S+)")
        found = ((line, pattern.match(line)) for line in self.lines)
        return [line for line, match in found if match and match.group(2) in [*payload_types, "*"]]


@dataclass
class Sdp:
    """A session description, lossless by lines."""

    session: list[str]
    media: list[MediaSection] = field(default_factory=list)

    @property
    def bundle(self) -> list[str]:
        """Mids of the first BUNDLE group; empty without one."""
        return next(iter(self.bundles), [])

    @property
    def bundles(self) -> list[list[str]]:
        """Mids of each BUNDLE group."""
        return [line.split()[1:] for line in self.session if line.startswith("a=group:BUNDLE")]

    @property
    def address(self) -> str:
        """Connection address of the first m-line, else of the session."""
        lines = [*(self.media[0].lines if self.media else []), *self.session]
        return next((line.split()[2] for line in lines if line.startswith("c=")), "")

    def section(self, kind: str, index: int = 0) -> MediaSection:
        """Return the `index`-th m-line of a kind."""
        return [m for m in self.media if m.kind == kind][index]


def sdp_from_text(text: str) -> Sdp:
    """Parse a session description."""
    parsed = Sdp([])
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("m="):
            parsed.media.append(MediaSection([line]))
        elif line:
            (parsed.media[-1].lines if parsed.media else parsed.session).append(line)
    return parsed


def sdp_to_text(sdp: Sdp) -> str:
    """Print a session description."""
    lines = sdp.session + [line for media in sdp.media for line in media.lines]
    return "".join(f"{line}\r\n" for line in lines)


def answer_to(
    offer2: str,
    own_offer: str,
    *,
    first_answer: str = "",
    added: AddedDirection = "recvonly",
    version: int = 3,
) -> str:
    """Answer the gateway's UPDATE or re-INVITE offer as a page would.

    Lines of the page's own first offer come back as they were, with the mirrored direction;
    added lines get the page's ICE credentials and fingerprint and the direction `added`.

    Args:
        offer2: the gateway's offer.
        own_offer: the page's first offer, source of all transport attributes.
        first_answer: the gateway's first answer; it decided the DTLS role (RFC 8842 §5.5 keeps it).
        added: direction of added lines.
        version: session version of the page's second description.
    """
    theirs, ours = sdp_from_text(offer2), sdp_from_text(own_offer)
    role = _own_dtls_role(first_answer)
    answer = Sdp([_with_version(line, version) for line in ours.session if not line.startswith("a=group:")])
    for index, offered in enumerate(theirs.media):
        if offered.port == 0 and "a=bundle-only" not in offered.lines:
            lines = [f"m={offered.kind} 0 {offered.protocol} {' '.join(offered.formats)}"]
        elif index < len(ours.media):
            lines = _kept_line(ours.media[index], offered, role)
        else:
            lines = _added_line(ours.media[0], offered, role, added, port_offset=_port_offset(theirs, index))
        answer.media.append(MediaSection(lines))
    taken = [m.attribute("mid") or "" for m in answer.media if m.port]
    for group in theirs.bundles:
        if mids := [mid for mid in group if mid in taken]:
            answer.session.append(f"a=group:BUNDLE {' '.join(mids)}")
    return sdp_to_text(answer)


def offer_again(
    own: str,
    directions: Mapping[str, str] | None = None,
    *,
    off: Collection[str] = (),
    ice: str = "",
    added: Sequence[str] = (),
) -> str:
    """Offer anew as a page would: its description of before with the next version, and what it changes.

    Args:
        own: the page's last description.
        directions: mid → direction.
        off: mids of lines that are stopped, which get port 0.
        ice: a user fragment of an ICE restart; "" keeps the credentials.
        added: whole m-sections that follow.
    """
    offer = sdp_from_text(own)
    version = int(next(line for line in offer.session if line.startswith("o=")).split()[2])
    offer.session = [_with_version(line, version + 1) for line in offer.session]
    for section in offer.media:
        mid = section.attribute("mid") or ""
        direction = (directions or {}).get(mid, section.direction)
        section.lines = [line for line in section.lines if line[2:] not in MIRRORED] + [f"a={direction}"]
        section.lines = [re.sub("^a=setup:.*", "a=setup:actpass", line) for line in section.lines]
        if ice:
            section.lines = [re.sub("^a=ice-ufrag:.*", f"a=ice-ufrag:{ice}", line) for line in section.lines]
            pwd = f"a=ice-pwd:{ice:p<24}"
            section.lines = [re.sub("^a=ice-pwd:.*", pwd, line) for line in section.lines]
        if mid in off:
            section.lines[0] = re.sub(r" \d+ ", " 0 ", section.lines[0], count=1)
    gone = set(off)
    offer.session = [_group_without(line, gone) for line in offer.session]
    offer.media += [MediaSection(text.splitlines()) for text in added]
    return sdp_to_text(offer)


def _port_offset(theirs: Sdp, index: int) -> int:
    """Return by how much the port of a new line is above the page's first: lines of one group have one port."""
    mids = [section.attribute("mid") or "" for section in theirs.media]
    group = next((group for group in theirs.bundles if mids[index] in group), [mids[index]])
    return 2 * mids.index(group[0])


def _group_without(line: str, gone: Collection[str]) -> str:
    return (
        " ".join(word for word in line.split(" ") if word not in gone)
        if line.startswith("a=group:")
        else line
    )


def _own_dtls_role(first_answer: str) -> str:
    theirs = re.search(r"^a=setup:(\w+)", first_answer, re.M)
    return "active" if theirs is not None and theirs.group(1) == "passive" else "passive"


def _with_version(line: str, version: int) -> str:
    if not line.startswith("o="):
        return line
    words = line.split()
    words[2] = str(version)
    return " ".join(words)


def _kept_line(own: MediaSection, offered: MediaSection, role: str) -> list[str]:
    direction = _allowed(own.direction, MIRRORED[offered.direction])
    formats = [f for f in offered.formats if f in own.formats]
    kept = [f"m={own.kind} {own.port} {own.protocol} {' '.join(formats)}"]
    for line in own.lines[1:]:
        if line[2:] in MIRRORED:
            kept.append(f"a={direction}")
        elif line.startswith("a=setup:"):
            kept.append(f"a=setup:{role}")
        elif not re.match(r"a=(rtpmap|fmtp|rtcp-fb):", line):
            kept.append(line)
    return kept + own.codec_lines(formats)


def _added_line(
    own: MediaSection, offered: MediaSection, role: str, direction: str, *, port_offset: int
) -> list[str]:
    port = own.port + port_offset if port_offset else 9
    address = next((line for line in own.lines if line.startswith("c=")), "c=IN IP4 0.0.0.0")
    lines = [
        f"m={offered.kind} {port} {offered.protocol} {' '.join(offered.formats)}",
        address if port_offset else "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
    ]
    if port_offset:
        moved = (_moved_candidate(value, port_offset) for value in own.attributes("candidate"))
        lines += [f"a=candidate:{value}" for value in moved]
    lines += [f"a={name}:{value}" for name in _TRANSPORT_ATTRIBUTES for value in own.attributes(name)]
    lines += [f"a=setup:{role}", f"a=mid:{offered.attribute('mid') or ''}"]
    lines += [f"a={_allowed(direction, MIRRORED[offered.direction])}", "a=rtcp-mux", "a=rtcp-rsize"]
    return lines + offered.codec_lines(offered.formats)


def _moved_candidate(value: str, offset: int) -> str:
    words = value.split()
    words[5] = str(int(words[5]) + offset)
    return " ".join(words)


def _allowed(wanted: str, limit: str) -> str:
    ways = {"sendrecv": {"send", "recv"}, "sendonly": {"send"}, "recvonly": {"recv"}, "inactive": set[str]()}
    both = ways[wanted] & ways[limit]
    return next(name for name, value in ways.items() if value == both)


_FINGERPRINT = (
    "07:62:83:4A:12:C7:13:86:CA:9C:C0:04:95:A8:9A:B5:2D:F8:26:84:58:3F:21:66:37:82:AA:3A:02:5D:37:5A"
)
_PAGE_TRANSPORT = """c=IN IP4 {address}
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:2087155214 1 udp 2122194687 {address} {port} typ host generation 0 network-id 1
a=candidate:1235968890 1 tcp 1518285567 {address} 9 typ host tcptype active generation 0 network-id 1
a=ice-ufrag:8mon
a=ice-pwd:wA4CQ24PYRqosPb0v1SRgedx
a=ice-options:trickle
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:{mid}
"""
_PAGE_AUDIO = """m=audio {port} UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
{transport}a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a={direction}
a=msid:225b1fa8-284b-43a8-b756-68e1e1224837 9a2322ce-c993-487b-96e4-15b0959b2f9e
a=rtcp-mux
a=rtcp-rsize
a=rtcp-xr:rcvr-rtt=all
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:2238466194 cname:7CGz8SN3s5V+dwde
a=ssrc:2238466194 msid:225b1fa8-284b-43a8-b756-68e1e1224837 9a2322ce-c993-487b-96e4-15b0959b2f9e
"""
_PAGE_VIDEO = """m=video {port} UDP/TLS/RTP/SAVPF 96 97 103 104
{transport}a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a={direction}
a=msid:225b1fa8-284b-43a8-b756-68e1e1224837 5d0c1f66-3d3c-4f7d-9d4e-0d6e6a1c8f0a
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=rtcp-fb:103 ccm fir
a=rtcp-fb:103 nack
a=rtcp-fb:103 nack pli
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=ssrc-group:FID 1544215387 2873419017
a=ssrc:1544215387 cname:7CGz8SN3s5V+dwde
a=ssrc:2873419017 cname:7CGz8SN3s5V+dwde
"""


def page_offer(
    *,
    audio: str | None = "sendonly",
    video: str | None = None,
    bundle: bool = True,
    address: str = "192.0.2.2",
    port: int = 43158,
) -> str:
    """Return an offer as Chromium makes it, with the directions given; None leaves a line out.

    The transport lines are a real browser's, but nobody listens at `address`.
    """
    wanted = [(_PAGE_AUDIO, audio), (_PAGE_VIDEO, video)]
    fingerprint = ":".join(f"{7 * n % 256:02X}" for n in range(1, 33))
    lines = ""
    count = 0
    for template, direction in wanted:
        if direction is None:
            continue
        own_port = port + 2 * count
        transport = _PAGE_TRANSPORT.format(address=address, port=own_port, mid=count, fingerprint=fingerprint)
        lines += template.format(port=own_port, transport=transport, direction=direction)
        count += 1
    group = f"a=group:BUNDLE {' '.join(str(mid) for mid in range(count))}\n" if bundle else ""
    session = (
        "v=0\no=- 2288463797207013375 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"
        f"{group}a=extmap-allow-mixed\na=msid-semantic: WMS 225b1fa8-284b-43a8-b756-68e1e1224837\n"
    )
    return (session + lines).replace("\n", "\r\n")
