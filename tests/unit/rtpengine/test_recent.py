"""What each side of a running call has heard between two sets of statistics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtpengine.quality import Heard, Leg, MediumQuality, MosSource
from rtpengine.recent import recent_sound

HEARD = Heard(10, 0.0, 5, 2.0, 20.0, 40.0, 4.4, 4.3, MosSource.RTCP)
LEG = Leg("PCMA/8000", 500, 80_000, 0, HEARD)
EARLIER = MediumQuality(LEG, LEG)


def later(*, packets: int = 0, lost: int = 0, samples: int = 1, errors: int = 0) -> Leg:
    heard = replace(HEARD, samples=HEARD.samples + samples, lost_packets=HEARD.lost_packets + lost)
    return replace(LEG, packets=LEG.packets + packets, errors=errors, heard=heard)


def test_loss_is_that_of_the_time_between_and_goes_into_the_score() -> None:
    page, far = recent_sound(EARLIER, MediumQuality(later(packets=100), later(packets=250, lost=25)))
    assert page is not None
    assert far is not None
    # The page hears what the far end sent, and the other way round.
    assert (page.packets, page.loss_percent, page.round_trip_ms) == (250, 0.0, 20.0)
    assert (far.packets, far.loss_percent) == (100, 25.0)
    assert page.mos > 4.3
    assert 1.0 <= far.mos < 3.1


def test_who_is_sent_nothing_hears_nothing() -> None:
    page, far = recent_sound(EARLIER, MediumQuality(later(packets=100), later()))
    assert (page and page.packets, far and far.packets) == (0, 100)


def test_packets_of_somebody_else_are_not_the_partys() -> None:
    page, _ = recent_sound(EARLIER, MediumQuality(later(packets=100), later(packets=250, errors=600)))
    assert page is not None
    assert (page.packets, page.loss_percent) == (250, 0.0)


@pytest.mark.parametrize(
    "now",
    [
        MediumQuality(None, None),
        MediumQuality(replace(LEG, heard=None), replace(LEG, heard=None)),
        MediumQuality(later(samples=0, packets=9), later(samples=0)),
    ],
)
def test_who_has_not_reported_is_not_judged(now: MediumQuality) -> None:
    assert recent_sound(EARLIER, now) == (None, None)
    assert recent_sound(now, EARLIER) == (None, None)


def test_counters_that_begin_anew_make_no_loss() -> None:
    page, _ = recent_sound(EARLIER, MediumQuality(later(lost=-4), later(packets=-300)))
    assert page is not None
    assert (page.packets, page.loss_percent) == (0, 0.0)
