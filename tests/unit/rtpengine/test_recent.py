"""What each side of a running call has heard between two looks at its statistics."""

from __future__ import annotations

from dataclasses import replace

from rtpengine.ng.statistics import QualitySample
from rtpengine.quality import Heard, Leg, MediumQuality, MosSource
from rtpengine.recent import STALE_LOOKS, Course, RecentLeg

LEG = Leg("PCMA/8000", 0, 0, 0, Heard(360, 0.0, 5, 2.0, 20.0, 40.0, 4.4, 4.3, MosSource.RTCP))


def report(at_s: int, loss: int = 0, jitter: int = 4) -> QualitySample:
    return QualitySample(4.3, 40.0, 20.0, jitter, loss, 1, at_s)


def sent(wic: int, ims: int, *, errors: int = 0) -> MediumQuality:
    return MediumQuality(replace(LEG, packets=wic), replace(LEG, packets=ims, errors=errors))


def test_a_bad_minute_of_a_long_call_is_bad_and_the_next_one_is_not() -> None:
    course = Course("audio")
    course.take(sent(90_000, 90_000), (report(1800), report(1800)))
    found = course.take(sent(90_250, 90_100), (report(1805, loss=30, jitter=90), report(1804)))
    page, far = found["wic"], found["ims"]
    assert page is not None
    assert far is not None
    # The page hears what the far end sent, and the other way round.
    assert (page.packets, page.loss_percent, page.jitter_ms, page.round_trip_ms) == (100, 30.0, 90.0, 20.0)
    assert (far.packets, far.loss_percent) == (250, 0.0)
    assert page.mos is not None
    assert 1.0 <= page.mos < 2.0
    found = course.take(sent(90_500, 90_350), (report(1810), report(1810)))
    assert found["wic"] == RecentLeg(250, 0.0, 4.0, 20.0, 4.39)


def test_an_entry_is_of_all_reports_since_the_one_before() -> None:
    course = Course("audio")
    now = sent(500, 500)
    course.take(now, (report(10), report(10)))
    course.since_entry(now)
    for at_s, loss in ((15, 40), (20, 0), (20, 0)):
        now = sent(500 + 50 * at_s, 1000)
        course.take(now, (report(at_s), report(at_s, loss)))
    found = course.since_entry(now)["ims"]
    assert found is not None
    assert (found.packets, found.loss_percent) == (1000, 20.0)
    again = course.since_entry(now)["ims"]
    assert again is not None
    assert again.loss_percent == 0.0


def test_who_is_sent_nothing_hears_nothing_and_strangers_send_nothing() -> None:
    course = Course("audio")
    course.take(sent(500, 500), (report(10), report(10)))
    found = course.take(sent(500, 500, errors=40), (report(15), report(15)))
    assert [leg and leg.packets for leg in found.values()] == [0, 0]


def test_who_reports_no_more_is_judged_no_more() -> None:
    course = Course("audio")
    assert course.take(sent(1, 1), (None, None)) == {"wic": None, "ims": None}
    assert course.now() == {}
    course.take(sent(1, 1), (None, report(10)))
    for _ in range(STALE_LOOKS - 1):
        assert course.take(sent(9, 9), (None, report(10)))["ims"] is None
        assert course.now()["ims"] is not None
    course.take(MediumQuality(None, None), (None, None))
    assert course.now() == {"ims": None}


def test_counters_that_begin_anew_tell_nothing_until_the_next_report() -> None:
    """The call is on another relay: nobody has heard nothing."""
    course = Course("audio")
    course.take(sent(500, 500), (report(10), report(10)))
    course.since_entry(sent(500, 500))
    course.take(sent(700, 700), (report(15), report(15)))
    moved = sent(300, 300)
    assert course.take(moved, (report(4), report(4))) == {"wic": None, "ims": None}
    for heard in (course.now(), course.since_entry(moved)):
        assert [leg and leg.packets for leg in heard.values()] == [200, 200]
    assert course.take(moved, (report(4), report(4))) == {"wic": None, "ims": None}
    again = sent(550, 550)
    found = course.take(again, (report(9), report(9)))
    for heard in (found, course.since_entry(again)):
        assert [leg and leg.packets for leg in heard.values()] == [250, 250]


def test_pictures_have_no_score_for_speech() -> None:
    found = Course("video").take(sent(5, 5), (report(10), None))["wic"]
    assert found is not None
    assert (found.mos, found.jitter_ms) == (None, 4.0)
