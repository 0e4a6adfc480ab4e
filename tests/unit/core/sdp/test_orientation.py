"""Who hears that the other side turns pictures by itself (TS 26.114 §7.4.5, RFC 8285)."""

from __future__ import annotations

import pytest

from kemi.core.sdp.interwork.orientation import agreed_line, answering, orientation_lines, without_orientation
from kemi.core.sdp.interwork.video import fitted_line
from kemi.core.sdp.model import MediaDescription
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.sdp.samples import golden

CVO = "urn:3gpp:video-orientation"
EXTMAP = f"a=extmap:13 {CVO}"


def text(*lines: str, session: tuple[str, ...] = ()) -> str:
    """Return a description of one video line."""
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", *session)
    own = ("m=video 5000 RTP/AVPF 99", "a=rtpmap:99 VP8/90000", *lines, "a=sendrecv", "")
    return "\r\n".join((*head, *own))


def line(*lines: str) -> MediaDescription:
    """Return that line."""
    return sdp_from_text(text(*lines)).media[0]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        pytest.param([EXTMAP], [EXTMAP], id="a browser's"),
        pytest.param([f"a=extmap:7 {CVO} x=1"], [f"a=extmap:7 {CVO}"], id="with attributes of its own"),
        pytest.param([f"a=extmap:1 {CVO}:6", f"a=extmap:2 {CVO}"], [f"a=extmap:2 {CVO}"], id="both kinds"),
        pytest.param([f"a=extmap:1 {CVO}:6"], [], id="only the finer one"),
        pytest.param([f"a=extmap:7/sendonly {CVO}"], [], id="one direction"),
        pytest.param([f"a=extmap:15 {CVO}"], [], id="two-byte headers"),
        pytest.param([f"a=extmap:4096 {CVO}"], [], id="a number yet to be chosen"),
        pytest.param(["a=extmap:", "a=extmap:13"], [], id="nonsense"),
        pytest.param(["a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid"], [], id="another one"),
    ],
)
def test_what_counts_as_an_offer_of_it(lines: list[str], found: list[str]) -> None:
    assert orientation_lines(line(*lines)) == found


def test_it_may_stand_before_the_first_media_line() -> None:
    (media,) = sdp_from_text(text(session=(EXTMAP,))).media
    assert orientation_lines(media) == [EXTMAP]


def test_of_a_browsers_offer_only_video_has_it() -> None:
    audio, video = sdp_from_text(golden("chromium-156-av-sendonly")).media
    assert (orientation_lines(audio), orientation_lines(video)) == ([], [EXTMAP])


@pytest.mark.parametrize(
    ("far", "own", "agreed"),
    [
        pytest.param(EXTMAP, EXTMAP, True, id="both"),
        pytest.param(EXTMAP, f"a=extmap:7 {CVO}", False, id="under other numbers"),
        pytest.param(EXTMAP, "a=x", False, id="the client does not know it"),
        pytest.param("a=x", EXTMAP, False, id="the far end does not"),
    ],
)
def test_a_client_hears_of_it_where_both_have_the_same(far: str, own: str, agreed: bool) -> None:
    assert (EXTMAP in agreed_line(text(far), text(own))) is agreed
    assert agreed_line(text(EXTMAP), "") == text()


def test_an_answer_has_it_only_as_it_was_offered() -> None:
    has = line(EXTMAP)
    assert answering(line(EXTMAP), has) is has
    assert EXTMAP not in answering(line(), has).lines
    assert EXTMAP not in answering(line(f"a=extmap:7 {CVO}"), has).lines
    bare = line()
    assert answering(has, bare) is bare


def test_a_clients_line_follows_the_far_end() -> None:
    bare, has = line(), line(EXTMAP)
    assert fitted_line(bare, "vp8", text()) is bare
    assert fitted_line(has, "vp8", text(EXTMAP)) is has
    assert EXTMAP in fitted_line(bare, "vp8", text(EXTMAP)).lines
    assert EXTMAP not in fitted_line(has, "vp8", text()).lines
    assert fitted_line(has, "vp8") is has  # nothing is known of the far end


def test_what_is_answered_before_the_client_is_asked_promises_nothing() -> None:
    assert without_orientation(text(EXTMAP)) == text()
