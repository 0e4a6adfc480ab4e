"""What comes in at all: nobody gets past the screening with what it cannot see."""

from __future__ import annotations

import pytest

from kemi.adapters.gateway import Gateway
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import CORE, PAGE, WS_PORT
from tests.unit.adapters.played import MESSAGE

LARGE = 33_000
"""Kamailio writes no more than 32,767 bytes in hexadecimal, and what is no UTF-8 is read so."""


def large_request(filler: bytes, *, is_of_page: bool) -> FakeMessage:
    """Return a MESSAGE with a header field that a page and a trunk may not have."""
    text = (
        b"MESSAGE sip:bob@ims.example SIP/2.0\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKa\nMax-Forwards: 70\n"
        b"From: <sip:alice@ims.example>;tag=a\nTo: <sip:bob@ims.example>\nCall-ID: c\nCSeq: 1 MESSAGE\n"
        b"P-Asserted-Identity: <sip:president@ims.example>\nX: " + filler + b"\n\n"
    )
    if is_of_page:
        return FakeMessage.from_bytes(
            text, protocol="ws", source=PAGE, connection_id=7, received_port=WS_PORT
        )
    return FakeMessage.from_bytes(text, source=CORE)


class TestLargeMessagesThatAreNoUtf8:
    """Kamailio does not hand over what they hold."""

    def test_are_dropped_before_kamailio_reads_them(self, kamailio: FakeKamailio, page: Gateway) -> None:
        kamailio.receive(large_request(b"\xff" + LARGE * b"x", is_of_page=True))
        assert page.ksr_received(MESSAGE) == 1
        assert kamailio.dropped

    @pytest.mark.parametrize("filler", [b"\xff", LARGE * b"x"])
    def test_others_are_not(self, kamailio: FakeKamailio, page: Gateway, filler: bytes) -> None:
        kamailio.receive(large_request(filler, is_of_page=True))
        page.ksr_received(MESSAGE)
        assert not kamailio.dropped

    @pytest.mark.parametrize("is_of_page", [True, False])
    def test_go_nowhere(self, kamailio: FakeKamailio, page: Gateway, is_of_page: bool) -> None:
        kamailio.replies.clear()
        kamailio.receive(large_request(b"\xff" + LARGE * b"x", is_of_page=is_of_page))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [400]
        assert not kamailio.relayed

    @pytest.mark.parametrize("is_of_page", [True, False])
    def test_nor_does_what_begins_with_empty_lines(
        self, kamailio: FakeKamailio, page: Gateway, is_of_page: bool
    ) -> None:
        """Kamailio reads the message behind them."""
        kamailio.replies.clear()
        message = kamailio.receive(large_request(b"x", is_of_page=is_of_page))
        read = kamailio._ksr_pv_get
        kamailio.script("pv.get", lambda name: f"\r\n\r\n{message.head}\r\n" if name == "$mb" else read(name))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [400]
        assert not kamailio.relayed
