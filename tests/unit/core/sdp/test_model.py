"""Typed views over the lines."""

import pytest

from kemi.core.errors import SdpSyntaxError
from kemi.core.sdp.build import codec_to_lines
from kemi.core.sdp.model import (
    LEGAL_ANSWERS,
    MAX_FEEDBACK,
    Candidate,
    Codec,
    Direction,
    MediaDescription,
    Origin,
)
from kemi.core.sdp.text import MAX_FORMATS, MAX_LINES, sdp_from_text
from tests.unit.core.sdp.samples import bent, golden

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"


def media(*lines: str, session: tuple[str, ...] = ()) -> MediaDescription:
    text = HEAD + "".join(f"{line}\r\n" for line in (*session, "m=audio 9 RTP/AVP 0 96", *lines))
    return sdp_from_text(text).media[0]


def test_a_chromium_audio_line_is_understood() -> None:
    offer = sdp_from_text(golden("chromium-156-audio-sendonly"))
    audio = offer.media[0]
    assert (audio.kind, audio.port, audio.proto) == ("audio", 43158, "UDP/TLS/RTP/SAVPF")
    assert audio.formats == ("111", "63", "9", "0", "8", "13", "110", "126")
    assert audio.direction is Direction.SENDONLY
    assert (audio.mid, audio.setup, audio.ice_ufrag) == ("0", "actpass", "8mon")
    assert audio.rtcp_mux
    assert not audio.bundle_only
    assert audio.connection_address == "192.0.2.2"
    assert audio.fingerprints[0].hash_function == "sha-256"
    assert offer.bundle_groups == (("0",),)
    assert audio.codecs[0] == Codec(
        "111", "opus/48000/2", "opus", 48000, "minptime=10;useinbandfec=1", ("transport-cc",)
    )
    assert [codec.name for codec in audio.codecs][1:5] == ["red", "g722", "pcmu", "pcma"]


def test_firefox_writes_the_fingerprint_once_for_all_lines() -> None:
    offer = sdp_from_text(golden("firefox-form-av-bundle-only"))
    assert [line.fingerprints for line in offer.media] == [offer.media[0].fingerprints] * 2
    assert offer.media[1].bundle_only
    assert not offer.media[1].rejected


def test_a_name_in_a_candidate_is_recognised_and_stays_a_name() -> None:
    candidates = sdp_from_text(golden("chromium-156-audio-recvonly-mdns")).media[0].candidates
    assert candidates
    assert all(candidate.is_mdns and candidate.address.endswith(".local") for candidate in candidates)


def test_candidates_are_read_in_order() -> None:
    first, *_, last = sdp_from_text(golden("chromium-156-audio-sendonly")).media[0].candidates
    assert first[1:] == ("udp", "192.0.2.2", 43158, "host")
    assert isinstance(last, Candidate)
    assert last.transport == "tcp"
    assert not first.is_mdns


@pytest.mark.parametrize(
    ("session", "own", "expected"),
    [
        pytest.param((), (), "sendrecv", id="neither says anything"),
        pytest.param(("a=recvonly",), (), "recvonly", id="the session says it"),
        pytest.param(("a=sendrecv",), ("a=sendonly",), "sendonly", id="the m-line wins"),
        pytest.param((), ("a=inactive",), "inactive", id="the m-line says it"),
    ],
)
def test_direction_is_that_of_the_line_else_of_the_session(
    session: tuple[str, ...], own: tuple[str, ...], expected: str
) -> None:
    assert media(*own, session=session).direction == expected


def test_static_payload_types_need_no_rtpmap_and_unknown_ones_are_left_out() -> None:
    assert [(codec.payload_type, codec.name) for codec in media().codecs] == [("0", "pcmu")]


@pytest.mark.parametrize("name", ["128", "200", "0127", "08", "-8", "+8", "8.0", "abc", "٨", "9" * 5000])
def test_what_is_no_payload_type_is_left_out(name: str) -> None:
    """The relay would refuse the others with it."""
    text = (
        f"{HEAD}m=audio 9 RTP/AVP {name} 0 127\r\na=rtpmap:{name} PCMA/8000\r\na=rtpmap:127 opus/48000/2\r\n"
    )
    line = sdp_from_text(text).media[0]
    assert [codec.payload_type for codec in line.codecs] == ["0", "127"]
    assert line.formats == (name, "0", "127")


def test_feedback_for_all_payload_types_counts_for_each() -> None:
    codecs = media("a=rtpmap:96 VP8/90000", "a=rtcp-fb:* nack", "a=rtcp-fb:96 ccm fir").codecs
    assert [codec.feedback for codec in codecs] == [("nack",), ("nack", "ccm fir")]


def test_what_every_codec_is_asked_for_is_no_more_than_can_be_written_out() -> None:
    """Lines times codecs: 24 kB of a page were 5 million strings."""
    many = MAX_LINES - MAX_FORMATS - 10
    every = " ".join(map(str, range(MAX_FORMATS)))
    lines = [f"a=rtpmap:{number} VP8/90000" for number in range(MAX_FORMATS)]
    lines += ["a=rtcp-fb:* nack"] * (many // 2) + ["a=rtcp-fb:5 ccm fir"] * (many // 2)
    text = HEAD + "\r\n".join([f"m=video 9 RTP/AVPF {every}", *lines, ""])
    codecs = sdp_from_text(text).media[0].codecs
    assert {len(codec.feedback) for codec in codecs} == {MAX_FEEDBACK}
    written = [line for codec in codecs for line in codec_to_lines(codec)]
    assert len(written) + len(codecs) < MAX_LINES


def test_two_fmtp_lines_of_one_payload_type_are_one_list() -> None:
    codec = media("a=rtpmap:96 opus/48000/2", "a=fmtp:96 stereo=1", "a=fmtp:96 UseDTX = 1; ;").codecs[1]
    assert codec.fmtp_parameters() == {"stereo": "1", "usedtx": "1"}


def test_packet_lengths_and_bandwidth_are_numbers() -> None:
    line = media("b=AS:49", "b=RS:600", "a=ptime:20", "a=maxptime:240")
    assert (line.ptime_ms, line.maxptime_ms, dict(line.bandwidth)) == (20, 240, {"AS": 49, "RS": 600})
    assert media().ptime_ms is None


def test_a_group_of_another_kind_is_no_bundle() -> None:
    offer = sdp_from_text(bent("chromium-156-av-sendonly", ("a=group:BUNDLE 0 1", "a=group:LS 0 1")))
    assert offer.bundle_groups == ()
    assert offer.bundle_group_of("0") == ()


@pytest.mark.parametrize(
    ("line", "view"),
    [
        pytest.param("a=fingerprint:sha-256", "fingerprints", id="fingerprint without value"),
        pytest.param("a=candidate:1 1 udp 5 192.0.2.1", "candidates", id="short candidate"),
        pytest.param("c=", "connection_address", id="connection without address"),
    ],
)
def test_a_malformed_attribute_is_a_syntax_error_when_it_is_looked_at(line: str, view: str) -> None:
    described = media(line)
    with pytest.raises(SdpSyntaxError):
        getattr(described, view)


@pytest.mark.parametrize(
    "encoding",
    [
        pytest.param("opus", id="without clock rate"),
        pytest.param("/8000", id="without name"),
        pytest.param("opus/fast", id="clock rate is a word"),
        pytest.param("opus/" + "9" * 5000, id="clock rate without end"),
    ],
)
def test_a_payload_type_whose_rtpmap_cannot_be_read_is_left_out(encoding: str) -> None:
    """Nobody could use it, and nobody loses a call for it."""
    assert [codec.name for codec in media(f"a=rtpmap:96 {encoding}").codecs] == ["pcmu"]
    assert [codec.name for codec in media("a=rtpmap:96 opus/48000/2", f"a=rtpmap:0 {encoding}").codecs] == [
        "opus"
    ]


@pytest.mark.parametrize(("value", "expected"), [("20.5", 20), (" 20", 20), ("soon", None), ("", None)])
def test_a_packet_length_may_have_a_fraction_or_say_nothing(value: str, expected: int | None) -> None:
    assert media(f"a=ptime:{value}").ptime_ms == expected


def test_a_bandwidth_that_cannot_be_read_says_nothing() -> None:
    """A step reads it when a call is answered: what is told beside it must not fail for it."""
    found = media("b=AS:much\r\nb=TIAS:64000\r\nb=CT:384.0").bandwidth
    assert found == {"TIAS": 64000}


class TestDirections:
    """RFC 3264 §6.1."""

    @pytest.mark.parametrize("direction", Direction)
    def test_mirroring_twice_changes_nothing_and_once_is_a_legal_answer(self, direction: Direction) -> None:
        assert direction.mirrored.mirrored is direction
        assert direction.mirrored in LEGAL_ANSWERS[direction]
        assert (direction.mirrored.sends, direction.mirrored.receives) == (
            direction.receives,
            direction.sends,
        )

    @pytest.mark.parametrize("direction", Direction)
    def test_a_direction_is_named_by_its_flows(self, direction: Direction) -> None:
        assert Direction.of(sends=direction.sends, receives=direction.receives) is direction


def test_the_next_origin_has_the_next_version() -> None:
    assert Origin(7, 1, "192.0.2.1").next() == Origin(7, 2, "192.0.2.1")
