"""RFC 8866 §5 and §9: reading and writing descriptions."""

import pytest

from kemi.core.errors import SdpSyntaxError
from kemi.core.sdp.interwork.relay import one_line_text
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import MAX_FORMATS, MAX_LINES, MAX_MEDIA, MAX_SIZE, sdp_from_text, sdp_to_text
from tests.unit.core.sdp.samples import GOLDEN_NAMES, golden

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
AUDIO = "m=audio 9 RTP/AVP 8\r\n"


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_real_description_is_written_as_it_was_read(name: str) -> None:
    text = golden(name)
    assert sdp_to_text(sdp_from_text(text)) == text


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_m_line_of_a_real_description_is_found(name: str) -> None:
    text = golden(name)
    assert len(sdp_from_text(text).media) == sum(line.startswith("m=") for line in text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEAD + AUDIO, id="CRLF"),
        pytest.param((HEAD + AUDIO).replace("\r\n", "\n"), id="bare LF"),
        pytest.param((HEAD + AUDIO).rstrip(), id="no line end at the end"),
        pytest.param(HEAD, id="no m-line"),
        pytest.param(HEAD + "y=unknown type\r\n" + AUDIO + "x=another\r\na=\r\na=:\r\n", id="unknown lines"),
        pytest.param(HEAD + "m=audio  9   RTP/AVP 8 \r\n", id="odd spaces in the m-line"),
        pytest.param(HEAD + AUDIO + AUDIO + AUDIO, id="three lines of one kind"),
        pytest.param(HEAD.replace("s=-", "s=Grüße"), id="beyond ASCII"),
    ],
)
def test_unusual_descriptions_are_written_as_they_were_read(text: str) -> None:
    assert sdp_to_text(sdp_from_text(text)) == text


def test_mixed_line_ends_become_crlf() -> None:
    assert sdp_to_text(sdp_from_text(HEAD.replace("s=-\r\n", "s=-\n") + AUDIO)) == HEAD + AUDIO


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_blanks_at_the_end_of_attributes_go_and_no_others(newline: str) -> None:
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 192.0.2.1",
        "s= ",
        "m=audio 9 RTP/AVP 0 ",
        "a=sendonly  ",
        "a=rtpmap:0 PCMU/8000 ",
    ]
    read = sdp_from_text(newline.join(lines))
    assert sdp_to_text(read) == newline.join([*lines[:4], "a=sendonly", "a=rtpmap:0 PCMU/8000"])
    assert (read.media[0].direction, read.media[0].codecs[0].encoding) == (Direction.SENDONLY, "PCMU/8000")


@pytest.mark.parametrize(
    ("before", "after"), [("", "\r\n\r\n"), ("\r\n", ""), ("", "\0"), ("", " "), ("\n\n", "\t\0")]
)
def test_what_is_empty_around_the_lines_goes(before: str, after: str) -> None:
    assert sdp_to_text(sdp_from_text(before + HEAD + AUDIO + after)) == HEAD + AUDIO


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param("My SBC 1 1 IN IP4 192.0.2.1", id="a user name with a blank"),
        pytest.param("- -12 0x1f IN IP4 192.0.2.1", id="ids that are no numbers"),
        pytest.param("- 1 1 IN IP4 ", id="no address"),
        pytest.param("-  1 1 in ip4\tsbc", id="two blanks, a tab, small letters"),
    ],
)
def test_a_sloppy_origin_is_taken_and_the_relay_does_not_see_it(origin: str) -> None:
    text = f"v=0\r\no={origin}\r\ns=-\r\nt=0 0\r\n{AUDIO}"
    read = sdp_from_text(text)
    assert sdp_to_text(read) == text
    assert one_line_text(read.session, read.media[0]).splitlines()[1] == "o=- 0 0 IN IP4 0.0.0.0"


@pytest.mark.parametrize("rtpmap", ["97  AMR-WB/16000", "97\tAMR-WB/16000", " 97 AMR-WB/16000"])
def test_more_than_one_blank_makes_no_other_codec(rtpmap: str) -> None:
    (media,) = sdp_from_text(f"{HEAD}m=audio\t9  RTP/AVP 97\r\na=rtpmap:{rtpmap}\r\n").media
    assert [(one.payload_type, one.encoding) for one in media.codecs] == [("97", "AMR-WB/16000")]


@pytest.mark.parametrize("direction", list(Direction))
def test_capitals_make_no_other_direction(direction: Direction) -> None:
    (media,) = sdp_from_text(f"{HEAD}{AUDIO}a={direction.value.upper()}\r\n").media
    assert media.direction is direction


@pytest.mark.parametrize(
    ("text", "line_number", "message"),
    [
        pytest.param("", None, "the body is empty", id="nothing"),
        pytest.param("\r\n\r\n", None, "the body is empty", id="only line ends"),
        pytest.param("INVITE sip:x SIP/2.0\r\n", 1, "line 1: 'INVITE sip:x SIP/2.0' is not", id="not SDP"),
        pytest.param("v=1\r\n", 1, "line 1: 'v=1' where v=0 must be", id="another version"),
        pytest.param("v=0\r\ns=-\r\n", 2, "line 2: no o= line after v=0", id="no origin"),
        pytest.param(
            "v=0\r\nm=audio 9 RTP/AVP 8\r\n", 2, "line 2: no o= line", id="an m-line where o= must be"
        ),
        pytest.param(
            "v=0\r\no=- 1 1 IN 192.0.2.1\r\n", 2, "is not o=<user> <id> <version>", id="short origin"
        ),
        pytest.param(HEAD + "rubbish\r\n", 5, "line 5: 'rubbish' is not <type>=<value>", id="no type"),
        pytest.param(
            HEAD + AUDIO + "\r\n" + AUDIO, 6, "line 6: '' is not <type>=<value>", id="empty line inside"
        ),
        pytest.param(
            HEAD + "m=audio 9 RTP/AVP\r\n", 5, "is not m=<media> <port> <proto> <format>", id="no format"
        ),
        pytest.param(
            HEAD + "m=audio x RTP/AVP 8\r\n", 5, "has no port between 0 and 65535", id="port is a word"
        ),
        pytest.param(HEAD + "m=audio 65536 RTP/AVP 8\r\n", 5, "has no port between", id="port too big"),
        pytest.param(HEAD + "m=audio -1 RTP/AVP 8\r\n", 5, "has no port between", id="port negative"),
        pytest.param(HEAD + "m=audio ٣ RTP/AVP 8\r\n", 5, "has no port between", id="port in other digits"),
        pytest.param(HEAD + "a=x\0y\r\n", 5, "line 5: a NUL character", id="NUL"),
        pytest.param(HEAD + "a=x\ry\r\n", 5, "line 5: a carriage return inside", id="CR alone"),
        pytest.param(HEAD + "a=x\r\n" * MAX_LINES, None, f"at most {MAX_LINES}", id="too many lines"),
        pytest.param(HEAD + AUDIO * (MAX_MEDIA + 1), 37, f"at most {MAX_MEDIA}", id="too many m-lines"),
        pytest.param(
            HEAD + "m=audio 9 RTP/AVP" + " 0" * (MAX_FORMATS + 1),
            5,
            f"129 formats, at most {MAX_FORMATS}",
            id="too many formats",
        ),
        pytest.param(HEAD + "a=" + "x" * MAX_SIZE, None, f"at most {MAX_SIZE}", id="too long"),
    ],
)
def test_what_is_no_description_is_refused_with_line_and_reason(
    text: str, line_number: int | None, message: str
) -> None:
    with pytest.raises(SdpSyntaxError) as refusal:
        sdp_from_text(text)
    assert message in refusal.value.detail
    assert refusal.value.line_number == line_number
    assert refusal.value.status == 400


def test_a_long_line_of_a_peer_is_shortened_in_the_message() -> None:
    with pytest.raises(SdpSyntaxError) as refusal:
        sdp_from_text("x" * 5000)
    assert len(refusal.value.detail) < 120


def test_the_limits_themselves_are_accepted() -> None:
    assert len(sdp_from_text(HEAD + AUDIO * MAX_MEDIA).media) == MAX_MEDIA
    assert len(sdp_from_text(HEAD + "a=x\r\n" * (MAX_LINES - 4)).session.lines) == MAX_LINES
    every = " ".join(map(str, range(MAX_FORMATS)))
    assert len(sdp_from_text(f"{HEAD}m=audio 9 RTP/AVP {every}\r\n").media[0].formats) == MAX_FORMATS
