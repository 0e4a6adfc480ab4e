"""b= lines: the figures of TS 26.114 Annex K, and what happens to values nobody should write."""

import pytest

from kemi.core.sdp.bandwidth import audio_lines, packet_lines, video_lines
from kemi.core.sdp.model import MediaDescription
from kemi.core.sdp.text import sdp_from_text

AMR_WB, AMR, EVS = "AMR-WB/16000", "AMR/8000", "EVS/16000"


def audio(*codecs: tuple[str, str], ptime: str = "", address: str = "IP4 192.0.2.1") -> MediaDescription:
    """An audio line with codecs as (rtpmap, fmtp) under dynamic payload types, and telephone-events."""
    numbers = [str(number) for number, _ in enumerate(codecs, start=96)]
    lines = [f"m=audio 5004 RTP/AVP {' '.join(numbers)} 126", f"c=IN {address}"]
    for number, (encoding, fmtp) in zip(numbers, codecs, strict=True):
        lines += [f"a=rtpmap:{number} {encoding}", *([f"a=fmtp:{number} {fmtp}"] if fmtp else [])]
    lines += ["a=rtpmap:126 telephone-event/8000", *([f"a=ptime:{ptime}"] if ptime else [])]
    text = "\r\n".join(["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0", *lines, ""])
    return sdp_from_text(text).media[0]


def as_kbps(line: MediaDescription) -> int:
    return int(audio_lines(line, line.codecs, line.connection)[0].removeprefix("b=AS:"))


@pytest.mark.parametrize(
    ("encoding", "fmtp", "ipv4", "ipv6"),
    [
        pytest.param(AMR, "", 29, 37, id="AMR 12.2, bandwidth-efficient"),
        pytest.param(AMR, "octet-align=1", 30, 38, id="AMR 12.2, octet-aligned"),
        pytest.param(AMR, "mode-set=0,2,4", 24, 32, id="AMR 7.4 at most"),
        pytest.param(AMR_WB, "", 41, 49, id="AMR-WB 23.85"),
        pytest.param(AMR_WB, "mode-set=0,1,2", 30, 38, id="AMR-WB 12.65 at most"),
        pytest.param(AMR_WB, "octet-align=1;mode-set=0,1,2", 30, 38, id="AMR-WB 12.65, octet-aligned"),
        pytest.param(EVS, "br=5.9-24.4;bw=nb-swb", 42, 50, id="EVS 24.4"),
        pytest.param(EVS, "", 145, 153, id="EVS 128"),
        pytest.param("PCMA/8000", "", 80, 88, id="G.711"),
        pytest.param("G722/8000", "", 80, 88, id="G.722"),
        pytest.param("opus/48000/2", "", 80, 88, id="Opus"),
        pytest.param("opus/48000/2", "maxaveragebitrate=20000", 36, 44, id="narrow Opus"),
    ],
)
def test_one_codec(encoding: str, fmtp: str, ipv4: int, ipv6: int) -> None:
    assert as_kbps(audio((encoding, fmtp))) == ipv4
    assert as_kbps(audio((encoding, fmtp), address="IP6 2001:db8::1")) == ipv6


def test_the_dearest_codec_counts() -> None:
    assert as_kbps(audio((AMR, ""), (AMR_WB, ""))) == 41
    assert as_kbps(audio((AMR_WB, ""), ("PCMA/8000", ""), (AMR, ""))) == 80


@pytest.mark.parametrize(("ptime", "expected"), [("10", 96), ("20", 80), ("40", 72)])
def test_short_packets_cost_more(ptime: str, expected: int) -> None:
    assert as_kbps(audio(("PCMA/8000", ""), ptime=ptime)) == expected


@pytest.mark.parametrize(
    ("encoding", "fmtp", "expected"),
    [
        (EVS, "br=inf", 145),
        (EVS, "br=nan", 145),
        ("opus/48000/2", "maxaveragebitrate=\N{SUPERSCRIPT TWO}", 80),
        ("opus/48000/2", f"maxaveragebitrate={'9' * 5000}", 80),
        (AMR, "mode-set=\N{SUPERSCRIPT TWO}", 29),
        (AMR, "mode-set=7,99", 29),
    ],
)
def test_nonsense_counts_as_not_said(encoding: str, fmtp: str, expected: int) -> None:
    assert as_kbps(audio((encoding, fmtp))) == expected


def test_rtcp_stays_on() -> None:
    line = audio((AMR, ""))
    assert audio_lines(line, line.codecs, line.connection)[1:] == ["b=RS:600", "b=RR:2000"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(audio((AMR_WB, "")), ["a=ptime:20", "a=maxptime:240"], id="twelve frames of AMR"),
        pytest.param(audio(("PCMA/8000", "")), ["a=ptime:20"], id="no maxptime without"),
        pytest.param(audio(("PCMA/8000", ""), ptime="40"), [], id="what the relay says stands"),
    ],
)
def test_packet_lengths(line: MediaDescription, expected: list[str]) -> None:
    assert packet_lines(line, line.codecs) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("", ["b=AS:512", "b=RS:600", "b=RR:5000"], id="nothing"),
        pytest.param("b=AS:384\r\n", ["b=AS:384", "b=RS:600", "b=RR:5000"], id="how much"),
        pytest.param(
            "b=TIAS:384000\r\nb=RS:0\r\n",
            ["b=AS:512", "b=TIAS:384000", "b=RS:0", "b=RR:5000"],
            id="something of RTCP",
        ),
        pytest.param("b=AS:384\r\nb=RS:0\r\nb=RR:2500\r\n", ["b=AS:384", "b=RS:0", "b=RR:2500"], id="all"),
    ],
)
def test_video_says_how_much_rtcp_it_has(said: str, expected: list[str]) -> None:
    """TS 26.114 §7.3.1: on every line; what the line says already stands."""
    head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
    line = sdp_from_text(f"{head}m=video 5004 RTP/AVP 96\r\n{said}a=rtpmap:96 VP8/90000\r\n").media[0]
    assert video_lines(line, 512) == expected
