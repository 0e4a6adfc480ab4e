"""Which audio codec a page speaks, what the core is offered in which order, and what EVS may do."""

import pytest

from kemi.core.errors import NotAcceptableHere
from kemi.core.sdp.codecs import OnlyThese, relayed_codecs
from kemi.core.sdp.interwork import first_codec, placeholder_answer, protocol_of
from kemi.core.sdp.interwork.core_reoffer import read_core_reoffer
from kemi.core.sdp.interwork.incoming import client_answer_media, client_offer, core_offer_media
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_from_text

HEAD = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
MAPS = {
    "111": "opus/48000/2",
    "9": "G722/8000",
    "8": "PCMA/8000",
    "0": "PCMU/8000",
    "13": "CN/8000",
    "96": "EVS/16000",
    "97": "AMR-WB/16000",
    "110": "telephone-event/48000",
    "126": "telephone-event/8000",
    "100": "telephone-event/16000",
}
TRANSPORT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:passive\r\na=rtcp-mux\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)
KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n"


def audio(formats: str, proto: str = "RTP/AVP", extra: str = "") -> str:
    """A description with one audio line."""
    maps = "".join(f"a=rtpmap:{number} {MAPS[number]}\r\n" for number in formats.split())
    return f"{HEAD}m=audio 5004 {proto} {formats}\r\n{maps}{extra}a=sendrecv\r\n"


@pytest.mark.parametrize(
    ("offered", "operator", "expected"),
    [
        pytest.param("111 9 8 0 13 110 126", (), "111 110 126", id="Opus"),
        pytest.param("111 9 8 0 13 110 126", ("AMR-WB", "PCMA"), "111 110 126", id="to transcode: Opus"),
        pytest.param("111 9 8 0 13 110 126", ("PCMA", "PCMU"), "8 126", id="a trunk with G.711: that passes"),
        pytest.param("111 9 8 0 13 110 126", ("G722", "opus"), "9 126", id="G.722 is preferred"),
        pytest.param("111 110", ("PCMA",), "111 110", id="preferred, but the page has it not"),
        pytest.param("8 9 13 126", ("opus", "AMR-WB"), "8 126", id="a page without Opus"),
        pytest.param("9 126", ("opus",), "9 126", id="a page with G.722 alone"),
        pytest.param("96 111 110", ("opus",), "111 110", id="EVS is not needed"),
        pytest.param("96 111 100 110", ("EVS", "opus"), "96 100", id="EVS is preferred"),
        pytest.param("96 100 126", ("opus",), "96 100 126", id="nothing but EVS"),
        pytest.param("13 126", ("opus",), "", id="comfort noise is no codec"),
    ],
)
def test_what_a_page_speaks(offered: str, operator: tuple[str, ...], expected: str) -> None:
    line = sdp_from_text(audio(offered)).media[0]
    chosen = relayed_codecs(line, (), operator)
    assert " ".join(codec.payload_type for codec in chosen) == expected


@pytest.mark.parametrize(
    ("offered", "operator", "expected"),
    [
        pytest.param("97 8 0 126", (), ["97", "8", "0", "126"], id="the core's order"),
        pytest.param("97 8 0 126", ("PCMA", "AMR-WB-OA"), ["8", "97", "0", "126"], id="the operator's"),
        pytest.param("96 97 8 13 126", ("EVS", "opus"), ["97", "8", "126", "96"], id="EVS last, no CN"),
    ],
)
def test_what_is_taken_of_the_core(offered: str, operator: tuple[str, ...], expected: list[str]) -> None:
    (line,) = core_offer_media(sdp_from_text(audio(offered)), (), operator)
    assert list(sdp_from_text(line.sdp).media[0].formats) == expected


def client_is_offered(offered: str, relayed: str, operator: tuple[str, ...] = ()) -> list[str]:
    """Return the payload types a page is offered for what the core offers and the relay makes of it."""
    lines = core_offer_media(sdp_from_text(audio(offered)), (), operator)
    page = audio(relayed, "UDP/TLS/RTP/SAVPF", TRANSPORT)
    return list(client_offer(lines, {"audio": page}, Origin(1, 1)).media[0].formats)


class TestEvsTowardsAPage:
    """The relay cannot transcode it, and leaves it out wherever it transcodes."""

    @pytest.mark.parametrize(
        ("offered", "operator", "relayed", "expected"),
        [
            pytest.param("96 97 100 126", (), "111 110", ["96", "100", "111", "110"], id="it comes first"),
            pytest.param(
                "97 96 100", ("AMR-WB",), "111 110", ["96", "100", "111", "110"], id="first all the same"
            ),
            pytest.param("96 100", (), "96 100", ["96", "100"], id="nothing else"),
            pytest.param(
                "96 111 100", ("opus",), "111 110", ["111", "110", "96", "100"], id="Opus is liked better"
            ),
            pytest.param("96 97", (), "96 110", ["96", "110"], id="its number is taken: without it"),
            pytest.param("97 126", (), "111 110", ["111", "110"], id="the core has none"),
            pytest.param(
                "96 111 100", OnlyThese(("opus",)), "111", ["111"], id="no transcoding, and not named"
            ),
            pytest.param(
                "96 97 100", OnlyThese(("EVS", "opus")), "96 100", ["96", "100"], id="as it is, or not"
            ),
        ],
    )
    def test_what_a_page_is_offered(
        self, offered: str, operator: tuple[str, ...], relayed: str, expected: list[str]
    ) -> None:
        assert client_is_offered(offered, relayed, operator) == expected

    @pytest.mark.parametrize(
        ("answered", "codec", "kept"),
        [
            pytest.param("96 100 111 110", "evs", "96 100", id="EVS first"),
            pytest.param("111 96 110 100", "opus", "111 110 100", id="Opus first"),
            pytest.param("96", "evs", "96", id="without events"),
        ],
    )
    def test_a_page_speaks_one_of_both(self, answered: str, codec: str, kept: str) -> None:
        lines = core_offer_media(sdp_from_text(audio("96 97 100")), ())
        page = audio("111 110", "UDP/TLS/RTP/SAVPF", TRANSPORT)
        offer = client_offer(lines, {"audio": page}, Origin(1, 1))
        answer = audio(answered, "UDP/TLS/RTP/SAVPF", TRANSPORT.replace("passive", "active") + "a=mid:0\r\n")
        line = client_answer_media(offer, answer)["audio"]
        assert line.codec == codec
        assert list(sdp_from_text(line.sdp or "").media[0].formats) == kept.split()

    def test_a_page_that_has_it_not_refuses_with_the_reason(self) -> None:
        lines = core_offer_media(sdp_from_text(audio("96 100")), ())
        offer = client_offer(lines, {"audio": audio("96 100", "UDP/TLS/RTP/SAVPF", TRANSPORT)}, Origin(1, 1))
        refusal = f"{HEAD}m=audio 0 UDP/TLS/RTP/SAVPF 96\r\n"
        with pytest.raises(NotAcceptableHere, match="does not have EVS") as refused:
            client_answer_media(offer, refusal)
        assert (refused.value.status, refused.value.warn_code) == (488, 305)


@pytest.mark.parametrize("offered", ["96 97 126", "97 96"])
def test_a_client_with_evs_keeps_it_when_the_core_offers_again(offered: str) -> None:
    told = sdp_from_text(audio("96 100"))
    found = read_core_reoffer(sdp_from_text(audio(offered)), told, {"audio": 0}, ())
    assert found.going_on["audio"].codec == "evs"
    with pytest.raises(NotAcceptableHere):
        read_core_reoffer(sdp_from_text(audio("97 8")), told, {"audio": 0}, ())


class TestKeys:
    """SRTP of the core with keys in SDP (RFC 4568)."""

    def test_a_line_with_keys_is_taken_with_them(self) -> None:
        (line,) = core_offer_media(sdp_from_text(audio("8 126", "RTP/SAVP", KEY)), ())
        assert KEY in line.sdp
        assert protocol_of(line.sdp) == "RTP/SAVP"

    def test_a_line_without_is_refused(self) -> None:
        with pytest.raises(NotAcceptableHere, match="without keys of AES-CM"):
            core_offer_media(sdp_from_text(audio("8 126", "RTP/SAVP")), ())

    def test_plain_lines_carry_none_on(self) -> None:
        (line,) = core_offer_media(sdp_from_text(audio("8 126", "RTP/AVP", KEY)), ())
        assert "crypto" not in line.sdp

    def test_a_placeholder_has_none_so_that_the_relay_keeps_its_own(self) -> None:
        answer = placeholder_answer(audio("8 126", "RTP/SAVP", KEY))
        assert (protocol_of(answer), "crypto" in answer) == ("RTP/AVP", False)


@pytest.mark.parametrize(
    ("text", "codec", "protocol"),
    [(audio("126 13 8"), "pcma", "RTP/AVP"), (audio("111 8"), "opus", "RTP/AVP"), ("", "", "")],
)
def test_reading_a_line_for_its_profile(text: str, codec: str, protocol: str) -> None:
    assert (first_codec(text), protocol_of(text)) == (codec, protocol)
