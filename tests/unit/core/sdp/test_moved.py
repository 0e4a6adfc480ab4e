"""What the core is offered when the media of a call move to another node."""

from __future__ import annotations

from kemi.core.sdp.interwork.moved import moved_core_offer
from kemi.core.sdp.model import Direction, Origin
from kemi.core.sdp.text import sdp_from_text


def described(address: str, port: int, key: str) -> str:
    """Return a description of one line with keys (SDES)."""
    return (
        f"v=0\r\no=- 7 1 IN IP4 {address}\r\ns=-\r\nt=0 0\r\n"
        f"m=audio {port} RTP/SAVP 8\r\nc=IN IP4 {address}\r\na=rtpmap:8 PCMA/8000\r\na=rtcp:{port + 1}\r\n"
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\na=sendrecv\r\n"
    )


def test_address_ports_and_keys_are_the_new_nodes() -> None:
    told = sdp_from_text(described("192.0.2.1", 30000, "OLD"))
    offer = moved_core_offer(
        told, {0: Direction.SENDONLY}, {0: described("192.0.2.2", 40000, "NEW")}, Origin(7, 2)
    )
    (line,) = offer.media
    assert (line.connection, line.port, line.direction) == ("IN IP4 192.0.2.2", 40000, Direction.SENDONLY)
    assert [text for text in line.body if text.startswith(("a=rtcp:", "a=crypto:"))] == [
        "a=rtcp:40001",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:NEW",
    ]


def test_a_line_without_direction_stays_switched_off() -> None:
    told = sdp_from_text(described("192.0.2.1", 30000, "OLD"))
    (line,) = moved_core_offer(told, {}, {}, Origin(7, 2)).media
    assert line.rejected


def test_a_line_that_was_refused_stays_so_whatever_the_page_has() -> None:
    told = sdp_from_text(described("192.0.2.1", 0, "OLD"))
    relay = {0: described("192.0.2.2", 40000, "NEW")}
    (line,) = moved_core_offer(told, {0: Direction.SENDRECV}, relay, Origin(7, 2)).media
    assert line.rejected
    assert line.formats
