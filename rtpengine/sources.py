"""Whose packets a leg takes: the flags of rtpengine for it. See rtpengine/README.md for what they do together."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from rtpengine.capabilities import Version, capabilities


class MediaSource(StrEnum):
    """Whose packets a leg without ICE takes, and where its own go."""

    SIGNALLED = "signalled"
    """Address and port of the SDP alone, RTP and RTCP each (symmetric RTP and RTCP, RFC 4961), from the first packet
    on: nobody else can be heard, or be sent the call."""
    LEARNED = "learned"
    """For a far end behind a NAT: 3 s after each offer or answer whoever sends the next packet is believed, then nobody
    else. A stranger who sends often takes the call, with SRTP, too. He cannot where the far end sends from address and
    port of its SDP and CVE-2025-53399 is mended."""
    ANYWHERE = "anywhere"
    """For a far end that sends from elsewhere than it receives: everybody is heard, media goes to the SDP's address."""


# `endpoint-learning-off` alone lets everybody in; `strict-source` alone believes whoever is first. Until something that
# is not RTCP has come to a port, both let RTCP pass: with `unidirectional` a packet of the other leg counts, too, and
# `asymmetric` (10.5) keeps it counted when there is another offer or answer. See rtpengine.transport.knock.
_SOURCE_FLAGS: Final[Mapping[MediaSource, tuple[str, ...]]] = {
    MediaSource.SIGNALLED: ("strict-source", "endpoint-learning-off", "unidirectional"),
    MediaSource.LEARNED: ("strict-source", "endpoint-learning-heuristic"),
    MediaSource.ANYWHERE: ("asymmetric",),
}


def source_flags(source: MediaSource, daemon_version: Version) -> tuple[str, ...]:
    """Return the flags of an `offer` or `answer` for the leg that it comes from."""
    flags = _SOURCE_FLAGS[source]
    # Where `asymmetric` learns, RTCP on the port of RTP has until the next packet of the WIC.
    pinned = source is MediaSource.SIGNALLED and not capabilities(daemon_version).asymmetric_learns
    return (*flags, "asymmetric") if pinned else flags
