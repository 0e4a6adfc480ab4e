"""Payload types towards the core in a running call (RFC 3264 §8.3.2)."""

from __future__ import annotations

import pytest

from kemi.core.sdp.interwork.payload_types import with_known_payload_types
from kemi.core.sdp.text import sdp_from_text

HEAD = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0")
ALIGNED, EFFICIENT = "octet-align=1", "octet-align=0;mode-change-capability=2"


def text(*codecs: tuple[str, str, str], kind: str = "audio") -> str:
    """Write a line with these payload types, encodings and parameters."""
    lines = [*HEAD, f"m={kind} 30000 RTP/AVP {' '.join(number for number, _, _ in codecs)}"]
    lines.append("c=IN IP4 192.0.2.1")
    for number, encoding, fmtp in codecs:
        lines.append(f"a=rtpmap:{number} {encoding}")
        if kind == "video":
            lines.append(f"a=rtcp-fb:{number} nack pli")
        if fmtp:
            lines.append(f"a=fmtp:{number} {fmtp}")
    return "\r\n".join([*lines, "a=rtcp:30001", "a=sendrecv", ""])


OFFER = text(
    ("111", "opus/48000/2", "useinbandfec=1"),
    ("96", "AMR-WB/16000", EFFICIENT),
    ("97", "AMR-WB/16000", ALIGNED),
    ("8", "PCMA/8000", ""),
    ("98", "telephone-event/16000", "0-15"),
)


def numbers(sdp: str) -> dict[str, tuple[str, str]]:
    """Payload type → encoding and parameters."""
    (line,) = sdp_from_text(sdp).media
    return {codec.payload_type: (codec.encoding, codec.fmtp) for codec in line.codecs}


def test_an_offer_with_the_numbers_of_before_stays_as_it_is() -> None:
    assert with_known_payload_types(OFFER, OFFER) == OFFER


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(
            text(("104", "AMR-WB/16000", ""), ("102", "telephone-event/16000", "")),
            ["111", "104", "97", "8", "102"],
            id="the core's numbers for what it knows",
        ),
        pytest.param(
            text(("96", "amr-wb/16000", "octet-align=1")),
            ["111", "97", "96", "8", "98"],
            id="the payload formats of one codec are two; who loses its number gets a free one",
        ),
        pytest.param(
            text(("111", "telephone-event/16000", ""), ("0", "PCMU/8000", "")),
            ["98", "96", "97", "8", "111"],
            id="no number comes to mean something else",
        ),
        pytest.param(text(("8", "PCMA/8000", "")), ["111", "96", "97", "8", "98"], id="fixed types"),
    ],
)
def test_what_was_described_keeps_its_number(known: str, expected: list[str]) -> None:
    found = with_known_payload_types(OFFER, known)
    assert numbers(found) == dict(zip(expected, numbers(OFFER).values(), strict=True))
    kept = ("m=audio 30000 ", "c=IN IP4 192.0.2.1", "a=rtcp:30001", "a=sendrecv")
    assert all(line in found for line in kept)


def test_feedback_of_video_goes_with_its_codec() -> None:
    offer = text(("96", "VP8/90000", ""), kind="video")
    found = with_known_payload_types(offer, text(("120", "VP8/90000", ""), kind="video"))
    assert "a=rtcp-fb:120 nack pli" in found
    assert numbers(found) == {"120": ("VP8/90000", "")}
