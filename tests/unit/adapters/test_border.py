"""What comes in at all: nobody gets past the screening with what it cannot see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kemi.adapters.gateway import Gateway
from kemi.settings import settings_from_text
from tests.fakes.ksr import FakeKamailio
from tests.fakes.sip import FakeMessage
from tests.unit.adapters.messages import CORE, PAGE, WS_PORT, core_reply, from_page
from tests.unit.adapters.played import MESSAGE
from tests.unit.site import SETTINGS_TEXT

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
        reads(kamailio, large_request(b"x", is_of_page=is_of_page), lambda head: f"\r\n\r\n{head}")
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [400]
        assert not kamailio.relayed


def reads(kamailio: FakeKamailio, message: FakeMessage, changed: Callable[[str], str]) -> None:
    """Let the head of a message be another one on the wire."""
    kamailio.receive(message)
    read, head = kamailio._ksr_pv_get, changed(message.head)
    kamailio.script("pv.get", lambda name: f"{head}\r\n{message.body}" if name == "$mb" else read(name))


HOSTILE = {
    "LF alone": lambda head: f"{head}X: a\nY: b\r\n" + "l: 0\r\n" * 10_000,
    "CR alone": lambda head: f"{head}X: a\rY: b\r\n",
    "no header field": lambda head: f"{head}X\r\n",
    "too many lines": lambda head: head + "l: 0\r\n" * 10_000,
}


@pytest.mark.parametrize("kind", ["LF alone", "CR alone", "no header field"])
def test_a_page_hears_of_its_requests(kamailio: FakeKamailio, page: Gateway, kind: str) -> None:
    kamailio.replies.clear()
    reads(kamailio, large_request(b"x", is_of_page=True), HOSTILE[kind])
    page.ksr_request_route(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == [400]
    assert not kamailio.relayed


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param("Content-Length: 3\n\nabcMESSAGE sip:x SIP/2.0", id="another one behind it"),
        pytest.param("Content-Length: 3\nl: 3\n\nabc", id="two lengths"),
        pytest.param("\nabc", id="a body without a type"),
    ],
)
def test_one_frame_of_a_page_holds_one_message(kamailio: FakeKamailio, page: Gateway, extra: str) -> None:
    kamailio.replies.clear()
    kamailio.receive(
        from_page(
            "MESSAGE sip:bob@ims.example SIP/2.0\nMax-Forwards: 70\nFrom: <sip:alice@ims.example>;tag=a\n"
            f"To: <sip:bob@ims.example>\nCall-ID: c\nCSeq: 1 MESSAGE\n{extra}"
        )
    )
    page.ksr_request_route(MESSAGE)
    assert [reply.status for reply in kamailio.replies] == [400]
    assert not kamailio.relayed


@pytest.mark.parametrize("port", [WS_PORT, 8081])
def test_sip_without_websocket_comes_to_no_port_of_pages_and_of_programs(
    kamailio: FakeKamailio, page: Gateway, port: int
) -> None:
    kamailio.replies.clear()
    message = large_request(b"x", is_of_page=False)
    message.received_port = port
    kamailio.receive(message)
    page.ksr_request_route(MESSAGE)
    (reply,) = kamailio.replies
    assert reply.status == 403
    assert any("WebSocket" in line for line in reply.headers)
    assert not kamailio.relayed


def test_a_response_over_http_is_dropped_before_kamailio_reads_it(
    kamailio: FakeKamailio, page: Gateway
) -> None:
    text = b"HTTP/1.1 200 OK\nVia: SIP/2.0/TCP x\n\n"
    kamailio.receive(
        FakeMessage.from_bytes(text, protocol="tcp", source=PAGE, connection_id=7, received_port=WS_PORT)
    )
    assert page.ksr_received(MESSAGE) == 1
    assert kamailio.dropped


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_stranger_s_connection_is_ended(kamailio: FakeKamailio, protocol: str) -> None:
    known = SETTINGS_TEXT.replace("ws_port = 8080", 'ws_port = 8080\ncore_networks = ["203.0.113.0/24"]')
    gateway = Gateway(settings_from_text(known))
    text = b"OPTIONS sip:x SIP/2.0\nVia: SIP/2.0/TCP x;branch=z9hG4bKa\nCall-ID: 1\n\n"
    kamailio.script("tcpops.tcp_close_connection_id", 1)
    kamailio.receive(FakeMessage.from_bytes(text, protocol=protocol, source=CORE, connection_id=9))
    gateway.ksr_request_route(MESSAGE)
    assert kamailio.replies == []
    ended = [call[-1] for call in kamailio.called("tcpops.tcp_close_connection_id")]
    assert bool(ended) is (protocol == "tcp")


@pytest.mark.parametrize("kind", HOSTILE)
class TestHeadsThatCanBeReadInTwoWays:
    """Nobody asks Kamailio for their header fields, one by one: it keeps each name that it is asked for."""

    def test_the_core_hears_of_its_requests(self, kamailio: FakeKamailio, page: Gateway, kind: str) -> None:
        kamailio.replies.clear()
        reads(kamailio, large_request(b"x", is_of_page=False), HOSTILE[kind])
        before = len(kamailio.called("pv.get"))
        page.ksr_request_route(MESSAGE)
        assert [reply.status for reply in kamailio.replies] == [400]
        assert not kamailio.relayed
        assert len(kamailio.called("pv.get")) - before < 20

    def test_its_responses_go_nowhere(self, kamailio: FakeKamailio, page: Gateway, kind: str) -> None:
        reads(kamailio, core_reply(200), HOSTILE[kind])
        page.ksr_reply_route(MESSAGE)
        assert kamailio.dropped

    def test_a_stranger_hears_nothing(self, kamailio: FakeKamailio, kind: str) -> None:
        known = SETTINGS_TEXT.replace("ws_port = 8080", 'ws_port = 8080\ncore_networks = ["203.0.113.0/24"]')
        gateway = Gateway(settings_from_text(known))
        reads(kamailio, large_request(b"x", is_of_page=False), HOSTILE[kind])
        gateway.ksr_request_route(MESSAGE)
        assert kamailio.replies == []
