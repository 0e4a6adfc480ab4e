"""What video each side is told to send (RFC 6184 §8.2.2, TS 26.114 §6.2.5)."""

from __future__ import annotations

import pytest

from kemi.core.sdp.interwork.video import bandwidth_kbps, demands, fitted_line, h264_level
from kemi.core.sdp.model import Codec, MediaDescription
from kemi.core.sdp.text import sdp_from_text

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
PAGE = (
    "m=video 9 UDP/TLS/RTP/SAVPF 108 114 96\r\nc=IN IP4 192.0.2.3\r\na=mid:1\r\n"
    "a=rtpmap:108 H264/90000\r\na=rtcp-fb:108 nack pli\r\n"
    "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    "a=rtpmap:114 H264/90000\r\na=rtcp-fb:114 nack pli\r\n"
    "a=fmtp:114 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n"
    "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=sendrecv\r\n"
)


def page() -> MediaDescription:
    return sdp_from_text(HEAD + PAGE).media[0]


def far(formats: str, *lines: str) -> str:
    return HEAD + "\r\n".join([f"m=video 5000 RTP/AVP {formats}", *lines, "a=sendrecv", ""])


def h264(payload_type: str, fmtp: str) -> tuple[str, str]:
    return f"a=rtpmap:{payload_type} H264/90000", f"a=fmtp:{payload_type} {fmtp}"


def codec(fmtp: str, name: str = "h264") -> Codec:
    return Codec("99", f"{name}/90000", name, 90000, fmtp, ())


@pytest.mark.parametrize(
    ("profile_level_id", "level"),
    [
        pytest.param("42e01f", 31, id="3.1"),
        pytest.param("42c00c", 12, id="1.2, with fewer constraints"),
        pytest.param("42e00d", 13, id="1.3"),
        pytest.param("42f00b", 10.5, id="1b: level 11 with constraint set 3"),
        pytest.param("42e00b", 11, id="1.1"),
        pytest.param("42e0", 10, id="too short"),
        pytest.param("zz", 10, id="no number"),
        pytest.param("", 10, id="missing: level 1"),
    ],
)
def test_the_level_of_a_format(profile_level_id: str, level: float) -> None:
    assert h264_level(codec(f"profile-level-id={profile_level_id}" if profile_level_id else "")) == level


@pytest.mark.parametrize(
    ("codecs", "kbps"),
    [
        pytest.param([codec("profile-level-id=42e00c")], 397, id="level 1.2: 384 and the headers"),
        pytest.param([codec("profile-level-id=42e00d")], 794, id="level 1.3"),
        pytest.param([codec("profile-level-id=42e01f")], 2067, id="level 3.1: as much as browsers send"),
        pytest.param([codec("", "vp8")], 2067, id="VP8 knows no levels"),
        pytest.param([codec("profile-level-id=42e00c"), codec("", "vp8")], 2067, id="the greatest counts"),
    ],
)
def test_bandwidth_goes_with_the_level(codecs: list[Codec], kbps: int) -> None:
    assert bandwidth_kbps(codecs) == kbps


class TestFitted:
    """The client's line, as the far end's wants it."""

    @pytest.mark.parametrize(
        ("name", "answer"),
        [
            pytest.param("h264", "", id="nothing known of the line"),
            pytest.param(
                "h264", far("108", *h264("108", "profile-level-id=42e01f;packetization-mode=1")), id="alike"
            ),
            pytest.param(
                "h264",
                far("108", *h264("108", "profile-level-id=42e028;packetization-mode=1")),
                id="a higher level: the client need not send more",
            ),
            pytest.param(
                "h264",
                far("108", *h264("108", "packetization-mode=1;profile-level-id=42G01f")),
                id="no level",
            ),
            pytest.param(
                "h264",
                far("108", *h264("108", "packetization-mode=1;profile-level-id=4280")),
                id="half of one",
            ),
            pytest.param(
                "h264",
                far("108", "b=AS:384.0", *h264("108", "packetization-mode=1;profile-level-id=42e01f")),
                id="a bandwidth that is none",
            ),
            pytest.param("av1", far("45", "a=rtpmap:45 AV1/90000"), id="a codec the client has not"),
        ],
    )
    def test_what_is_right_stays(self, name: str, answer: str) -> None:
        line = page()
        assert fitted_line(line, name, answer) is line

    @pytest.mark.parametrize(
        ("profile_level_id", "told"),
        [("42e00c", "42e00c"), ("42c00c", "42e00c"), ("42f00b", "42f00b"), ("42c00d", "42e00d")],
    )
    def test_a_lower_level_is_told_and_the_profile_stays(self, profile_level_id: str, told: str) -> None:
        answer = far("108", *h264("108", f"packetization-mode=1;profile-level-id={profile_level_id}"))
        fitted = fitted_line(page(), "h264", answer)
        assert fitted.formats == ("108", "114", "96")
        parameters = fitted.codecs[0].fmtp_parameters()
        assert parameters == {
            "level-asymmetry-allowed": "1",
            "packetization-mode": "1",
            "profile-level-id": told,
        }
        assert fitted.codecs[1].fmtp_parameters()["profile-level-id"] == "42e01f"

    @pytest.mark.parametrize(
        ("payload_type", "fmtp"),
        [
            pytest.param("114", "profile-level-id=42e01f;packetization-mode=0", id="as it was offered"),
            pytest.param("114", "profile-level-id=42e01f;packetization-mode=1", id="the number says it"),
            pytest.param("99", "profile-level-id=42e01f", id="a number of its own, the mode says it"),
        ],
    )
    def test_a_far_end_without_fragments_gets_single_nal_units(self, payload_type: str, fmtp: str) -> None:
        fitted = fitted_line(page(), "h264", far(payload_type, *h264(payload_type, fmtp)))
        assert fitted.formats == ("114",)
        assert [text for text in fitted.body if ":108 " in text or ":96 " in text] == []

    def test_an_answer_that_leaves_the_mode_out_keeps_that_of_its_number(self) -> None:
        fitted = fitted_line(page(), "h264", far("108", *h264("108", "profile-level-id=42e01f")))
        assert fitted.formats == ("108", "114", "96")

    def test_another_codec_stands_alone_on_the_line(self) -> None:
        fitted = fitted_line(page(), "vp8", far("96", "a=rtpmap:96 VP8/90000"))
        assert [(one.payload_type, one.feedback) for one in fitted.codecs] == [("96", ("nack pli",))]

    def test_a_line_written_for_one_codec_gets_another_of_the_client_s_back(self) -> None:
        narrow = fitted_line(page(), "vp8", far("96", "a=rtpmap:96 VP8/90000"))
        answer = far("114", *h264("114", "profile-level-id=42e01f"))
        assert fitted_line(narrow, "h264", answer) is narrow
        fitted = fitted_line(narrow, "h264", answer, HEAD + PAGE)
        assert fitted.formats == ("114",)
        assert fitted.codecs == page().codecs[1:2]
        assert "96" not in "".join(text for text in fitted.body if text.startswith(("a=rtpmap", "a=rtcp-fb")))

    def test_the_far_end_s_bandwidth_is_told_once(self) -> None:
        answer = far("96", "b=AS:512", "b=RS:0", "a=rtpmap:96 VP8/90000")
        fitted = fitted_line(page(), "vp8", answer)
        assert fitted.body[:3] == ("c=IN IP4 192.0.2.3", "b=AS:512", "a=mid:1")
        bound = sdp_from_text(HEAD + "\r\n".join([*fitted.lines, ""])).media[0]
        assert fitted_line(bound, "vp8", answer) is bound

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            pytest.param(["b=TIAS:256000"], "b=AS:265", id="the headers come on top"),
            pytest.param(["b=TIAS:256000", "b=AS:280"], "b=AS:280", id="it says both"),
            pytest.param(["b=TIAS:many"], None, id="no number"),
        ],
    )
    def test_a_limit_without_headers_is_told_with_them(self, said: list[str], told: str | None) -> None:
        answer = far("96", *said, "a=rtpmap:96 VP8/90000")
        fitted = fitted_line(page(), "vp8", answer)
        assert [line for line in fitted.body if line.startswith("b=")] == ([] if told is None else [told])

    def test_audio_is_the_relay_s_business(self) -> None:
        line = sdp_from_text(HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 8\r\na=sendrecv\r\n").media[0]
        assert fitted_line(line, "pcma", far("0")) is line


@pytest.mark.parametrize(
    ("feedback", "asks_by_pli"),
    [
        pytest.param(("ccm fir",), False, id="FIR alone"),
        pytest.param(("nack pli", "ccm fir"), True, id="both"),
        pytest.param(("nack pli",), True, id="PLI alone"),
        pytest.param((), True, id="nothing said"),
    ],
)
def test_a_client_asks_by_fir_who_takes_that_alone(feedback: tuple[str, ...], asks_by_pli: bool) -> None:
    promised = [f"a=rtcp-fb:108 {value}" for value in feedback]
    text = far("108", *h264("108", "packetization-mode=1;profile-level-id=42e01f"), *promised)
    fitted = fitted_line(page(), "h264", text)
    assert ("a=rtcp-fb:108 nack pli" in fitted.lines) is asks_by_pli


class TestDemands:
    """What the page has to hear of once more."""

    H264 = h264("108", "packetization-mode=1;profile-level-id=42e01f")

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(far("108", "b=AS:128", *H264), id="bandwidth"),
            pytest.param(far("108", "b=TIAS:128000", *H264), id="bandwidth without headers"),
            pytest.param(
                far("108", *h264("108", "packetization-mode=1;profile-level-id=42e00c")), id="level"
            ),
            pytest.param(far("114", *h264("114", "profile-level-id=42e01f")), id="packetization mode"),
            pytest.param(far("108", *H264, "a=rtcp-fb:108 ccm fir"), id="feedback"),
            pytest.param(far("108", *H264, "a=extmap:3 urn:3gpp:video-orientation"), id="orientation"),
            pytest.param("", id="nothing known"),
        ],
    )
    def test_what_the_page_heeds(self, other: str) -> None:
        assert demands(far("108", *self.H264), "h264") != demands(other, "h264")

    @pytest.mark.parametrize(
        "same",
        [
            pytest.param(far("108", *H264).replace("video 5000", "video 6000"), id="port"),
            pytest.param(far("108", "a=rtcp:6001", *H264), id="port of RTCP"),
            pytest.param(far("108 96", *H264, "a=rtpmap:96 VP8/90000"), id="another codec behind it"),
        ],
    )
    def test_what_it_does_not(self, same: str) -> None:
        assert demands(far("108", *self.H264), "h264") == demands(same, "h264")
