"""Who is asked about its media, how often, and what follows."""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter

import pytest

from kemi.adapters.relay.media_watch import LEAVE_ALONE_S, MediaWatch
from kemi.core.call import events as ev
from kemi.core.call.media.lost_media import GONE, watched, why_lost
from kemi.core.call.record import CallRecord, Exchange, Offerer
from kemi.core.errors import MediaUnavailable
from kemi.core.sdp.model import Direction
from kemi.state.calls import CallStore
from tests.fakes.table import MemoryTable
from tests.unit.core.call.ladder import Call

NODES = {Call.confirmed().record.node}
TIMEOUT_S = 60.0
ROUND_S = 40.0


def running() -> CallRecord:
    """An answered call, two ways."""
    record = Call.confirmed().record
    record.media[0].wic_direction = Direction.SENDRECV
    return record


class Relay:
    """Stands where MediaRelay stands: says how long each call has been silent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent_s: dict[str, float | None] = {}
        self.down = False

    def silence(self, node: str, call_id: str, kind: str, now: float) -> float | None:
        """Answer as the daemon would."""
        self.asked.append(call_id)
        if self.down:
            raise MediaUnavailable("asleep")
        return self.silent_s.get(call_id, 0.0)


def watch_over(number: int) -> tuple[MediaWatch, Relay, CallStore]:
    """Return a watch over that many calls."""
    calls, relay = CallStore(MemoryTable(), MemoryTable()), Relay()
    for name in range(number):
        calls.create(replace(running(), call_id=f"call-{name}"))
    return MediaWatch(calls, relay, NODES, TIMEOUT_S), relay, calls  # type: ignore[arg-type]


def ticks(watch: MediaWatch, begin: float, seconds: float) -> list[tuple[str, ev.MediaLost | ev.NodeLost]]:
    """Let time pass, ten ticks a second."""
    return [lost for tick in range(int(seconds * 10)) for lost in watch.look(begin + tick / 10)]


def test_each_call_is_asked_about_once_in_a_round_and_few_at_a_time() -> None:
    watch, relay, _ = watch_over(1000)
    assert watch.look(0.0) == []
    assert len(relay.asked) == 3
    ticks(watch, 0.1, ROUND_S - 0.1)
    assert sorted(relay.asked) == sorted({*relay.asked})
    assert len(relay.asked) == 1000


def test_lost_ones_are_told() -> None:
    watch, relay, _ = watch_over(3)
    relay.silent_s = {"call-0": 59.9, "call-1": 60.0, "call-2": None}
    assert sorted(ticks(watch, 0.0, 1), key=itemgetter(0)) == [
        ("call-1", ev.MediaLost("no media for 60 s")),
        ("call-2", ev.MediaLost(GONE)),
    ]


def test_one_at_a_node_that_is_no_longer_configured_has_to_move_at_once() -> None:
    watch, relay, calls = watch_over(2)
    calls.change("call-1", lambda record: setattr(record, "node", "192.0.2.77:2223"))
    assert ticks(watch, 0.0, 1) == [("call-1", ev.NodeLost("192.0.2.77:2223"))]
    assert relay.asked == ["call-0"]


def test_a_node_that_does_not_answer_is_left_alone_for_a_while() -> None:
    watch, relay, _ = watch_over(5)
    relay.down = True
    assert ticks(watch, 0.0, 1) == []
    assert len(relay.asked) == 1
    relay.down = False
    ticks(watch, ROUND_S + LEAVE_ALONE_S, 1)
    assert len(relay.asked) == 1 + 5


def test_a_call_that_ends_meanwhile_is_not_asked_about() -> None:
    watch, relay, calls = watch_over(2)
    watch.look(0.0)
    for key in calls.keys():  # noqa: SIM118 - a store, not a dictionary
        calls.forget(key)
    ticks(watch, 0.1, 5)
    assert len(relay.asked) == 1


def test_a_clock_that_is_set_back_leaves_no_node_alone_for_longer() -> None:
    watch, relay, _ = watch_over(1)
    relay.down = True
    ticks(watch, 10_000.0, ROUND_S)
    assert len(relay.asked) == 1
    ticks(watch, 10_000.0 - 3_600.0, ROUND_S)
    assert len(relay.asked) == 2


def test_nobody_is_asked_where_silence_may_last_for_ever() -> None:
    calls, relay = CallStore(MemoryTable(), MemoryTable()), Relay()
    calls.create(running())
    assert ticks(MediaWatch(calls, relay, NODES, 0.0), 0.0, 5) == []  # type: ignore[arg-type]
    assert relay.asked == []


@pytest.mark.parametrize("stage", ["offered", "forwarded", "ringing"])
def test_only_running_calls_are_watched(stage: str) -> None:
    assert watched(getattr(Call, stage)().record) == ()


def test_a_call_that_is_being_changed_is_not() -> None:
    record = running()
    record.exchange = Exchange(Offerer.WIC, "INVITE", 9)
    assert watched(record) == ()


@pytest.mark.parametrize(
    ("wic", "ims", "lost"),
    [
        pytest.param(Direction.SENDRECV, Direction.SENDRECV, True, id="both ways"),
        pytest.param(Direction.SENDRECV, Direction.SENDONLY, False, id="held by the far end"),
        pytest.param(Direction.INACTIVE, Direction.SENDRECV, False, id="held by the page"),
        pytest.param(Direction.INACTIVE, Direction.INACTIVE, False, id="by both"),
    ],
)
def test_on_hold_nothing_is_missed(wic: Direction, ims: Direction, lost: bool) -> None:
    record = running()
    record.media[0].wic_direction, record.media[0].ims_direction = wic, ims
    assert bool(why_lost(record, {"audio": 3600.0}, TIMEOUT_S)) is lost
    assert why_lost(record, {"audio": None}, TIMEOUT_S) == GONE


def test_one_medium_that_lives_is_enough() -> None:
    assert why_lost(running(), {"audio": 3600.0, "video": 1.0}, TIMEOUT_S) == ""
    assert why_lost(running(), {"audio": None, "video": 1.0}, TIMEOUT_S) == ""
