"""What the media relay is told: plain web offers, and a stand-in for the answer IMS has not given yet.

One relay session carries one medium, so every text here has exactly one m-line.  Knows what rtpengine 10.5
to 26 does with an attribute; knows nothing of SIP flows.  Attributes cross by list: what is not named here
does not leave the web side (TS 23.228 §U.1.1 has media multiplexing removed at the entry of IMS).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.build import codec_to_lines, media_description
from kemi.core.sdp.codecs import AUXILIARY, PASSING_AUDIO, TELEPHONE_EVENT
from kemi.core.sdp.index import CODEC_LINES
from kemi.core.sdp.interwork.orientation import orientation_lines
from kemi.core.sdp.judge import MediumPlan
from kemi.core.sdp.model import (
    Codec,
    Direction,
    Fingerprint,
    MediaDescription,
    SessionDescription,
    SessionSection,
)
from kemi.core.sdp.text import sdp_from_text

# What devices know, too (RFC 4585, RFC 5104).  Feedback for bandwidth estimation between two WebRTC ends must not be
# promised by a relay that terminates SRTP, whatever it is called next: transport-cc, goog-remb, ack ccfb (RFC 8888).
_PASSING_FEEDBACK: Final = frozenset({"nack", "nack pli", "ccm fir", "ccm tmmbr"})
_DIRECTION: Final = re.compile(r"^a=(?:sendonly|recvonly|inactive)(?=\r?$)", re.MULTILINE)
_ORIGIN: Final = re.compile(r"\S+ \d+ \d+ IN IP[46] \S+ *", re.ASCII)
_DYNAMIC: Final = range(96, 128)
_DISCARD_PORT: Final = 9
_PREFERRED_HASH: Final = "sha-256"
_PLACEHOLDER_CODEC: Final = "pcma"


def relay_offer(offer: SessionDescription, plan: MediumPlan) -> str:
    """Write the ng ``offer`` of one medium: one two-way m-line with the pinned codecs.

    Always sendrecv: the relay is set up both ways before either side knows, gates hold the media back.
    """
    media = offer.media[plan.line]
    return one_line_text(
        offer.session, client_line(media, plan.codecs, Direction.SENDRECV, media.setup or "actpass")
    )


def client_line(
    media: MediaDescription, codecs: Sequence[Codec], direction: Direction, setup: str
) -> MediaDescription:
    """Write a client's m-line for the relay, without any address.

    The relay is ICE-lite: it learns the client's address from authenticated checks, and must not send to an
    address only because a client wrote it down.
    """
    body = [
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{media.ice_ufrag}",
        f"a=ice-pwd:{media.ice_pwd}",
    ]
    options = media.inherited("ice-options") or ""
    # Without "trickle" the relay reads an address of zeros as hold (RFC 2543) and hands the zeros on to IMS.
    body.append(f"a=ice-options:{options}" if "trickle" in options.split() else "a=ice-options:trickle")
    fingerprint = _preferred(media.fingerprints)
    body += [f"a=fingerprint:{fingerprint.hash_function} {fingerprint.value}", f"a=setup:{setup}"]
    # Browsers keep their DTLS association when ICE restarts and have no tls-id; without one rtpengine from 12 on begins
    # DTLS anew then, and both wait for the other for ever. RFC 8842 §5.1 has a new fingerprint for a new association.
    body.append(f"a=tls-id:{media.attribute('tls-id') or fingerprint.value.replace(':', '')}")
    if (mid := media.mid) is not None:
        body.append(f"a=mid:{mid}")
    if media.rtcp_mux:
        body.append("a=rtcp-mux")
    for codec in codecs:
        body += _video_lines(codec) if media.kind == "video" else codec_to_lines(codec, feedback=False)
    if media.kind == "video":
        body += orientation_lines(media)
    body.append(f"a={direction}")
    formats = [codec.payload_type for codec in codecs]
    return media_description(media.kind, _DISCARD_PORT, media.proto, formats, body)


class Repertoire(NamedTuple):
    """What a one-m-line text says of codecs: the payload types of its m-line, and the lines about them."""

    formats: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def encodings(self) -> frozenset[str]:
        """The codecs as in rtpmap, for example ``pcma/8000``; see comparable()."""
        return frozenset(encoding for _, encoding in self.encodings_by_type)

    @property
    def encodings_by_type(self) -> frozenset[tuple[str, str]]:
        """Pairs of payload type and codec as in rtpmap; see comparable()."""
        pairs = (line[9:].partition(" ") for line in self.lines if line.startswith("a=rtpmap:"))
        return frozenset((number, comparable(encoding)) for number, _, encoding in pairs)


def comparable(encoding: str) -> str:
    """Return an encoding in lower case without the number of channels that everyone may leave out (RFC 8866 §6.6)."""
    return encoding.lower().removesuffix("/1")


def repertoire(one_line_sdp: str) -> Repertoire:
    """Read it from a text of ours or of the relay; one browser's is the same in all calls."""
    lines = one_line_sdp.split("\r\n")
    m_line = next((line for line in lines if line.startswith("m=")), "")
    codec_lines = tuple(line for line in lines if line.startswith(CODEC_LINES))
    return Repertoire(tuple(m_line.split(" ")[3:]), codec_lines)


def first_codec(one_line_sdp: str) -> str:
    """Return the name of the codec a one-m-line text has first, lower case; "" where it has none."""
    found = repertoire(one_line_sdp)
    names = {number: encoding.partition("/")[0] for number, encoding in found.encodings_by_type}
    return next(
        (name for number in found.formats if (name := names.get(number, "")) not in ("", *AUXILIARY)), ""
    )


def protocol_of(one_line_sdp: str) -> str:
    """Return the protocol of the m-line, "" where there is none."""
    _, found, rest = one_line_sdp.partition("m=")
    return rest.split(" ", 3)[2] if found else ""


def is_known(told: str, relay_answer: str) -> bool:
    """Whether what a page was told has the ICE credentials of this answer of the relay's; yes where that has none."""
    ours = next((line for line in relay_answer.splitlines() if line.startswith("a=ice-ufrag:")), "")
    return ours in told


def both_ways(line: str) -> str:
    """Return a line as one of a party that sends and receives, which is what the relay is to know of either side.

    The gate alone holds media back.  rtpengine 12 heeds directions as well, 10 does not; but it is not told of a new
    direction where nothing else is new, so what began one-way or on hold would never be heard both ways.
    """
    return _DIRECTION.sub("a=sendrecv", line)


def without_events(line: str) -> str:
    """Leave telephone-events out of a line: the relay sends a client none on a line that only receives.

    A browser's later offers name them there, its first answer did not; taken for a change they would make the relay
    begin its timestamps anew, and the browser would discard what seems old.
    """
    description = sdp_from_text(line)
    media = description.media[0]
    events = {codec.payload_type for codec in media.codecs if codec.name == TELEPHONE_EVENT}
    body = [
        text
        for text in media.body
        if not text.startswith(CODEC_LINES) or text.partition(":")[2].partition(" ")[0] not in events
    ]
    formats = [number for number in media.formats if number not in events]
    return one_line_text(
        description.session, media_description(media.kind, media.port, media.proto, formats, body)
    )


def with_events_of_its_clock(line: str) -> str:
    """Give a client's line telephone-events at the clock of its codec where it has them at another one alone, as
    Firefox at 8 kHz beside Opus.

    For the relay, of a line that answers IMS: what the client's codec has no events for, rtpengine takes out of its own
    answer, so that IMS would hear of none any more.  The client is not told; its own events go on as they are.
    """
    if TELEPHONE_EVENT not in line:
        return line
    description = sdp_from_text(line)
    media = description.media[0]
    speech = next((codec for codec in media.codecs if codec.name not in AUXILIARY), None)
    if speech is None or speech.name in PASSING_AUDIO:
        return line
    clocks = {codec.clock_rate for codec in media.codecs if codec.name == TELEPHONE_EVENT}
    free = next((str(one) for one in reversed(_DYNAMIC) if str(one) not in media.formats), None)
    if speech.clock_rate in clocks or not clocks or free is None:
        return line
    body = [*media.body, f"a=rtpmap:{free} {TELEPHONE_EVENT}/{speech.clock_rate}"]
    formats = [*media.formats, free]
    return one_line_text(
        description.session, media_description(media.kind, media.port, media.proto, formats, body)
    )


def widened_offer(wic_offer: str, codecs: Repertoire) -> str:
    """Write a client's offer for the relay with other codecs in place of its own."""
    head, m_line, body = wic_offer.partition("\r\nm=")
    first, *lines = body.split("\r\n")
    widened = [f"{head}{m_line}{' '.join((*first.split(' ')[:3], *codecs.formats))}"]
    place = next((number for number, line in enumerate(lines) if line.startswith(CODEC_LINES)), len(lines))
    widened += lines[:place]
    widened += codecs.lines
    widened += (line for line in lines[place:] if not line.startswith(CODEC_LINES))
    return "\r\n".join(widened)


def placeholder_answer(relay_offer_sdp: str, preferred: str = _PLACEHOLDER_CODEC) -> str:
    """Write a plausible answer to the relay's IMS-side offer, so that it names its web side now.

    ``preferred`` names the audio codec to answer where it is offered, lower case; the client's own spares the
    relay encoders and decoders that the real answer may make useless.

    Audio answers one codec, as an IMS terminal would.  Video, which nobody transcodes, keeps them all, so that
    whichever the far end takes later is one the client has agreed to; and it keeps its rtcp-fb, without which
    the client would never be asked for a key frame.
    """
    offer = sdp_from_text(relay_offer_sdp)
    media = only_line(offer)
    codecs = media.codecs
    speech = [codec for codec in codecs if codec.name != TELEPHONE_EVENT]
    if not speech:
        raise MediaUnavailable(f"The relay offers no {media.kind} codec to IMS")
    main = next((codec for codec in speech if codec.name == preferred), speech[0])
    events = [
        codec for codec in codecs if codec.name == TELEPHONE_EVENT and codec.clock_rate == main.clock_rate
    ]
    answered = speech if media.kind == "video" else [main, *events]
    body = [f"c={media.connection}"]
    if media.mid is not None:
        body.append(f"a=mid:{media.mid}")
    for codec in answered:
        body += codec_to_lines(codec, feedback=media.kind == "video")
    body.append("a=sendrecv")
    formats = [codec.payload_type for codec in answered]
    # A stand-in for keys would end the relay's own, which IMS has yet to see; without any they stay.
    proto = media.proto.replace("SAVP", "AVP")
    line = media_description(media.kind, _DISCARD_PORT, proto, formats, body)
    return one_line_text(offer.session, line)


def only_line(description: SessionDescription) -> MediaDescription:
    """Give the one m-line of a text the relay made; raise MediaUnavailable when it cannot carry media."""
    if len(description.media) != 1:
        raise MediaUnavailable(f"The relay answered with {len(description.media)} media lines instead of one")
    media = description.media[0]
    if media.port == 0 or media.connection is None:
        raise MediaUnavailable(f"The relay has no port for {media.kind}")
    return media


def one_line_text(session: SessionSection, media: MediaDescription) -> str:
    """Write a description with one m-line that says everything itself, and the o= of another description, as far as
    the relay reads such a one."""
    origin = session.values("o")[0]
    if not _ORIGIN.fullmatch(origin):
        origin = "- 0 0 IN IP4 0.0.0.0"
    return "\r\n".join(("v=0", f"o={origin}", "s=-", "t=0 0", *media.lines, ""))


def _preferred(fingerprints: Sequence[Fingerprint]) -> Fingerprint:
    return next((one for one in fingerprints if one.hash_function == _PREFERRED_HASH), fingerprints[0])


@lru_cache(maxsize=128)
def _video_lines(codec: Codec) -> Sequence[str]:
    """Write a video codec with the feedback that passes; the same few come with every call."""
    feedback = tuple(value for value in codec.feedback if value in _PASSING_FEEDBACK)
    return codec_to_lines(codec._replace(feedback=feedback))
