"""Which entry point of the home network comes first."""

from __future__ import annotations

import pytest

from kemi.core.entry_points import in_order, on_trial

A, B, C = "sip:a", "sip:b", "sip:c"


@pytest.mark.parametrize(
    ("avoided", "order"),
    [
        pytest.param({}, [A, B, C], id="all well: as configured"),
        pytest.param({A: 11.0}, [B, C, A], id="one that failed comes last"),
        pytest.param({A: 10.0}, [A, B, C], id="its time is over: first again"),
        pytest.param({A: 12.0, B: 11.0}, [C, B, A], id="of two the one that comes back sooner"),
        pytest.param({A: 11.0, B: 11.0, C: 11.0}, [A, B, C], id="all failed: tried all the same"),
        pytest.param({"sip:other": 99.0}, [A, B, C], id="one that is no longer configured"),
    ],
)
@pytest.mark.conformance("R-27")
def test_the_order(avoided: dict[str, float], order: list[str]) -> None:
    assert in_order([A, B, C], avoided, now=10.0) == order


def test_one_that_failed_is_on_trial_until_it_answers() -> None:
    assert on_trial(A, {A: 5.0})
    assert not on_trial(B, {A: 5.0})
