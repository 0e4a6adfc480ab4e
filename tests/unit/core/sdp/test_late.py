"""Offers to a core that makes none: with keys where it is to have some, and without what nobody may transcode."""

from __future__ import annotations

import pytest

from kemi.core.sdp.codecs import OnlyThese
from kemi.core.sdp.interwork.incoming import core_offer_media
from kemi.core.sdp.interwork.keys import usable_keys
from kemi.core.sdp.interwork.late import core_offer, stand_in_offer
from kemi.core.sdp.model import Direction, Origin
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

ORIGIN = Origin(7, 1, "198.51.100.1")
HEAD = "v=0\r\no=- 1 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\n"
RELAY = f"{HEAD}m=audio 30000 RTP/SAVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"
RELAY += "QUJD" * 10 + "\r\n"
EVENTS = {rate: f"a=rtpmap:12{place} telephone-event/{rate}\r\n" for place, rate in enumerate((8000, 48000))}


@pytest.mark.parametrize("keyed", [False, True])
def test_every_line_has_a_key_or_none_has(keyed: bool) -> None:
    offer = stand_in_offer(["opus", "PCMA"], ["VP8"], ORIGIN, keyed=keyed)
    assert {line.proto for line in offer.media} == {"RTP/SAVP" if keyed else "RTP/AVP"}
    assert [len(usable_keys(line)) for line in offer.media] == [int(keyed)] * 2


@pytest.mark.parametrize(
    ("taken", "transcoding", "offered"),
    [
        ("8", True, ["opus/48000/2", "PCMA/8000", "telephone-event/48000", "telephone-event/8000"]),
        ("8", False, ["PCMA/8000", "telephone-event/8000"]),
        ("111", False, ["opus/48000/2", "telephone-event/48000"]),
        ("111 8", False, ["opus/48000/2", "PCMA/8000", "telephone-event/48000", "telephone-event/8000"]),
    ],
)
def test_the_core_is_offered_what_the_page_has_taken(
    taken: str, transcoding: bool, offered: list[str]
) -> None:
    """Telephone-events by the clock of what is left, whichever the page has taken (RFC 4733 §2.1)."""
    names = ["opus", "PCMA"]
    audio_codecs = names if transcoding else OnlyThese(names)
    stand_in = sdp_from_text(sdp_to_text(stand_in_offer(audio_codecs, (), ORIGIN, keyed=True)))
    line = f"{HEAD}m=audio 9 RTP/AVP {taken} 120 121\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:8 PCMA/8000\r\n"
    offer = core_offer(
        stand_in,
        core_offer_media(stand_in, (), audio_codecs),
        {"audio": Direction.SENDRECV},
        {"audio": line + "".join(EVENTS.values())},
        {"audio": RELAY},
        ORIGIN,
        transcoding=transcoding,
    )
    (audio,) = offer.media
    assert [codec.encoding for codec in audio.codecs] == offered
    assert (audio.proto, audio.port, len(usable_keys(audio))) == ("RTP/SAVP", 30000, 1)
