"""What a refused UPDATE means to the caller, one row per status."""

from __future__ import annotations

import pytest

from kemi.core.causes import REFUSED_UPDATE, answered_elsewhere, invite_status_after_refused_update


@pytest.mark.parametrize(
    ("status", "final"),
    [
        pytest.param(403, 488, id="403: JsSIP in an early dialog"),
        pytest.param(408, 504, id="408: never answered"),
        pytest.param(415, 488, id="415"),
        pytest.param(481, 481, id="481: the page forgot the dialog"),
        pytest.param(488, 488, id="488"),
        pytest.param(491, 500, id="491: glare that never ended"),
        pytest.param(500, 500, id="500: busy with another exchange"),
        pytest.param(501, 500, id="501: UPDATE unknown after all"),
        pytest.param(503, 500, id="503"),
        pytest.param(600, 488, id="600"),
        pytest.param(606, 488, id="606"),
    ],
)
def test_each_status_has_its_meaning(status: int, final: int) -> None:
    found, reason_phrase = invite_status_after_refused_update(status)
    assert found == final
    assert reason_phrase


@pytest.mark.parametrize("status", range(300, 700))
def test_every_refusal_becomes_a_final_failure(status: int) -> None:
    found, reason_phrase = invite_status_after_refused_update(status)
    assert 400 <= found < 600
    assert reason_phrase


def test_the_table_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        REFUSED_UPDATE[488] = (200, "OK")  # type: ignore[index]


@pytest.mark.parametrize(
    ("reasons", "elsewhere"),
    [
        (['SIP;cause=200;text="Call completed elsewhere"'], True),
        (["SIP ;text=x ; cause = 200"], True),
        (["Q.850;cause=16, SIP;cause=200"], True),
        (["Q.850;cause=16", "sip;CAUSE=200"], True),
        (["SIP;cause=2000"], False),
        (["Q.850;cause=200"], False),
        (['SIP;cause=487;text="cause 200"'], False),
        ([], False),
    ],
)
def test_a_reason_may_say_that_another_device_has_answered(reasons: list[str], elsewhere: bool) -> None:
    assert answered_elsewhere(reasons) is elsewhere
