"""A participant of ours that takes no media and sends RTCP."""

import pytest

from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.interwork.feedback import feedback_answer, feedback_port

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=video 25010 RTP/AVPF 97\r\n"
    "a=rtpmap:97 VP8/90000\r\na=rtcp-fb:97 nack pli\r\na=sendonly\r\n"
)


def test_the_relay_s_port_for_rtcp() -> None:
    assert feedback_port(OFFER + "a=rtcp:25044 IN IP4 192.0.2.2\r\n") == ("192.0.2.2", 25044)
    assert feedback_port(OFFER) == ("192.0.2.2", 25011)
    with pytest.raises(MediaUnavailable):
        feedback_port(OFFER.replace("25010", "0"))


@pytest.mark.parametrize(
    ("host", "zeros", "rtcp"),
    [
        ("192.0.2.7", "c=IN IP4 0.0.0.0", "a=rtcp:5004 IN IP4 192.0.2.7"),
        ("2001:db8::7", "c=IN IP6 ::", "a=rtcp:5004 IN IP6 2001:db8::7"),
    ],
)
def test_no_media_is_taken_and_rtcp_comes_from_our_port(host: str, zeros: str, rtcp: str) -> None:
    lines = feedback_answer(OFFER, host, 5004).split("\r\n")
    assert "m=video 1 RTP/AVPF 97" in lines  # 9 would be trickle ICE, and taken for an address
    assert zeros in lines
    assert rtcp in lines
    assert "a=rtpmap:97 VP8/90000" in lines
