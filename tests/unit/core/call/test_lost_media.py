"""Which calls are watched for media, and which have lost them (TS 24.229 §5.2.8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kemi.core.call.media.lost_media import GONE, watched, why_lost
from kemi.core.call.record import CallRecord
from kemi.core.sdp.model import Direction
from tests.unit.core.call.ladder import Call

BOTH, SEND = Direction.SENDRECV, Direction.SENDONLY


def running(video: Direction | None = None) -> CallRecord:
    record = Call.confirmed().record
    (audio,) = record.media
    if video is not None:
        record.media.append(replace(audio, kind="video", ims_direction=video))
    return record


def test_what_is_off_is_not_watched() -> None:
    record = running(BOTH)
    assert watched(record) == ("audio", "video")
    record.media[1].active = False
    assert watched(record) == ("audio",)


def test_a_call_that_is_not_acknowledged_is_not_watched() -> None:
    record = running()
    record.acknowledged = False
    assert watched(record) == ()


@pytest.mark.parametrize(
    ("silent_s", "timeout_s", "why"),
    [
        pytest.param({"audio": 30.0}, 30.0, "no media for 30 s", id="silent"),
        pytest.param({"audio": 29.9}, 30.0, "", id="not for so long"),
        pytest.param({"audio": 3600.0}, 0.0, "", id="for ever"),
        pytest.param({"audio": 3600.0, "video": 1.0}, 30.0, "", id="video goes on"),
        pytest.param({"audio": None, "video": 3600.0}, 30.0, "no media for 30 s", id="one is not known"),
        pytest.param({"audio": None, "video": None}, 0.0, GONE, id="none is known"),
        pytest.param({}, 30.0, "", id="nothing was asked"),
        pytest.param({"video": 3600.0}, 30.0, "", id="only what flows one way was asked about"),
    ],
)
def test_a_call_is_lost_when_all_of_it_is_silent(
    silent_s: dict[str, float | None], timeout_s: float, why: str
) -> None:
    assert why_lost(running(SEND), silent_s, timeout_s) == why
