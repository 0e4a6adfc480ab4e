"""Two-way pages without early UPDATE: once they have acknowledged they are told what became of their video."""

from __future__ import annotations

import pytest

from kemi.core.call import actions as act
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import NO_100REL, Actions
from tests.unit.core.call.test_reverse_line import SIP_JS, SIP_JS_100REL, acknowledged

AV = sdp.chromium("av-sendrecv")


def offers(actions: Actions) -> list[act.SendRequest]:
    """What the page is sent."""
    return [action for action in actions if isinstance(action, act.SendRequest)]


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        pytest.param(SIP_JS, "INVITE", id="SIP.js"),
        pytest.param(SIP_JS_100REL, "INVITE", id="SIP.js with 100rel"),
        pytest.param(NO_100REL, "UPDATE", id="JsSIP"),
    ],
)
def test_video_that_the_far_end_does_not_take_is_switched_off(
    headers: dict[str, list[str]], method: str
) -> None:
    _, actions = acknowledged(headers, AV, sdp.core_answer("audio", "video", refuse=("video",)))
    (sent,) = offers(actions)
    assert sent.method == method
    assert [line.port > 0 for line in sdp_from_text(sent.body).media] == [True, False]


def test_a_right_guess_needs_no_word() -> None:
    _, actions = acknowledged(SIP_JS, AV, sdp.core_answer("audio", "video"))
    assert offers(actions) == []
