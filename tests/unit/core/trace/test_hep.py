"""Copies of messages for a collector: what a packet says, between which sockets, of which realm."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from kemi.core.trace.hep import MOST_PAYLOAD, Capturer, packet, with_true_length
from kemi.core.trace.places import UNKNOWN, Place, Places
from kemi.core.trace.reading import Facts, facts_of
from kemi.core.trace.realms import Realms
from kemi.core.trace.redaction import redact_sip
from kemi.core.trace.settings import HepSettings, check_hep
from tests.peers.hep import packet_from_bytes

GATEWAY, WS, CORE, PAGE = ("192.0.2.1", 5060), ("127.0.0.1", 8080), ("192.0.2.7", 5060), ("127.0.0.1", 40001)
CAPTURER = Capturer("gw-a", 7)


def text(
    start: str = "INVITE sip:bob@ims.example SIP/2.0",
    via: str = "SIP/2.0/WSS x.invalid;branch=z9hG4bK1",
    *,
    cseq: str = "1 INVITE",
    call_id: str = "c1",
    parties: tuple[str, str] = ("sip:alice@ims.example", "sip:bob@ims.example"),
    lines: str = "",
    body: str = "",
) -> str:
    return (
        f"{start}\r\nVia: {via}\r\n{lines}From: <{parties[0]}>;tag=f\r\nTo: <{parties[1]}>\r\nCall-ID: {call_id}\r\n"
        f"CSeq: {cseq}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    )


def facts(*args: str, **fields: object) -> Facts:
    found = facts_of(text(*args, **fields))  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("protocol", ["udp", "ws"])
@pytest.mark.parametrize("host", ["198.51.100.9", "2001:db8::9"])
@pytest.mark.parametrize("password", ["", "pass word"])
def test_a_packet_says_what_it_is_given(protocol: str, host: str, password: str) -> None:
    place = Place(protocol, (host, 40001), ("192.0.2.1", 5060))
    found = packet_from_bytes(
        packet(Capturer("gw-a", 7, password), 1_790_000_000.9999996, place, "c1@é", text())
    )
    other = ip_address("::ffff:192.0.2.1" if ":" in host else "192.0.2.1")
    assert (found.source, found.destination) == ((host, 40001), (str(other), 5060))
    assert (found.protocol, found.capture_id, found.node) == (17 if protocol == "udp" else 6, 7, "gw-a")
    assert (found.at, found.password, found.correlation) == (1_790_000_001.0, password, "c1@é")
    assert found.payload.decode() == text()
    assert found.message.call_id == "c1"


def test_a_packet_fits_into_a_datagram() -> None:
    place = Place("tcp", GATEWAY, CORE)
    data = packet(CAPTURER, 1.0, place, "c" * 5000, text(body="ü" * MOST_PAYLOAD))
    assert len(data) < 65_507
    assert len(packet_from_bytes(data).payload) == MOST_PAYLOAD


@pytest.mark.parametrize("name", ["Content-Length: ", "l:", "CONTENT-LENGTH :  "])
def test_what_was_masked_has_the_length_it_has_now(name: str) -> None:
    message = text(
        "INFO sip:b SIP/2.0", cseq="2 INFO", lines="Content-Type: application/dtmf-relay\r\n", body="Signal=5\r\n"
    ).replace("Content-Length: ", name)  # fmt: skip
    masked = redact_sip(message)
    assert "Signal=5" not in masked
    head, _, body = with_true_length(masked).partition("\r\n\r\n")
    assert f"\r\n{name}{len(body)}" in head
    assert (body, "no head") == (masked.partition("\r\n\r\n")[2], with_true_length("no head"))


class TestPlaces:
    def test_a_request_that_came_and_its_responses(self) -> None:
        places = Places()
        came = places.of_incoming(facts(), "ws", WS, PAGE)
        assert came == Place("ws", PAGE, WS)
        for status in ("183 Session Progress", "200 OK"):
            answer = facts(f"SIP/2.0 {status}", "SIP/2.0/WSS x.invalid;received=127.0.0.1;branch=z9hG4bK1")
            assert places.of_outgoing(answer, "") == Place("ws", WS, PAGE)

    def test_a_request_of_ours_goes_where_it_was_sent_and_again(self) -> None:
        places = Places()
        invite = facts(via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2", lines="Route: <sip:203.0.113.4;lr>\r\n")
        there = Place("udp", GATEWAY, CORE)
        assert places.of_outgoing(invite, "sip:192.0.2.7:5060;transport=udp") == there
        assert places.of_outgoing(invite, "") == there  # tm sends it again
        ack = facts("ACK sip:bob@h SIP/2.0", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2", cseq="1 ACK")
        assert places.of_outgoing(ack, "sip:192.0.2.8") == there
        answer = facts("SIP/2.0 486 Busy Here", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2")
        assert places.of_incoming(answer, "udp", GATEWAY, CORE) == Place("udp", CORE, GATEWAY)

    @pytest.mark.parametrize(
        ("start", "via", "lines", "place"),
        [
            (
                "BYE sip:b@192.0.2.9 SIP/2.0",
                "SIP/2.0/UDP 192.0.2.1:5062;branch=b",
                "Route: <sip:x@192.0.2.7:5070;lr>, <sip:9.9.9.9>\r\nRoute: <sip:8.8.8.8>\r\n",
                Place("udp", ("192.0.2.1", 5062), ("192.0.2.7", 5070)),
            ),
            (
                "BYE sip:b@192.0.2.9;transport=tcp SIP/2.0",
                "SIP/2.0/TCP 192.0.2.1:5060;branch=b",
                "",
                Place("tcp", GATEWAY, ("192.0.2.9", 5060)),
            ),
            (
                "BYE sip:[2001:db8::9]:5090 SIP/2.0",
                "SIP/2.0/TLS [2001:db8::1];branch=b",
                "",
                Place("tls", ("2001:db8::1", 5061), ("2001:db8::9", 5090)),
            ),
            ("BYE tel:+4930 SIP/2.0", "SIP/2.0/UDP 192.0.2.1;branch=b", "", Place("udp", GATEWAY, UNKNOWN)),
            (
                "SIP/2.0 481 Gone",
                "SIP/2.0/UDP h.invalid:5090;received=192.0.2.7;rport=5066;branch=b",
                "",
                Place("udp", UNKNOWN, ("192.0.2.7", 5066)),
            ),
            ("SIP/2.0 481 Gone", "rubbish", "", Place("udp", UNKNOWN, ("0.0.0.0", 5060))),
        ],
    )
    def test_else_the_text_says_it(self, start: str, via: str, lines: str, place: Place) -> None:
        assert Places().of_outgoing(facts(start, via, cseq="3 BYE", lines=lines), "") == place

    def test_a_name_is_known_once_it_has_answered(self) -> None:
        places = Places()
        first = facts(via="SIP/2.0/UDP 192.0.2.1;branch=b1")
        assert places.of_outgoing(first, "sip:icscf.ims.example:5060") == Place(
            "udp", GATEWAY, ("0.0.0.0", 5060)
        )
        answer = facts("SIP/2.0 100 Trying", "SIP/2.0/UDP 192.0.2.1;branch=b1")
        places.of_incoming(answer, "udp", GATEWAY, CORE)
        assert places.of_outgoing(first, "").destination == CORE
        other = facts(via="SIP/2.0/UDP 192.0.2.1;branch=b2", call_id="c2")
        assert places.of_outgoing(other, "sip:icscf.ims.example:5060").destination == CORE


class TestRealms:
    def test_none_are_all(self) -> None:
        assert Realms(()).have(facts(parties=("sip:a@x", "tel:+1")))

    @pytest.mark.parametrize(
        ("parties", "wanted"),
        [
            (("sip:alice@ims.example", "tel:+4930"), True),
            (("tel:+4930", "sip:alice@IMS.Example:5060;user=phone"), True),
            (("sip:alice@other.example", "sip:bob@not-ims.example"), False),
            (("sip:ims.example@evil.example", "tel:+4930"), False),
        ],
    )
    def test_of_either_party(self, parties: tuple[str, str], wanted: bool) -> None:
        assert Realms(["ims.example"]).have(facts(parties=parties)) == wanted

    def test_a_call_has_one_decision_for_both_legs(self) -> None:
        realms = Realms(["ims.example"])
        assert realms.have(facts())
        assert realms.have(facts(parties=("sip:+4930@carrier.example", "sip:+4940@carrier.example")))
        realms.learn("c2", "sip:carol@other.example", "sip:+4930@carrier.example", "")
        assert not realms.have(facts(call_id="c2"))

    def test_of_a_caller_who_is_asserted_by_number_alone_from_says_the_domain(self) -> None:
        realms = Realms(["ims.example"])
        realms.learn("c1", "sip:carol@other.example", "tel:+4930", "")
        assert realms.have(facts(parties=("sip:bob@ims.example", "sip:carol@other.example")))

    def test_a_long_call_is_known_as_long_as_it_is_heard_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kemi.core.trace.realms.MOST", 2)
        realms = Realms(["trunk:acme"])
        realms.learn("c1", "sip:alice@ims.example", "sip:+4930@h", "acme")
        for number in range(9):
            realms.have(facts(call_id=f"other-{number}"))
            assert realms.have(facts())

    def test_a_trunks_calls(self) -> None:
        realms = Realms(["trunk:acme"])
        realms.learn("c1", "sip:alice@ims.example", "sip:+4930@h", "acme")
        realms.learn("c1", "sip:alice@ims.example", "sip:+4930@h", "")  # the page it reaches
        realms.learn("c2", "sip:alice@ims.example", "sip:+4930@h", "other")
        assert realms.have(facts())
        assert not realms.have(facts(call_id="c2"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("collector", "homer.example:9060"),
        ("collector", "192.0.2.9"),
        ("collector", "192.0.2.9:0"),
        ("collector", "[2001:db8::9]:70000"),
        ("realms", ["two words"]),
        ("realms", ["trunk:"]),
        ("capture_id", 1 << 32),
        ("capture_id", -1),
        ("password", "ü"),
    ],
)
def test_settings_that_stop_the_start(key: str, value: object) -> None:
    check_hep(HepSettings(collector="[2001:db8::9]:9060", realms=["ims.example", "trunk:acme"], password="p"))
    with pytest.raises(ValueError, match=f"hep.{key}"):
        check_hep(HepSettings(**{key: value}))  # type: ignore[arg-type]
