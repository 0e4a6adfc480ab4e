"""What a side hears, in one word, and when that is told."""

from __future__ import annotations

import pytest

from kemi.core.call.media.hearing import Hearing, ToldHearing, hearing_of

GOOD, FAIR, POOR, SILENT = Hearing.GOOD, Hearing.FAIR, Hearing.POOR, Hearing.SILENT


@pytest.mark.parametrize(
    ("mos", "packets", "before", "found"),
    [
        (4.03, 50, None, GOOD),
        (4.02, 50, None, FAIR),
        (3.10, 50, None, FAIR),
        (3.09, 50, None, POOR),
        (1.0, 50, GOOD, POOR),
        (4.4, 0, GOOD, SILENT),
        # Worse is worse at once, better only by a margin.
        (4.02, 50, GOOD, FAIR),
        (4.10, 50, FAIR, FAIR),
        (4.13, 50, FAIR, GOOD),
        (3.15, 50, POOR, POOR),
        (3.20, 50, POOR, FAIR),
        (4.05, 50, POOR, FAIR),
        (4.05, 50, SILENT, GOOD),
    ],
)
def test_ratings(mos: float, packets: int, before: Hearing | None, found: Hearing) -> None:
    assert hearing_of(mos, packets, before) is found


def test_only_changes_are_told_and_not_too_often() -> None:
    told = ToldHearing()
    assert not told.is_news({}, 1.0, 10.0)
    assert told.is_news({"wic": GOOD}, 5.0, 10.0)
    assert not told.is_news({"wic": GOOD}, 50.0, 10.0)
    assert told.is_news({"wic": POOR}, 55.0, 10.0)
    assert not told.is_news({"wic": GOOD}, 64.9, 10.0)
    # What is still so is told later; a side that has not reported is as it was.
    assert told.is_news({"wic": GOOD, "ims": FAIR}, 65.0, 10.0)
    assert not told.is_news({"ims": FAIR}, 99.0, 10.0)
    assert told.is_news({"ims": POOR}, 65.0 - 3_600.0, 10.0), "a clock that was set back keeps nobody waiting"
