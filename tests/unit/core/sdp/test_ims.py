"""What IMS is told and what it says."""

import pytest

from kemi.core.errors import LocalProtocolError, MediaUnavailable, RemoteProtocolError
from kemi.core.sdp.interwork import ims_answer_media, ims_offer
from kemi.core.sdp.interwork.ims import MISSING, ImsMedium
from kemi.core.sdp.judge import judge_offer
from kemi.core.sdp.model import Direction, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.sdp.samples import ORIGIN, OUR_SDK, RELAY_IMS_OFFERS, bent, golden, goldens, judged

AV = "chromium-156-av-sendonly"
ANSWER = "ims-terminal-1-av-answer"
HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\r\n"
WIDE = (
    ("RTP/AVP 8 0 126", "RTP/AVP 8 0 97 96 126 100"),
    (
        "a=sendrecv",
        "a=rtpmap:97 AMR-WB/16000\r\na=rtpmap:96 AMR/8000\r\na=rtpmap:100 telephone-event/48000\r\na=sendrecv",
    ),
)


def offered(name: str, *preference: str) -> SessionDescription:
    _, judgement = judged(name)
    return ims_offer(judgement, goldens(RELAY_IMS_OFFERS, judgement.kinds), ORIGIN, preference)


class TestOffer:
    def test_audio_and_video_are_one_plain_line_each(self) -> None:
        assert sdp_to_text(offered(AV)).split("\r\n") == [
            "v=0",
            "o=- 4711 1 IN IP4 192.0.2.10",
            "s=-",
            "c=IN IP4 127.0.0.2",
            "t=0 0",
            f"m=audio {_port('audio')} RTP/AVP 8 0 126",
            "b=AS:80",
            "b=RS:600",
            "b=RR:2000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:126 telephone-event/8000",
            f"a=rtcp:{_port('audio') + 1}",
            "a=ptime:20",
            "a=sendrecv",
            f"m=video {_port('video')} RTP/AVP 108 96",
            "b=AS:2067",
            "b=RS:600",
            "b=RR:5000",
            "a=rtpmap:108 H264/90000",
            "a=rtcp-fb:108 ccm fir",
            "a=rtcp-fb:108 nack",
            "a=rtcp-fb:108 nack pli",
            "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 ccm fir",
            "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli",
            f"a=rtcp:{_port('video') + 1}",
            "a=sendrecv",
            "",
        ]

    @pytest.mark.parametrize(
        ("preference", "formats"),
        [
            pytest.param((), ("8", "0", "97", "96", "126"), id="the relay's order"),
            pytest.param(("AMR-WB", "AMR", "PCMA"), ("97", "96", "8", "0", "126"), id="wideband first"),
            pytest.param(("pcmu",), ("0", "8", "97", "96", "126"), id="one name, lower case"),
        ],
    )
    def test_audio_codecs_come_in_the_operators_order(
        self, preference: tuple[str, ...], formats: tuple[str, ...]
    ) -> None:
        _, judgement = judged("chromium-156-audio-sendonly")
        relayed = {"audio": bent(RELAY_IMS_OFFERS["audio"], *WIDE)}
        assert ims_offer(judgement, relayed, ORIGIN, preference).media[0].formats == formats

    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            pytest.param("sendonly", "sendrecv", id="the other one is added"),
            pytest.param("recvonly", "recvonly", id="a listener"),
            pytest.param("inactive", "inactive", id="held"),
        ],
    )
    def test_the_direction_is_what_the_client_will_have(self, own: str, expected: str) -> None:
        offer = sdp_from_text(bent("chromium-156-audio-sendonly", ("a=sendonly", f"a={own}")))
        judgement = judge_offer(offer, OUR_SDK)
        line = ims_offer(judgement, goldens(RELAY_IMS_OFFERS, ("audio",)), ORIGIN).media[0]
        assert line.direction == expected

    def test_a_kind_the_relay_does_not_offer_is_left_out(self) -> None:
        _, judgement = judged(AV)
        offer = ims_offer(judgement, goldens(RELAY_IMS_OFFERS, ("audio",)), ORIGIN)
        assert [line.kind for line in offer.media] == ["audio"]

    def test_media_on_two_addresses_say_so(self) -> None:
        _, judgement = judged(AV)
        relayed = goldens(RELAY_IMS_OFFERS, judgement.kinds)
        relayed["video"] = relayed["video"].replace("c=IN IP4 127.0.0.2", "c=IN IP4 192.0.2.77")
        offer = ims_offer(judgement, relayed, ORIGIN)
        assert [line.connection_address for line in offer.media] == ["127.0.0.2", "192.0.2.77"]

    def test_packet_lengths_stay(self) -> None:
        _, judgement = judged("chromium-156-audio-sendonly")
        relayed = {
            "audio": bent(
                RELAY_IMS_OFFERS["audio"], ("a=sendrecv", "a=ptime:20\r\na=maxptime:60\r\na=sendrecv")
            )
        }
        line = ims_offer(judgement, relayed, ORIGIN).media[0]
        assert (line.ptime_ms, line.maxptime_ms) == (20, 60)

    def test_an_ipv6_address_is_named_as_such(self) -> None:
        _, judgement = judged("chromium-156-audio-sendonly")
        origin = ORIGIN._replace(address="2001:db8::1")
        offer = ims_offer(judgement, goldens(RELAY_IMS_OFFERS, ("audio",)), origin)
        assert offer.session.values("o") == ["- 4711 1 IN IP6 2001:db8::1"]

    @pytest.mark.parametrize(
        ("relayed", "detail"),
        [
            pytest.param({}, "offered no medium", id="nothing"),
            pytest.param(
                {"audio": bent(RELAY_IMS_OFFERS["audio"], (" 8 0 126", " 126"))},
                "no audio codec",
                id="events only",
            ),
        ],
    )
    def test_a_relay_without_media_is_unavailable(self, relayed: dict[str, str], detail: str) -> None:
        _, judgement = judged("chromium-156-audio-sendonly")
        with pytest.raises(MediaUnavailable, match=detail):
            ims_offer(judgement, relayed, ORIGIN)


class TestAnswer:
    def test_each_kind_becomes_a_line_of_its_own(self) -> None:
        answer = ims_answer_media(golden(ANSWER), ["audio", "video"])
        assert list(answer) == ["audio", "video"]
        assert (answer["audio"].codec, answer["video"].codec) == ("pcmu", "vp8")
        assert answer["audio"].sdp is not None
        line = sdp_from_text(answer["audio"].sdp).media[0]
        assert (line.port, line.formats, line.connection_address) == (50508, ("0", "126"), "127.0.0.9")

    def test_what_the_session_says_is_said_by_the_line(self) -> None:
        answer = ims_answer_media(golden("ims-terminal-2-audio-preconditions"), ["audio"])["audio"]
        assert answer.sdp is not None
        lines = answer.sdp.split("\r\n")
        assert lines[4] == "m=audio 49152 RTP/AVP 97 100"
        assert {"c=IN IP6 2001:db8::9", "a=sendrecv", "b=AS:49", "a=ptime:20", "a=maxptime:240"} <= set(lines)
        assert answer.codec == "amr-wb"
        assert "qos" not in answer.sdp

    @pytest.mark.parametrize(
        ("old", "new", "direction"),
        [
            pytest.param("a=sendrecv", "a=sendonly", Direction.SENDONLY, id="as written"),
            pytest.param("c=IN IP4 127.0.0.9", "c=IN IP4 0.0.0.0", Direction.SENDONLY, id="held the old way"),
        ],
    )
    def test_the_direction_is_that_of_the_peer(self, old: str, new: str, direction: Direction) -> None:
        answer = ims_answer_media(bent(ANSWER, (old, new)), ["audio", "video"])
        assert {medium.direction for medium in answer.values()} == {direction}

    def test_rejected_video_leaves_audio(self) -> None:
        text = bent(ANSWER, ("m=video 51644 RTP/AVPF 96\r\nc=IN IP4 127.0.0.9", "m=video 0 RTP/AVPF 96"))
        answer = ims_answer_media(text, ["audio", "video"])
        assert answer["video"] == ImsMedium(None, Direction.INACTIVE, None)
        assert answer["audio"].sdp is not None

    def test_last_lines_that_are_left_out_are_refused(self) -> None:
        answer = ims_answer_media(golden("ims-terminal-2-audio-preconditions"), ["audio", "video"])
        assert (answer["audio"].sdp is not None, answer["video"]) == (True, MISSING)

    @pytest.mark.parametrize(
        ("text", "kinds", "detail"),
        [
            pytest.param(
                golden(ANSWER), ["audio"], "describes audio and video, not audio", id="a line too many"
            ),
            pytest.param(golden(ANSWER), ["video", "audio"], "not video and audio", id="another order"),
            pytest.param(golden(ANSWER).partition("m=")[0], ["audio"], "describes nothing", id="no line"),
            pytest.param(
                bent(ANSWER, ("c=IN IP4 127.0.0.9\r\n", "")),
                ["audio", "video"],
                "audio line has no c= line",
                id="no c=",
            ),
            pytest.param(
                bent(ANSWER, ("RTP/AVPF 0 126", "RTP/AVPF 126")),
                ["audio", "video"],
                "names no codec",
                id="events only",
            ),
        ],
    )
    def test_an_answer_that_does_not_fit_is_a_protocol_error(
        self, text: str, kinds: list[str], detail: str
    ) -> None:
        with pytest.raises(RemoteProtocolError, match=detail):
            ims_answer_media(text, kinds)

    @pytest.mark.parametrize(
        ("protocol", "keys", "detail"),
        [
            pytest.param("RTP/SAVP", CRYPTO, "", id="as offered"),
            pytest.param("rtp/savp", CRYPTO.replace("crypto:1", "crypto:2"), "", id="the second suite"),
            pytest.param("RTP/SAVP", CRYPTO.replace("AES_CM", "aes_cm"), "", id="a suite in lower case"),
            pytest.param("RTP/AVP", "", "answers RTP/SAVP with RTP/AVP", id="in clear"),
            pytest.param("RTP/AVP", CRYPTO, "answers RTP/SAVP with RTP/AVP", id="in clear beside a key"),
            pytest.param("UDP/TLS/RTP/SAVPF", CRYPTO, "with UDP/TLS/RTP/SAVPF", id="DTLS"),
            pytest.param("RTP/SAVP", "", "no key of a suite", id="no key"),
            pytest.param(
                "RTP/SAVP", CRYPTO.replace("crypto:1", "crypto:3"), "no key of a suite", id="another tag"
            ),
            pytest.param(
                "RTP/SAVP",
                CRYPTO.replace("_80", "_32"),
                "no key of a suite",
                id="a suite under another's tag",
            ),
        ],
    )
    def test_keys_that_were_offered_are_answered(self, protocol: str, keys: str, detail: str) -> None:
        offer = f"{HEAD}m=audio 30000 RTP/SAVP 8\r\n{CRYPTO}{CRYPTO.replace('crypto:1', 'crypto:2')}"
        answer = f"{HEAD}m=audio 40000 {protocol} 8\r\n{keys}"
        if not detail:
            assert "a=crypto:" in (ims_answer_media(answer, ["audio"], offer)["audio"].sdp or "")
            return
        with pytest.raises(RemoteProtocolError, match=detail):
            ims_answer_media(answer, ["audio"], offer)

    @pytest.mark.parametrize(
        ("protocol", "is_taken"),
        [
            ("RTP/AVP", True),
            ("rtp/avp", True),
            ("RTP/AVPF", True),
            ("RTP/SAVP", False),
            ("UDP/TLS/RTP/SAVPF", False),
            ("udptl", False),
        ],
    )
    @pytest.mark.parametrize("ours", ["RTP/AVP", "RTP/AVPF"])
    def test_in_clear_nothing_else_is_answered(self, ours: str, protocol: str, is_taken: bool) -> None:
        offer = f"{HEAD}m=audio 30000 {ours} 8\r\n"
        answer = f"{HEAD}m=audio 40000 {protocol} 8\r\n"
        if is_taken:
            assert f" {protocol} 8\r\n" in (ims_answer_media(answer, ["audio"], offer)["audio"].sdp or "")
            return
        with pytest.raises(RemoteProtocolError, match=f"answers {ours} with {protocol}"):
            ims_answer_media(answer, ["audio"], offer)

    def test_codecs_that_were_not_offered_are_not_the_relays(self) -> None:
        """RFC 3264 §6.1 allows them, beside one that was."""
        offer = f"{HEAD}m=audio 30000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        answer = f"{HEAD}m=audio 40000 RTP/AVP 18 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        found = ims_answer_media(answer, ["audio"], offer)["audio"]
        assert "m=audio 40000 RTP/AVP 8 101\r\n" in (found.sdp or "")
        assert found.codec == "pcma"

    def test_what_is_no_payload_type_is_not_the_relays(self) -> None:
        answer = f"{HEAD}m=audio 40000 RTP/AVP 8 200\r\na=rtpmap:200 telephone-event/8000\r\n"
        line = ims_answer_media(answer, ["audio"])["audio"].sdp or ""
        assert ("m=audio 40000 RTP/AVP 8\r\n" in line, "200" in line) == (True, False)

    def test_two_lines_of_one_kind_are_never_offered_to_ims(self) -> None:
        with pytest.raises(LocalProtocolError):
            ims_answer_media(golden(ANSWER), ["audio", "audio"])


def _port(kind: str) -> int:
    return sdp_from_text(golden(RELAY_IMS_OFFERS[kind])).media[0].port
