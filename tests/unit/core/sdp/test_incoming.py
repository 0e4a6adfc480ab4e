"""A call towards a web client: what of the core's offer it gets, and what of its answer the core gets."""

from __future__ import annotations

import re

import pytest

from kemi.core.errors import MediaUnavailable, NotAcceptableHere, RemoteProtocolError, SdpSyntaxError
from kemi.core.sdp.interwork.incoming import (
    CoreLine,
    client_answer_media,
    client_offer,
    core_answer,
    core_offer_media,
    offered_transport,
)
from kemi.core.sdp.interwork.payload_types import numbered_apart
from kemi.core.sdp.model import Direction, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.call import descriptions
from tests.unit.core.sdp.samples import ORIGIN, golden

HEAD = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
AUDIO = (
    "m=audio 4000 RTP/AVP 104 8 18 101\r\nb=AS:38\r\na=rtpmap:104 AMR-WB/16000\r\na=fmtp:104 octet-align=1\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
    "a=curr:qos local none\r\na=sendrecv\r\n"
)
VIDEO = (
    "m=video 4002 RTP/AVPF 99 102 34\r\na=rtpmap:99 VP8/90000\r\na=rtpmap:102 H264/90000\r\n"
    "a=fmtp:102 profile-level-id=42e01f\r\na=rtcp-fb:102 nack pli\r\n"
)
SAME_TYPE = "m=video 4002 RTP/AVPF 104\r\na=rtpmap:104 VP8/90000\r\n"
VIDEO_CODECS = ("H264", "VP8")


def chosen(*lines: str) -> tuple[CoreLine, ...]:
    """Read the core's offer of these lines."""
    return core_offer_media(sdp_from_text(HEAD + "".join(lines)), VIDEO_CODECS)


def offered(*lines: str, max_bundle: bool = False) -> tuple[tuple[CoreLine, ...], SessionDescription]:
    """Offer a client what the core offers."""
    found = chosen(*lines)
    relay = {
        line.kind: descriptions.relay_reverse_offer(line.kind, 30200 + 2 * number)
        for number, line in enumerate(found)
    }
    return found, client_offer(found, relay, ORIGIN, max_bundle=max_bundle)


class TestTheCoresOffer:
    def test_the_relay_gets_one_line_with_the_codecs_it_takes(self) -> None:
        audio, video = chosen(AUDIO, VIDEO)
        assert audio.sdp.split("\r\n") == [
            "v=0",
            "o=- 1 1 IN IP4 198.51.100.7",
            "s=-",
            "t=0 0",
            "m=audio 4000 RTP/AVP 104 8 101",
            "c=IN IP4 198.51.100.7",
            "b=AS:38",
            "a=rtpmap:104 AMR-WB/16000",
            "a=fmtp:104 octet-align=1",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=ptime:20",
            "a=sendrecv",
            "",
        ]
        assert "m=video 4002 RTP/AVPF 99 102\r\n" in video.sdp
        assert "a=rtcp-fb:102 nack pli" in video.sdp
        assert (audio.place, video.place) == (0, 1)

    def test_the_first_usable_line_of_each_kind_counts(self) -> None:
        encrypted = AUDIO.replace("RTP/AVP", "RTP/SAVP")
        lines = chosen(encrypted, VIDEO, AUDIO, AUDIO, VIDEO)
        assert [(line.kind, line.place) for line in lines] == [("video", 1), ("audio", 2)]

    def test_a_terminal_with_preconditions(self) -> None:
        offer = sdp_from_text(golden("ims-terminal-2-audio-preconditions"))
        (audio,) = core_offer_media(offer, VIDEO_CODECS)
        assert "a=curr" not in audio.sdp
        assert "c=IN IP6 2001:db8::9" in audio.sdp

    @pytest.mark.parametrize("direction", list(Direction))
    def test_its_direction_is_kept(self, direction: Direction) -> None:
        (line,) = chosen(AUDIO.replace("sendrecv", direction))
        assert line.direction is direction

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            pytest.param([], "no media line", id="nothing"),
            pytest.param([AUDIO.replace("4000", "0")], "switched off", id="port 0"),
            pytest.param([AUDIO.replace("RTP/AVP", "RTP/SAVP")], "RTP/SAVP", id="SRTP"),
            pytest.param(
                [AUDIO.replace("AMR-WB", "iLBC").replace("PCMA", "x")], "none of the codecs", id="codec"
            ),
            pytest.param(
                [AUDIO.replace("PCMA", "x").replace("octet-align=1", "octet-align=1; crc=1")],
                "AMR with CRCs",
                id="AMR with CRCs",
            ),
            pytest.param(
                ["m=audio 4000 RTP/AVP 200 abc\r\na=rtpmap:200 AMR-WB/16000\r\na=rtpmap:abc PCMA/8000\r\n"],
                "none of the codecs",
                id="no payload types",
            ),
            pytest.param(["m=message 9 TCP/MSRP *\r\n"], "neither audio nor video", id="MSRP"),
            pytest.param(
                [AUDIO.replace("RTP/AVP", "RTP/SAVP"), VIDEO], "audio line", id="video alone of both"
            ),
            pytest.param(
                [AUDIO.replace("4000", "0"), AUDIO.replace("RTP/AVP", "RTP/SAVP"), VIDEO],
                "audio line uses RTP/SAVP",
                id="one audio line off, one unusable",
            ),
        ],
    )
    def test_what_cannot_be_offered(self, lines: list[str], words: str) -> None:
        with pytest.raises(NotAcceptableHere, match=words):
            chosen(*lines)

    @pytest.mark.parametrize(
        ("fmtp", "taken"),
        [
            ("octet-align=1;crc=1", False),
            ("octet-align=1;robust-sorting=1", False),
            ("octet-align=1;interleaving=4", False),
            ("octet-align=1;crc=0;robust-sorting=0", True),
        ],
    )
    def test_of_amr_the_formats_that_the_relay_knows(self, fmtp: str, taken: bool) -> None:
        """RFC 4867 §4.4: with CRCs, sorted or interleaved it would not be understood."""
        (audio,) = chosen(AUDIO.replace("octet-align=1", fmtp))
        assert ("a=rtpmap:104 AMR-WB/16000" in audio.sdp) is taken
        assert "a=rtpmap:8 PCMA/8000" in audio.sdp

    def test_audio_that_is_switched_off_is_not_offered(self) -> None:
        """RFC 3264 §5.1: a call moved with video alone keeps its place."""
        assert [(line.kind, line.place) for line in chosen(AUDIO.replace("4000", "0"), VIDEO)] == [
            ("video", 1)
        ]

    def test_without_an_address(self) -> None:
        with pytest.raises(RemoteProtocolError, match="c= line"):
            core_offer_media(sdp_from_text(HEAD.replace("c=IN IP4 198.51.100.7\r\n", "") + AUDIO), ())

    def test_video_is_left_out_where_its_codec_is_not_allowed(self) -> None:
        offer = sdp_from_text(HEAD + AUDIO + VIDEO)
        assert [line.kind for line in core_offer_media(offer, ())] == ["audio"]


class TestTheClientsOffer:
    def test_one_two_way_line_for_each_kind_with_a_transport_of_its_own(self) -> None:
        _, offer = offered(AUDIO, VIDEO)
        assert offer.bundle_groups == ()
        assert offer.session.flag("ice-lite")
        assert [(media.kind, media.mid, media.direction) for media in offer.media] == [
            ("audio", "0", "sendrecv"),
            ("video", "1", "sendrecv"),
        ]
        for media in offer.media:
            assert media.setup == "actpass"
            assert media.rtcp_mux
            assert media.ice_ufrag
            assert media.fingerprints
            assert media.attribute("msid") == f"gw gw{media.mid}"
        assert [media.port for media in offer.media] == [30200, 30202]

    @pytest.mark.parametrize(
        ("lines", "groups"),
        [pytest.param([AUDIO], (("0",),), id="audio"), pytest.param([AUDIO, VIDEO], (), id="video")],
    )
    def test_one_line_alone_is_a_group_where_pages_have_max_bundle(
        self, lines: list[str], groups: tuple[tuple[str, ...], ...]
    ) -> None:
        assert offered(*lines, max_bundle=True)[1].bundle_groups == groups

    @pytest.mark.parametrize(
        ("lines", "one_way", "max_bundle", "transport", "reason"),
        [
            pytest.param(
                [AUDIO, VIDEO], True, False, "shared", "the client registered for a line", id="asked"
            ),
            pytest.param([AUDIO, SAME_TYPE], True, False, "shared", "the client registered", id="same type"),
            pytest.param([AUDIO], False, True, "shared", "pages have one transport", id="max-bundle"),
            pytest.param([AUDIO, VIDEO], False, True, "split", "one line for each", id="max-bundle, video"),
            pytest.param([AUDIO], False, False, "split", "one line for each", id="two-way"),
        ],
    )
    def test_the_transport_has_a_reason(
        self, lines: list[str], one_way: bool, max_bundle: bool, transport: str, reason: str
    ) -> None:
        found, why = offered_transport(chosen(*lines), one_way=one_way, max_bundle=max_bundle)
        assert found == transport
        assert why.startswith(reason)

    def test_otherwise_one_line_is_alone_so_that_video_may_be_added(self) -> None:
        assert offered(AUDIO)[1].bundle_groups == ()

    @pytest.mark.parametrize("other", ["nack", "trr-int 5000", "ccm tmmbr", "goog-remb"])
    def test_a_core_that_names_other_feedback_can_be_asked_for_key_frames(self, other: str) -> None:
        source = descriptions.relay_reverse_offer("video").replace("96 nack pli", f"96 {other}")
        offer = client_offer(chosen(VIDEO), {"video": source}, ORIGIN)
        assert offer.media[0].attributes("rtcp-fb") == [f"96 {other}", "96 nack pli", "96 ccm fir"]

    def test_video_of_a_core_without_feedback_can_still_ask_for_key_frames(self) -> None:
        found = chosen(VIDEO)
        bare = descriptions.relay_reverse_offer("video").replace("a=rtcp-fb:96 nack pli\r\n", "")
        offer = client_offer(found, {"video": bare}, ORIGIN)
        assert offer.media[0].attributes("rtcp-fb") == ["96 nack pli", "96 ccm fir"]
        _, with_feedback = offered(VIDEO)
        assert with_feedback.media[0].attributes("rtcp-fb") == ["96 nack pli"]

    def test_a_held_line_is_held(self) -> None:
        _, offer = offered(AUDIO.replace("sendrecv", "sendonly"))
        assert offer.media[0].direction is Direction.SENDONLY

    def test_a_relay_without_a_port(self) -> None:
        text = re.sub(r"m=audio \d+", "m=audio 0", descriptions.relay_reverse_offer("audio"))
        with pytest.raises(MediaUnavailable):
            client_offer(chosen(AUDIO), {"audio": text}, ORIGIN)


class TestTheClientsAnswer:
    def test_each_line_for_the_relay(self) -> None:
        _, offer = offered(AUDIO, VIDEO)
        found = client_answer_media(offer, descriptions.page_answer(sdp_to_text(offer)))
        assert list(found) == ["audio", "video"]
        audio = found["audio"]
        assert (audio.direction, audio.codec) == (Direction.SENDRECV, "opus")
        assert audio.sdp is not None
        assert "c=IN IP4 0.0.0.0" in audio.sdp
        assert "a=setup:active" in audio.sdp
        assert "a=ice-ufrag:page" in audio.sdp

    def test_a_refused_line(self) -> None:
        _, offer = offered(AUDIO, VIDEO)
        found = client_answer_media(offer, descriptions.page_answer(sdp_to_text(offer), refuse=("1",)))
        assert found["video"] == (Direction.INACTIVE, None, "")

    @pytest.mark.parametrize(
        ("old", "new", "error"),
        [
            pytest.param("m=audio", "m=video", RemoteProtocolError, id="another kind"),
            pytest.param("UDP/TLS/RTP/SAVPF", "RTP/AVP", RemoteProtocolError, id="another protocol"),
            pytest.param("a=mid:0", "a=mid:9", RemoteProtocolError, id="another mid"),
            pytest.param("a=fingerprint:", "a=x:", RemoteProtocolError, id="no fingerprint"),
            pytest.param("a=ice-pwd:", "a=x:", RemoteProtocolError, id="no ICE"),
            pytest.param("a=setup:active", "a=setup:actpass", RemoteProtocolError, id="no DTLS role"),
            pytest.param("opus", "telephone-event", NotAcceptableHere, id="no codec"),
            pytest.param("opus/48000/2", "PCMU/8000", NotAcceptableHere, id="a codec that was not offered"),
            pytest.param("m=audio 9 ", "m=audio 0 ", NotAcceptableHere, id="refused"),
            pytest.param("v=0\r\n", "nonsense\r\n", SdpSyntaxError, id="no description"),
        ],
    )
    def test_one_that_does_not_fit(self, old: str, new: str, error: type[Exception]) -> None:
        _, offer = offered(AUDIO)
        answer = descriptions.page_answer(sdp_to_text(offer))
        assert old in answer
        with pytest.raises(error):
            client_answer_media(offer, answer.replace(old, new))

    def test_a_line_too_many(self) -> None:
        _, offer = offered(AUDIO)
        _, wider = offered(AUDIO, VIDEO)
        with pytest.raises(RemoteProtocolError, match="2 media lines, the offer 1"):
            client_answer_media(offer, descriptions.page_answer(sdp_to_text(wider)))

    def test_a_direction_that_contradicts(self) -> None:
        _, offer = offered(AUDIO.replace("sendrecv", "sendonly"))
        answer = descriptions.page_answer(sdp_to_text(offer)).replace("a=recvonly", "a=sendrecv")
        with pytest.raises(RemoteProtocolError, match="offered sendonly"):
            client_answer_media(offer, answer)


class TestTheCoresAnswer:
    def answer(self, *lines: str, taken: tuple[str, ...] = ("audio", "video")) -> list[str]:
        text = HEAD + "".join(lines)
        offer = sdp_from_text(text)
        found = core_offer_media(offer, VIDEO_CODECS)
        directions = dict.fromkeys(("audio", "video"), Direction.SENDRECV)
        relay = {kind: descriptions.relay_offer(kind) for kind in taken}
        return sdp_to_text(core_answer(offer, found, directions, relay, ORIGIN)).split("\r\n")

    def test_its_lines_in_its_order_with_the_protocol_it_offered(self) -> None:
        lines = self.answer(VIDEO, "m=message 9 TCP/MSRP *\r\n", AUDIO)
        assert [line.split(" ")[0:3] for line in lines if line.startswith("m=")] == [
            ["m=video", "30000", "RTP/AVPF"],
            ["m=message", "0", "TCP/MSRP"],
            ["m=audio", "30000", "RTP/AVP"],
        ]
        assert lines.count("a=sendrecv") == 2
        assert not [line for line in lines if line.startswith(("a=ice", "a=fingerprint", "a=setup"))]

    def test_what_the_page_refused_gets_port_0(self) -> None:
        lines = self.answer(AUDIO, VIDEO, taken=("audio",))
        assert "m=video 0 RTP/AVPF 99 102 34" in lines


class TestPayloadTypesOfOneWayLines:
    """A browser tells them apart by nothing else."""

    def offered(self, video: str, *, one_way: bool = True) -> list[tuple[str, ...]]:
        relay = {"audio": descriptions.relay_reverse_offer("audio"), "video": self.video(video)}
        offer = client_offer(chosen(AUDIO, VIDEO), relay, ORIGIN, one_way=one_way)
        return [media.formats for media in offer.media]

    def video(self, number: str) -> str:
        text = descriptions.relay_reverse_offer("video")
        return re.sub(r"(SAVPF |a=rtpmap:|a=rtcp-fb:)96", rf"\g<1>{number}", text)

    def test_audio_gets_another_where_video_has_its_own(self) -> None:
        assert self.offered("96") == [("111", "110")] * 2 + [("96",)] * 2
        assert self.offered("111") == [("127", "110")] * 2 + [("111",)] * 2

    def test_all_that_is_said_of_it_has_the_new_number(self) -> None:
        source = sdp_from_text(descriptions.relay_reverse_offer("audio")).media[0]
        renumbered = numbered_apart(source, [sdp_from_text(self.video("111")).media[0]])
        assert [(codec.payload_type, codec.encoding) for codec in renumbered.codecs] == [
            ("127", "opus/48000/2"),
            ("110", "telephone-event/48000"),
        ]
        assert numbered_apart(source, []) is source

    def test_two_way_lines_have_transports_of_their_own(self) -> None:
        assert self.offered("111", one_way=False) == [("111", "110"), ("111",)]
