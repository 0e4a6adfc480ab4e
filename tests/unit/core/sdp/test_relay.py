"""What the media relay is told."""

import re

import pytest

from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.interwork import (
    placeholder_answer,
    relay_offer,
    repertoire,
    widened_offer,
    with_events_of_its_clock,
    without_events,
)
from kemi.core.sdp.judge import judge_offer
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.sdp.samples import OUR_SDK, bent, golden, judged

NOT_FOR_THE_RELAY = (
    *(
        "a=group",
        "a=extmap",
        "a=msid",
        "a=ssrc",
        "a=candidate",
        "a=rtcp-xr",
        "a=rtcp-rsize",
        "a=rid",
        "a=simulcast",
    ),
    *("a=bundle-only", "a=end-of-candidates"),
)


def relayed(name: str, kind: str = "audio") -> str:
    offer, judgement = judged(name)
    medium = judgement.medium(kind)
    assert medium is not None
    return relay_offer(offer, medium)


def test_the_relay_is_offered_one_plain_two_way_line() -> None:
    fingerprint = (
        "07:62:83:4A:12:C7:13:86:CA:9C:C0:04:95:A8:9A:B5:2D:F8:26:84:58:3F:21:66:37:82:AA:3A:02:5D:37:5A"
    )
    assert relayed("chromium-156-audio-sendonly").split("\r\n") == [
        "v=0",
        "o=- 2288463797207013375 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 110 126",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:8mon",
        "a=ice-pwd:wA4CQ24PYRqosPb0v1SRgedx",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        f"a=tls-id:{fingerprint.replace(':', '')}",
        "a=mid:0",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:126 telephone-event/8000",
        "a=sendrecv",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("chromium-156-av-sendonly", "video"),
        ("chromium-156-av-simulcast", "video"),
        ("firefox-form-audio-sendonly", "audio"),
        ("aiortc-1.16.0-av-sendonly", "video"),
        ("aiortc-1.16.0-audio-sendonly-and-recvonly", "audio"),
    ],
)
def test_nothing_of_webrtc_that_the_relay_does_not_end_reaches_it(name: str, kind: str) -> None:
    text = relayed(name, kind)
    description = sdp_from_text(text)
    assert len(description.media) == 1
    assert description.media[0].direction is Direction.SENDRECV
    orientation = "a=extmap:13 urn:3gpp:video-orientation"
    assert (orientation in text) is (kind == "video" and name.startswith("chromium"))
    rest = [line for line in text.splitlines() if line != orientation]
    assert not [line for line in rest if line.startswith(NOT_FOR_THE_RELAY)]
    assert text.count("a=fingerprint:sha-256 ") == text.count("a=fingerprint:") == 1


def test_no_address_of_the_client_reaches_the_relay() -> None:
    assert "192.0.2.2" not in relayed("chromium-156-audio-sendonly")
    assert ".local" not in relayed("chromium-156-audio-recvonly-mdns")


def test_video_keeps_the_feedback_a_terminal_understands() -> None:
    video = sdp_from_text(relayed("chromium-156-av-sendonly", "video")).media[0]
    assert [codec.feedback for codec in video.codecs] == [("ccm fir", "nack", "nack pli")] * 3


@pytest.mark.parametrize("promise", ["transport-cc", "goog-remb", "ack ccfb", "ack rpsi", "of tomorrow"])
def test_of_other_feedback_nothing_is_promised(promise: str) -> None:
    """RFC 8888 and its like: the relay ends SRTP and sends none."""
    asking = re.sub(
        r"(?m)^(a=rtcp-fb:\d+) nack\r$", rf"\1 nack\r\n\1 {promise}\r", golden("chromium-156-av-sendonly")
    )
    assert f" {promise}\r" in asking
    offer = sdp_from_text(asking)
    video = judge_offer(offer, OUR_SDK).medium("video")
    assert video is not None
    assert promise not in relay_offer(offer, video)


def _bent_and_relayed(*changes: tuple[str, str]) -> str:
    offer = sdp_from_text(bent("chromium-156-audio-sendonly", *changes))
    return relay_offer(offer, judge_offer(offer, OUR_SDK).media[0])


def test_a_line_without_mid_gets_none() -> None:
    assert "a=mid" not in _bent_and_relayed(("a=mid:0\r\n", ""))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param("", "trickle", id="none"),
        pytest.param("a=ice-options:renomination\r\n", "trickle", id="another"),
        pytest.param(
            "a=ice-options:renomination trickle\r\n", "renomination trickle", id="kept when it is among them"
        ),
    ],
)
def test_every_line_says_trickle_or_its_address_of_zeros_would_be_a_hold(theirs: str, ours: str) -> None:
    lines = _bent_and_relayed(("a=ice-options:trickle\r\n", theirs)).split("\r\n")
    assert [line for line in lines if line.startswith("a=ice-options")] == [f"a=ice-options:{ours}"]


def test_the_placeholder_answers_like_a_terminal_with_pcma() -> None:
    assert placeholder_answer(golden("rtpengine-10.5-audio-ims-offer")).split("\r\n")[2:] == [
        "s=-",
        "t=0 0",
        "m=audio 9 RTP/AVP 8 126",
        "c=IN IP4 127.0.0.2",
        "a=mid:0",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:126 telephone-event/8000",
        "a=sendrecv",
        "",
    ]


@pytest.mark.parametrize(
    ("changes", "m_line"),
    [
        pytest.param([(" 8 0 126", " 0 8 126")], "m=audio 9 RTP/AVP 8 126", id="PCMA wherever it is"),
        pytest.param([(" 8 0 126", " 0 126")], "m=audio 9 RTP/AVP 0 126", id="else the first"),
        pytest.param([(" 8 0 126", " 0")], "m=audio 9 RTP/AVP 0", id="no events offered"),
        pytest.param(
            [(" 8 0 126", " 97 126"), ("PCMA/8000", "PCMA/8000\r\na=rtpmap:97 AMR-WB/16000")],
            "m=audio 9 RTP/AVP 97",
            id="events of another clock rate do not fit",
        ),
    ],
)
def test_the_placeholder_names_one_codec_and_its_events(changes: list[tuple[str, str]], m_line: str) -> None:
    assert m_line in placeholder_answer(bent("rtpengine-10.5-audio-ims-offer", *changes)).split("\r\n")


@pytest.mark.parametrize(
    ("preferred", "m_line"),
    [
        pytest.param("opus", "m=audio 9 RTP/AVP 111 110", id="with the events of its clock rate"),
        pytest.param("pcmu", "m=audio 9 RTP/AVP 0 126", id="another"),
        pytest.param("evs", "m=audio 9 RTP/AVP 111 110", id="not offered: the first"),
    ],
)
def test_the_placeholder_answers_the_preferred_codec_where_it_is_offered(preferred: str, m_line: str) -> None:
    offer = bent(
        "rtpengine-10.5-audio-ims-offer",
        (" 8 0 126", " 111 8 0 126 110"),
        (
            "a=rtpmap:126 telephone-event/8000",
            "a=rtpmap:126 telephone-event/8000\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000",
        ),
    )
    assert m_line in placeholder_answer(offer, preferred).split("\r\n")


def test_the_placeholder_for_video_keeps_feedback_and_every_codec() -> None:
    video = sdp_from_text(placeholder_answer(golden("rtpengine-10.5-av-video-ims-offer"))).media[0]
    assert video.formats == ("108", "96")
    assert [codec.feedback for codec in video.codecs] == [("ccm fir", "nack", "nack pli")] * 2
    assert video.codecs[0].fmtp_parameters()["profile-level-id"] == "42e01f"


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        pytest.param(
            bent("rtpengine-10.5-audio-ims-offer", (" 8 0 126", " 126")), "no audio codec", id="no codec"
        ),
        pytest.param(
            bent("rtpengine-10.5-av-video-ims-offer", ("m=video 26590", "m=video 0")),
            "no port for video",
            id="port 0",
        ),
        pytest.param(
            golden("rtpengine-10.5-two-media-wic-answer"), "2 media lines instead of one", id="two lines"
        ),
        pytest.param(
            bent("rtpengine-10.5-audio-ims-offer", ("c=IN IP4 127.0.0.2\r\n", "")), "no port", id="no address"
        ),
    ],
)
def test_a_relay_that_cannot_carry_the_medium_is_unavailable(text: str, detail: str) -> None:
    with pytest.raises(MediaUnavailable, match=detail):
        placeholder_answer(text)


class TestWidenedOffer:
    """The page's offer with the codecs the relay is known to make of it."""

    def test_only_the_codecs_change(self) -> None:
        own = relayed("chromium-156-audio-sendonly")
        wide = "v=0\r\nm=audio 30000 RTP/AVP 111 8\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:8 PCMA/8000\r\n"
        offer = widened_offer(own, repertoire(wide))
        assert repertoire(offer) == repertoire(wide)
        assert "m=audio 9 UDP/TLS/RTP/SAVPF 111 8" in offer.split("\r\n")
        assert repertoire(offer).encodings == {"opus/48000/2", "pcma/8000"}
        assert widened_offer(offer, repertoire(own)) == own

    @pytest.mark.parametrize("name", ["chromium-156-audio-sendonly", "chromium-156-av-sendonly"])
    def test_a_pages_own_codecs_change_nothing(self, name: str) -> None:
        offer, judgement = judged(name)
        for medium in judgement.media:
            own = relay_offer(offer, medium)
            assert widened_offer(own, repertoire(own)) == own


def test_a_line_that_only_receives_is_told_without_events() -> None:
    lines = (
        "m=audio 9 RTP/AVP 96 110 126",
        "c=IN IP4 0.0.0.0",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
    )
    events = ("a=rtpmap:110 telephone-event/48000", "a=rtpmap:126 telephone-event/8000", "a=fmtp:126 0-15")
    head = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0")
    told = without_events("\r\n".join([*head, *lines, *events, "a=recvonly", ""]))
    assert told.split("\r\n") == [
        *head,
        "m=audio 9 RTP/AVP 96",
        *lines[1:],
        "a=recvonly",
        "",
    ]
    assert without_events(told) == told


def line_with(*codecs: str, formats: str) -> str:
    head = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"m=audio 9 RTP/AVP {formats}")
    return "\r\n".join(
        (*head, "c=IN IP4 0.0.0.0", *(f"a=rtpmap:{codec}" for codec in codecs), "a=sendrecv", "")
    )


def test_a_line_that_answers_has_events_at_the_clock_of_its_codec() -> None:
    line = line_with("109 opus/48000/2", "127 telephone-event/8000", formats="109 127")
    assert repertoire(with_events_of_its_clock(line)) == (
        ("109", "127", "126"),
        (
            "a=rtpmap:109 opus/48000/2",
            "a=rtpmap:127 telephone-event/8000",
            "a=rtpmap:126 telephone-event/48000",
        ),
    )
    again = with_events_of_its_clock(line)
    assert with_events_of_its_clock(again) == again


@pytest.mark.parametrize(
    ("codecs", "formats"),
    [
        pytest.param(("109 opus/48000/2",), "109", id="none"),
        pytest.param(
            ("111 opus/48000/2", "110 telephone-event/48000", "126 telephone-event/8000"),
            "111 110 126",
            id="both",
        ),
        pytest.param(("8 PCMA/8000", "101 telephone-event/8000"), "8 101", id="PCMA"),
        pytest.param(("9 G722/8000", "101 telephone-event/8000"), "9 101", id="G722"),
        pytest.param(("96 EVS/16000", "101 telephone-event/8000"), "96 101", id="what only passes"),
    ],
)
def test_others_stay_as_they_are(codecs: tuple[str, ...], formats: str) -> None:
    line = line_with(*codecs, formats=formats)
    assert with_events_of_its_clock(line) == line
