"""Keys of SRTP that the relay may be given: it reads them, and they are not AES-GCM's, with which 10.5 can be ended."""

from __future__ import annotations

import pytest

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError
from kemi.core.sdp.interwork import ims_answer_media
from kemi.core.sdp.interwork.incoming import core_offer_media
from kemi.core.sdp.interwork.keys import usable_keys
from kemi.core.sdp.text import sdp_from_text

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 30000 RTP/SAVP 8\r\n"
KEY = "QUJD" * 10
GALOIS = f"a=crypto:1 AEAD_AES_256_GCM inline:{KEY}\r\n"
SUITE = "AES_CM_128_HMAC_SHA1_80"
COUNTER = f"a=crypto:2 {SUITE} inline:{KEY}\r\n"


def keys(lines: str) -> list[str]:
    return usable_keys(sdp_from_text(HEAD + lines).media[0])


def test_the_order_of_those_that_can_be_used_stays() -> None:
    more = COUNTER.replace("crypto:2", "crypto:3").replace("_80", "_32")
    assert keys(GALOIS + COUNTER + more) == [
        f"2 {SUITE} inline:{KEY}",
        f"3 AES_CM_128_HMAC_SHA1_32 inline:{KEY}",
    ]
    assert keys("") == []


@pytest.mark.parametrize(
    "value",
    [
        f"1 {SUITE} inline:{KEY}",
        f"999999999 {SUITE} inline:{KEY}",
        f"1 {SUITE.lower()} INLINE:{KEY}",
        f"1 {SUITE} inline:{KEY}|2^31",
        f"1 {SUITE} inline:{KEY}|1048576|1:4",
        f"1 {SUITE} inline:{KEY}|1:4",
        f"1 {SUITE} inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4",
        f"1 {SUITE} inline:{KEY} KDR=1 UNENCRYPTED_SRTCP",
        f"1 AES_192_CM_HMAC_SHA1_80 inline:{KEY}QUJDQUJDQUI=",
        f"1 AES_192_CM_HMAC_SHA1_32 inline:{KEY}QUJDQUJDQUI",
        f"1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}{'QUJD' * 5}QQ==|2^31",
        f"1 AES_256_CM_HMAC_SHA1_32 inline:{KEY}{'QUJD' * 5}QQ",
        f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 NULL_HMAC_SHA1_32 inline:{KEY}",
    ],
)
def test_what_the_relay_reads(value: str) -> None:
    assert keys(f"a=crypto:{value}\r\n") == [value]


@pytest.mark.parametrize(
    "value", [f"1  {SUITE}  inline:{KEY}", f"1\t{SUITE}\tinline:{KEY}", f" 1 {SUITE} inline:{KEY} "]
)
def test_it_reads_one_blank_between_words_alone(value: str) -> None:
    assert keys(f"a=crypto:{value}\r\n") == [f"1 {SUITE} inline:{KEY}"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"1 {SUITE}",
        f"1 {SUITE} {KEY}",
        f"1 {SUITE} inline:",
        f"1 {SUITE} inline:QUJD",
        f"1 {SUITE} inline:{KEY}QUJD",
        f"1 {SUITE} inline:{KEY}==",
        f"1 {SUITE} inline:{KEY[:-1]}_",
        f"1 {SUITE} inline:{KEY}|0",
        f"1 {SUITE} inline:{KEY}|2^49",
        f"1 {SUITE} inline:{KEY};inline:{KEY}",
        f"1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}",
        f"1 AES_CM_256_HMAC_SHA1_80 inline:{KEY}{'QUJD' * 5}QQ==",
        f"1 FOO_128 inline:{KEY}",
        f"x {SUITE} inline:{KEY}",
        f"1234567890 {SUITE} inline:{KEY}",
        f"1  aead_aes_128_gcm inline:{KEY}",
    ],
)
def test_what_it_does_not_read_is_no_key(value: str) -> None:
    """It would answer without a word of keys."""
    assert keys(f"a=crypto:{value}\r\n") == []


def test_a_line_in_clear_is_taken_where_that_with_keys_cannot_be_used() -> None:
    short = COUNTER.replace(KEY, "QUJD")
    (line,) = core_offer_media(sdp_from_text(f"{HEAD}{short}m=audio 30002 RTP/AVP 8\r\n"), ())
    assert (line.place, "m=audio 30002 RTP/AVP 8" in line.sdp) == (1, True)
    with pytest.raises(NotAcceptableHere, match="without keys of AES-CM"):
        core_offer_media(sdp_from_text(HEAD + short), ())


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
