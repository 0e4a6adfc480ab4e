"""Preconditions of a caller (RFC 3312): whether it waits, and what we say to it."""

from __future__ import annotations

import pytest

from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.preconditions import missing, preconditions_of, with_preconditions
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.sdp.samples import golden

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
WAITING = (
    "curr:qos local none",
    "curr:qos remote none",
    "des:qos mandatory local sendrecv",
    "des:qos none remote sendrecv",
)
READY = ("curr:qos local sendrecv", *WAITING[1:])


def described(*attributes: str, port: int = 4000) -> SessionDescription:
    """Return audio with these attributes."""
    lines = "".join(f"a={attribute}\r\n" for attribute in attributes)
    return sdp_from_text(f"{HEAD}m=audio {port} RTP/AVP 8\r\n{lines}")


def answered(*attributes: str, port: int = 5000) -> list[str]:
    """Return the attribute lines of our answer."""
    text = sdp_to_text(with_preconditions(described(port=port), described(*attributes)))
    return [line[2:] for line in text.splitlines() if line.startswith("a=")]


@pytest.mark.parametrize(
    ("attributes", "waits"),
    [
        pytest.param((), False, id="none"),
        pytest.param(WAITING, True, id="not yet"),
        pytest.param(READY, False, id="met"),
        pytest.param(("curr:qos local send", *WAITING[1:]), True, id="one way only"),
        pytest.param(("curr:qos local send", "des:qos mandatory local send"), False, id="one way is enough"),
        pytest.param(("curr:qos local none", "des:qos optional local sendrecv"), False, id="optional"),
        pytest.param(("curr:qos e2e none", "des:qos mandatory e2e sendrecv"), True, id="end to end"),
        pytest.param(
            ("curr:qos e2e sendrecv", "des:qos mandatory e2e sendrecv"), False, id="end to end, met"
        ),
        pytest.param(("des:qos mandatory local sendrecv",), True, id="nothing said of the present"),
        pytest.param(("curr:qos local sendrecv",), False, id="nothing desired"),
        pytest.param(("curr:sec local none", "des:sec mandatory local sendrecv"), False, id="security"),
        pytest.param(("curr:qos", "des:qos mandatory", "des:qos mandatory here send"), False, id="nonsense"),
        pytest.param(("des:qos mandatory remote sendrecv",), False, id="of us alone"),
    ],
)
def test_who_waits(attributes: tuple[str, ...], waits: bool) -> None:
    assert missing(described(*attributes), [0]) is waits


def test_a_terminal_s_offer() -> None:
    offer = sdp_from_text(golden("ims-terminal-2-audio-preconditions"))
    found = preconditions_of(offer.media[0])
    assert found is not None
    assert found.current["local"] == frozenset()


def test_a_caller_that_waits_is_asked_to_say_when() -> None:
    assert answered(*WAITING) == [
        "curr:qos remote none",
        "curr:qos local sendrecv",
        "des:qos mandatory remote sendrecv",
        "des:qos none local sendrecv",
        "conf:qos remote sendrecv",
    ]


def test_a_caller_that_is_ready_is_told_that_we_are_too() -> None:
    assert answered(*READY) == [
        "curr:qos remote sendrecv",
        "curr:qos local sendrecv",
        "des:qos mandatory remote sendrecv",
        "des:qos none local sendrecv",
    ]


def test_streams_swap() -> None:
    assert answered("curr:qos local send", "des:qos mandatory local send") == [
        "curr:qos remote recv",
        "curr:qos local sendrecv",
        "des:qos mandatory remote recv",
    ]


def test_end_to_end() -> None:
    wanted = "des:qos mandatory e2e sendrecv"
    assert answered("curr:qos e2e none", wanted) == ["curr:qos e2e none", wanted, "conf:qos e2e sendrecv"]
    assert answered("curr:qos e2e sendrecv", wanted) == ["curr:qos e2e sendrecv", wanted]


def test_a_refused_line_and_one_without_them_stay_as_they_are() -> None:
    assert answered(*WAITING, port=0) == []
    assert answered() == []
