"""What is done every now and then, by a clock that is corrected."""

from __future__ import annotations

import pytest

from kemi.core.pace import is_early


@pytest.mark.parametrize(
    ("now", "early"),
    [
        pytest.param(99.0, True, id="just done"),
        pytest.param(109.9, True, id="a moment before"),
        pytest.param(110.0, False, id="due"),
        pytest.param(5000.0, False, id="the clock was set ahead"),
        pytest.param(99.9, False, id="the clock was set back by a moment: it comes a little early"),
        pytest.param(10.0, False, id="the clock was set back"),
    ],
)
def test_it_waits_no_longer_than_it_would_by_a_steady_clock(now: float, early: bool) -> None:
    done_at, every_s = (99.0, 11.0) if now == 99.0 else (100.0, 10.0)
    assert is_early(now, done_at + every_s, every_s) is early


def test_what_was_never_done_is_due() -> None:
    assert not is_early(1_700_000_000.0, 0.0, 10.0)
