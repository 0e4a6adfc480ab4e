"""Descriptions of our own, line by line."""

from __future__ import annotations

import pytest

from kemi.core.sdp.build import media_description, session_description, session_section
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_to_text

ORIGIN = Origin(1, 2, "192.0.2.1")
OURS = "c=IN IP4 192.0.2.1"
USED = media_description("audio", 30000, "RTP/AVP", ("8",), (OURS, "a=sendrecv"))
UNUSED = media_description("video", 0, "RTP/AVP", ("99",), ())


@pytest.mark.parametrize(
    ("connection", "media", "told"),
    [
        pytest.param(None, (USED, UNUSED), [OURS, OURS], id="that of another line"),
        pytest.param(None, (UNUSED, USED), [OURS, OURS], id="of a later one"),
        pytest.param("IN IP4 192.0.2.2", (USED, UNUSED), ["c=IN IP4 192.0.2.2", OURS], id="the session's"),
        pytest.param(None, (UNUSED,), [], id="nobody has one"),
    ],
)
def test_a_line_that_is_not_used_has_a_connection_too(
    connection: str | None, media: tuple[object, ...], told: list[str]
) -> None:
    text = sdp_to_text(session_description(session_section(ORIGIN, connection=connection), media))  # type: ignore[arg-type]
    assert [line for line in text.splitlines() if line.startswith("c=")] == told
    assert [line for line in text.splitlines() if line.startswith("m=")] == [one.lines[0] for one in media]  # type: ignore[attr-defined]
