"""What no telephone says: packets of a thousand seconds, codecs at another clock; and what our answer leaves out."""

from __future__ import annotations

import pytest

from kemi.core.errors import NotAcceptableHere
from kemi.core.sdp.codecs import relayed_codecs
from kemi.core.sdp.interwork.incoming import answered_line, core_offer_media
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.sdp.samples import golden

CORE = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def core_line(formats: str, *attributes: str) -> str:
    """Return the core's line as the relay is told of it."""
    lines = "".join(f"a={attribute}\r\n" for attribute in attributes)
    (line,) = core_offer_media(sdp_from_text(f"{CORE}m=audio 4000 RTP/AVP {formats}\r\n{lines}"), ())
    return line.sdp


@pytest.mark.parametrize("name", ["ptime", "maxptime"])
@pytest.mark.parametrize("value", ["0", "1001", "1000000", "2147483647", "-20", "many", ""])
def test_a_packet_length_that_nobody_has_is_not_passed_on(name: str, value: str) -> None:
    assert "ptime" not in core_line("8", f"{name}:{value}")


@pytest.mark.parametrize("value", ["20", "20.5", "200", "1000"])
def test_others_are(value: str) -> None:
    assert f"a=ptime:{value}\r\n" in core_line("8", f"ptime:{value}")


@pytest.mark.parametrize(
    "encoding",
    ["PCMA/1", "PCMA/8000/2", "AMR/1", "AMR-WB/8000", "opus/8000/2", "opus/48000/255", "G722/16000", "EVS/1"],
)
def test_a_codec_at_another_clock_is_none(encoding: str) -> None:
    with pytest.raises(NotAcceptableHere):
        core_line("96", f"rtpmap:96 {encoding}")
    assert " 96" not in core_line("96 8", f"rtpmap:96 {encoding}").split("\r\n")[4]


@pytest.mark.parametrize(
    "encoding", ["PCMA/8000/1", "amr/8000", "AMR-WB/16000/1", "opus/48000/2", "G722/8000"]
)
def test_a_codec_as_it_is_registered_is_one(encoding: str) -> None:
    assert f"a=rtpmap:96 {encoding}\r\n" in core_line("96", f"rtpmap:96 {encoding}")


def test_a_page_that_has_such_a_one_speaks_another() -> None:
    offer = sdp_from_text(golden("chromium-156-audio-sendonly").replace("opus/48000/2", "opus/1/2"))
    names = [codec.name for codec in relayed_codecs(offer.media[0], ())]
    assert names
    assert "opus" not in names


def test_what_our_answer_lacks_is_left_out_of_the_cores_line() -> None:
    offered = core_line("111 96 8 126", "rtpmap:111 opus/48000/2", "rtpmap:96 AMR-WB/16000", "ptime:20")
    answer = sdp_from_text(f"{CORE}m=audio 5000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n").media[0]
    kept = answered_line(offered, answer)
    assert "m=audio 4000 RTP/AVP 111\r\n" in kept
    assert "a=ptime:20\r\n" in kept
    assert "AMR" not in kept
    # Nothing in common, or all of it: nothing to leave out.
    other = sdp_from_text(f"{CORE}m=audio 5000 RTP/AVP 9\r\n").media[0]
    assert answered_line(offered, other) == offered
    assert answered_line(kept, answer) == kept
