"""One call of each kind with a real browser: both ends see a picture soon, though the phone asks for none."""

from __future__ import annotations

import asyncio

import pytest

from tests.bench.first_frame.__main__ import BAR_S, report, run
from tests.bench.first_frame.measure import CHROMIUM, FIREFOX, FrameTimes, cases_of

ON_A_BUSY_MACHINE: float = 2.0
"""How much later a machine may be that runs other tests, too; without being asked Chromium sends none for minutes."""


@pytest.mark.lab
@pytest.mark.browser
@pytest.mark.parametrize("browser", [CHROMIUM, FIREFOX])
def test_the_first_picture_comes_soon_at_both_ends(browser: str) -> None:
    found = asyncio.run(run(cases_of(browser), 1, browser))
    for name, (call,) in found.items():
        assert call is not None, f"{name}: an end saw nothing"
        assert max(call.page_s, call.phone_s) < BAR_S * ON_A_BUSY_MACHINE, f"{name}: {call}"


@pytest.mark.parametrize(
    ("calls", "kept"),
    [
        pytest.param([FrameTimes(0.1, 0.2), FrameTimes(0.9, 0.1)], True, id="within a second"),
        pytest.param([FrameTimes(0.1, 1.0)], False, id="the phone is late"),
        pytest.param([FrameTimes(0.1, 0.2), None], False, id="an end saw nothing"),
    ],
)
def test_the_bar(calls: list[FrameTimes | None], kept: bool) -> None:
    table, (bar,) = report({"vp8": calls})
    assert bar.kept is kept
    assert table.splitlines()[1].split()[-4:-2] == [str(len(calls)), str(calls.count(None))]
