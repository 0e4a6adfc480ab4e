"""Answers the scripted page and the scripted device make."""

from __future__ import annotations

import pytest

from tests.peers.device_sdp import DeviceMedia, NoCommonCodecError, device_answer, device_offer
from tests.peers.sdp import answer_to, page_offer, sdp_from_text, sdp_to_text

GATEWAY_LINE = """m={kind} {port} UDP/TLS/RTP/SAVPF {formats}
c=IN IP4 203.0.113.5
a=ice-ufrag:gw
a=ice-pwd:gwgwgwgwgwgwgwgwgwgwgwgw
a=fingerprint:sha-256 00:11
a=setup:actpass
a=mid:{mid}
a={direction}
a=rtcp-mux
"""
CODECS = {
    "audio": "a=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1\n",
    "video": "a=rtpmap:96 VP8/90000\n",
}
FORMATS = {"audio": "111", "video": "96"}


def gateway_offer(*lines: tuple[str, str, str], bundle: str = "", ports: int = 30000) -> str:
    text = "v=0\no=gw 1 2 IN IP4 203.0.113.5\ns=-\nt=0 0\n" + (f"a=group:BUNDLE {bundle}\n" if bundle else "")
    for index, (kind, mid, direction) in enumerate(lines):
        port = ports + 2 * index
        text += GATEWAY_LINE.format(kind=kind, port=port, formats=FORMATS[kind], mid=mid, direction=direction)
        text += CODECS[kind]
    return text.replace("\n", "\r\n")


class TestThePagesAnswer:
    def test_its_own_line_keeps_transport_and_direction_and_the_added_line_receives(self) -> None:
        own = page_offer()
        offer = gateway_offer(("audio", "0", "recvonly"), ("audio", "r0", "sendonly"), bundle="0 r0")
        answer = sdp_from_text(answer_to(offer, own))
        first, added = answer.media
        assert (first.direction, added.direction) == ("sendonly", "recvonly")
        assert (first.attribute("mid"), added.attribute("mid")) == ("0", "r0")
        assert answer.bundle == ["0", "r0"]
        assert first.port == sdp_from_text(own).media[0].port
        for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            wanted = sdp_from_text(own).media[0].attribute(name)
            assert first.attribute(name) == added.attribute(name) == wanted
        assert added.payload_type("opus") == 111
        assert added.attribute("candidate") is None

    def test_without_a_bundle_group_the_added_line_has_its_own_port_and_candidates(self) -> None:
        offer = gateway_offer(("audio", "0", "recvonly"), ("audio", "r0", "sendonly"))
        first, added = sdp_from_text(answer_to(offer, page_offer())).media
        assert added.port not in (0, 9, first.port)
        assert (added.attribute("candidate") or "").split()[5] == str(added.port)
        assert sdp_from_text(answer_to(offer, page_offer())).bundle == []

    @pytest.mark.parametrize(
        ("first_answer_setup", "role"),
        [
            pytest.param("passive", "active", id="gateway was passive"),
            pytest.param("active", "passive", id="gateway was active"),
        ],
    )
    def test_the_dtls_role_of_the_first_answer_stays(self, first_answer_setup: str, role: str) -> None:
        offer = gateway_offer(("audio", "0", "recvonly"))
        answer = answer_to(offer, page_offer(), first_answer=f"v=0\r\na=setup:{first_answer_setup}\r\n")
        assert sdp_from_text(answer).media[0].attributes("setup") == [role]

    def test_audio_and_video_each_get_their_reverse_line(self) -> None:
        own = page_offer(video="sendonly")
        offer = gateway_offer(
            ("audio", "0", "recvonly"),
            ("video", "1", "recvonly"),
            ("audio", "r0", "sendonly"),
            ("video", "r1", "sendonly"),
        )
        answer = sdp_from_text(answer_to(offer, own))
        assert [m.kind for m in answer.media] == ["audio", "video", "audio", "video"]
        assert [m.direction for m in answer.media] == ["sendonly", "sendonly", "recvonly", "recvonly"]
        assert len({m.port for m in answer.media}) == 4

    def test_a_line_the_gateway_removed_stays_removed(self) -> None:
        offer = gateway_offer(("audio", "0", "recvonly")) + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n"
        assert sdp_from_text(answer_to(offer, page_offer(video="sendonly"))).media[1].port == 0

    def test_an_added_line_can_be_refused_its_direction(self) -> None:
        offer = gateway_offer(("audio", "0", "recvonly"), ("audio", "r0", "sendonly"))
        answer = sdp_from_text(answer_to(offer, page_offer(), added="inactive"))
        assert answer.media[1].direction == "inactive"


class TestThePagesOffer:
    @pytest.mark.parametrize(
        ("audio", "video", "kinds"),
        [
            pytest.param("sendonly", None, ["audio"], id="audio"),
            pytest.param("sendrecv", "sendonly", ["audio", "video"], id="both"),
            pytest.param(None, "recvonly", ["video"], id="video"),
        ],
    )
    def test_it_has_the_lines_and_directions_asked_for(
        self, audio: str | None, video: str | None, kinds: list[str]
    ) -> None:
        text = page_offer(audio=audio, video=video)
        sdp = sdp_from_text(text)
        assert [m.kind for m in sdp.media] == kinds
        assert [m.direction for m in sdp.media] == [d for d in (audio, video) if d]
        assert sdp.bundle == [str(n) for n in range(len(kinds))]
        assert sdp_to_text(sdp) == text


class TestTheDevicesAnswer:
    OFFER = (
        "v=0\r\no=gw 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=audio 5000 RTP/AVP 8 0 98 101\r\na=rtpmap:98 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
        "m=video 5002 RTP/AVP 99\r\na=rtpmap:99 VP8/90000\r\na=rtcp-fb:99 nack\r\n"
    )

    def test_it_takes_one_codec_and_the_events_of_its_clock_and_refuses_video(self) -> None:
        audio, video = sdp_from_text(device_answer(self.OFFER, DeviceMedia(audio="PCMU"))).media
        assert audio.formats == ["0", "101"]
        assert video.port == 0

    def test_events_of_another_clock_are_left_out(self) -> None:
        assert sdp_from_text(device_answer(self.OFFER, DeviceMedia(audio="opus"))).media[0].formats == ["98"]

    def test_it_accepts_video_when_told(self) -> None:
        video = sdp_from_text(device_answer(self.OFFER, DeviceMedia(video="VP8", video_port=6002))).media[1]
        assert (video.port, video.formats, video.direction) == (6002, ["99"], "sendrecv")

    def test_a_codec_nobody_offered_is_an_error(self) -> None:
        with pytest.raises(NoCommonCodecError):
            device_answer(self.OFFER, DeviceMedia(audio="AMR-WB"))

    @pytest.mark.parametrize("codec", ["PCMA", "PCMU", "opus", "AMR-WB"])
    def test_its_own_offer_can_be_answered(self, codec: str) -> None:
        media = DeviceMedia(audio=codec, video="VP8")
        answer = sdp_from_text(device_answer(device_offer(media), media))
        assert answer.media[0].payload_type(codec) is not None
        assert answer.media[1].payload_type("VP8") is not None
