"""Keys of SRTP that the relay may be given: with AES-GCM rtpengine 10.5 can be ended by anybody."""

from __future__ import annotations

import pytest

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError
from kemi.core.sdp.interwork import ims_answer_media
from kemi.core.sdp.interwork.incoming import core_offer_media
from kemi.core.sdp.interwork.keys import usable_keys
from kemi.core.sdp.text import sdp_from_text

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 30000 RTP/SAVP 8\r\n"
GALOIS = "a=crypto:1 AEAD_AES_256_GCM inline:QUJD\r\n"
COUNTER = "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:QUJD\r\n"


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("", []),
        (GALOIS + COUNTER, ["2 AES_CM_128_HMAC_SHA1_80 inline:QUJD"]),
        ("a=crypto:1  aead_aes_128_gcm inline:QUJD\r\n", []),
        ("a=crypto:1\r\n", ["1"]),
    ],
)
def test_usable_keys(lines: str, wanted: list[str]) -> None:
    assert usable_keys(sdp_from_text(HEAD + lines).media[0]) == wanted


def test_the_relay_hears_of_no_other_key_of_an_offer() -> None:
    (line,) = core_offer_media(sdp_from_text(HEAD + GALOIS + COUNTER), ())
    assert ("AEAD" in line.sdp, COUNTER in line.sdp) == (False, True)
    with pytest.raises(NotAcceptableHere, match="without keys of AES-CM"):
        core_offer_media(sdp_from_text(HEAD + GALOIS), ())


def test_nor_of_an_answer() -> None:
    """Not even where a relay had offered it, as it did before a gateway was upgraded under a call."""
    offer = HEAD + GALOIS + COUNTER
    answered = ims_answer_media(HEAD + GALOIS + COUNTER, ["audio"], offer)["audio"].sdp or ""
    assert ("AEAD" in answered, COUNTER in answered) == (False, True)
    with pytest.raises(RemoteProtocolError, match="no key of a suite"):
        ims_answer_media(HEAD + GALOIS, ["audio"], offer)
