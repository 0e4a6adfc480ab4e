"""What a browser does with a line that an offer stops, and aiortc cannot: such a line names no transport and no codecs.

Knows m-lines with port 0 (RFC 3264 §6 and §8.2). Must not know aiortc, ICE or media.
"""

from __future__ import annotations

from collections.abc import Collection

from tests.peers.sdp import MIRRORED, MediaSection, Sdp, sdp_from_text, sdp_to_text


def held_instead(offer: str, earlier: str) -> tuple[str, list[str]]:
    """Let the lines that an offer stops be inactive and else as they were in the last description of that peer.

    Returns:
        The offer that can be applied, and the mids of the lines that it stops.
    """
    parsed = sdp_from_text(offer)
    known = {section.attribute("mid"): section for section in sdp_from_text(earlier).media}
    stopped = []
    for section in parsed.media:
        mid = section.attribute("mid")
        if mid in known and section.port == 0 and section.attribute("bundle-only") is None:
            lines = [line for line in known[mid].lines if line.removeprefix("a=") not in MIRRORED]
            section.lines = [*lines, "a=inactive"]
            stopped.append(mid or "")
    return (sdp_to_text(parsed), stopped) if stopped else (offer, [])


def refuse(answer: str, mids: Collection[str]) -> str:
    """Answer these lines with port 0, and take them out of the BUNDLE group."""
    if not mids:
        return answer
    parsed = sdp_from_text(answer)
    media = [
        refused_line(section) if section.attribute("mid") in mids else section for section in parsed.media
    ]
    return sdp_to_text(Sdp([_without(line, mids) for line in parsed.session], media))


def refused_line(section: MediaSection) -> MediaSection:
    """Return what answers a line with port 0."""
    first = f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}"
    return MediaSection([first, "c=IN IP4 0.0.0.0", f"a=mid:{section.attribute('mid') or ''}", "a=inactive"])


def _without(line: str, mids: Collection[str]) -> str:
    if not line.startswith("a=group:BUNDLE"):
        return line
    name, *members = line.split(" ")
    return " ".join([name, *(mid for mid in members if mid not in mids)])
