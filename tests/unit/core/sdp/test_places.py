"""Where lines that the gateway adds to a session stand."""

from __future__ import annotations

import pytest

from kemi.core.sdp.interwork.places import has_room, new_mids, places_for
from kemi.core.sdp.model import MediaDescription
from kemi.core.sdp.text import MAX_MEDIA, sdp_from_text

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nc=IN IP4 192.0.2.1\r\n"


def told(*lines: str) -> tuple[MediaDescription, ...]:
    """Lines as "audio 9 0": kind, port, mid."""
    words = [line.split() for line in lines]
    text = "".join(f"m={kind} {port} RTP/AVP 0\r\na=mid:{mid}\r\n" for kind, port, mid in words)
    return sdp_from_text(HEAD + text).media


LINES = told("audio 9 0", "video 0 1", "audio 0 r0", "video 9 2", "video 0 g7", "video 0 g2")


@pytest.mark.parametrize(
    ("kind", "count", "after", "places"),
    [
        pytest.param("video", 1, -1, [1], id="the first"),
        pytest.param("video", 2, -1, [1, 4], id="two"),
        pytest.param("video", 4, -1, [1, 4, 5, 6], id="more than there are"),
        pytest.param("video", 1, 3, [4], id="behind another line"),
        pytest.param("audio", 1, -1, [2], id="of its kind"),
        pytest.param("audio", 1, 2, [6], id="none left"),
    ],
)
def test_lines_that_are_switched_off_are_used_first(
    kind: str, count: int, after: int, places: list[int]
) -> None:
    assert places_for(LINES, kind, count, len(LINES), after) == places


@pytest.mark.parametrize(("prefix", "mids"), [("g", ["g8", "g9"]), ("r", ["r1", "r2"]), ("x", ["x0", "x1"])])
def test_names_are_those_of_no_line_before(prefix: str, mids: list[str]) -> None:
    assert new_mids(prefix, LINES, 2) == mids


@pytest.mark.parametrize(
    ("lines", "fits"),
    [
        pytest.param(told(*["audio 9 a"] * (MAX_MEDIA - 2)), True, id="two more"),
        pytest.param(told(*["audio 9 a"] * (MAX_MEDIA - 1)), False, id="one more"),
        pytest.param(told(*["audio 9 a"] * (MAX_MEDIA - 2), "video 0 b", "video 0 c"), True, id="used anew"),
        pytest.param(told(*["audio 0 a"] * MAX_MEDIA), False, id="of another kind"),
    ],
)
def test_there_is_room_for_both_directions(lines: tuple[MediaDescription, ...], fits: bool) -> None:
    assert has_room(lines, ["video"]) is fits
    assert has_room(lines, [])
