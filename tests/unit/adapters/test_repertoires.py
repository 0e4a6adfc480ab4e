"""When the relay has to hear the far end's line as an offer, too."""

from __future__ import annotations

import pytest

from kemi.adapters.relay.repertoires import Repertoires, needs_offer
from kemi.core.sdp.interwork import repertoire

OPUS, PCMA = "opus/48000/2", "PCMA/8000"


def line(kind: str, *codecs: tuple[int, str]) -> str:
    """One m-line with payload types and codecs."""
    formats = " ".join(str(number) for number, _ in codecs)
    maps = "".join(f"a=rtpmap:{number} {codec}\r\n" for number, codec in codecs)
    return f"v=0\r\nm={kind} 4000 RTP/AVP {formats}\r\n{maps}"


RELAY = line("audio", (96, OPUS), (8, PCMA), (126, "telephone-event/8000"))


@pytest.mark.parametrize(
    ("kind", "said", "offered", "needed"),
    [
        pytest.param(
            "audio", line("audio", (8, PCMA), (126, "telephone-event/8000")), RELAY, False, id="as offered"
        ),
        pytest.param(
            "audio", line("audio", (8, PCMA), (101, "telephone-event/8000")), RELAY, False, id="events"
        ),
        pytest.param(
            "audio",
            line("audio", (96, OPUS), (8, f"{PCMA}/1")),
            RELAY,
            False,
            id="a single channel is named or not",
        ),
        pytest.param("audio", line("audio", (107, OPUS)), RELAY, False, id="one codec"),
        pytest.param("audio", line("audio", (107, OPUS), (8, PCMA)), RELAY, True, id="one of two codecs"),
        pytest.param(
            "video", line("video", (97, "VP8/90000")), line("video", (96, "VP8/90000")), True, id="video"
        ),
        pytest.param(
            "video", line("video", (96, "VP8/90000")), line("video", (96, "VP8/90000")), False, id="same"
        ),
    ],
)
def test_payload_types_of_the_far_ends_own(kind: str, said: str, offered: str, needed: bool) -> None:
    assert needs_offer(kind, said, offered) is needed


def test_what_a_node_offers_for_one_profile_is_not_taken_for_another() -> None:
    page = line("audio", (111, OPUS), (126, "telephone-event/8000"))
    known, own = Repertoires(), repertoire(page)
    known.learn("node", "", own, line("audio", (111, OPUS), (8, PCMA), (126, "telephone-event/8000")))
    assert PCMA in (known.widened("node", "", page, own) or "")
    assert known.widened("node", "peer", page, own) is None
    assert known.widened("other", "", page, own) is None
