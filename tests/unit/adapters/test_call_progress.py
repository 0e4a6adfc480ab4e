"""What workers note of running calls becomes events: once each, in order, and digits only for who listens."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from kemi.adapters.calls import progress as call_progress
from kemi.adapters.calls.dispatcher import Dispatcher
from kemi.adapters.calls.executor import Executor
from kemi.adapters.calls.progress import CallProgress, ProgressNotes
from kemi.adapters.housekeeping import Housekeeping
from kemi.adapters.notices import Notices
from kemi.core.call.actions import Action, RecordProgress, TellDigit
from tests.fakes.table import MemoryTable
from tests.unit.adapters import test_call_history as history
from tests.unit.adapters.test_shared_state import finished_call
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import CALL_ID, Call

STEP = RecordProgress("key", "call-id", "sip:alice@ims.example", "sip:bob@ims.example", True, "started")


class World:
    """Both sides."""

    def __init__(self) -> None:
        table = MemoryTable()
        self.notes = ProgressNotes(table)
        self.reached: list[tuple[str, float]] = []
        self.progress = CallProgress(
            table, Notices(MemoryTable(), "gw1"), lambda step, at: self.reached.append((step.state, at))
        )

    def note(self, *states: str, key: str = "key", at: float = 1.0) -> None:
        for number, state in enumerate(states):
            self.notes.progress(replace(STEP, state=state, key=key), at + number)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.progress.work().events]


def test_each_step_is_told_once_and_in_order() -> None:
    world = World()
    world.note("answered", at=3.0)
    world.note("started", "ringing", at=1.0)
    world.note("ringing", at=2.5)
    told = world.told()
    assert [one["type"] for one in told] == ["call_started", "call_ringing", "call_answered"]
    assert told[0] == {
        "type": "call_started", "key": "key", "call_id": "call-id", "impu": "sip:alice@ims.example",
        "peer": "sip:bob@ims.example", "direction": "from_page", "node": "gw1", "at": 1.0,
    }  # fmt: skip
    world.note("ringing", at=4.0)
    assert world.told() == []
    assert world.reached == [("started", 1.0), ("ringing", 2.0), ("answered", 3.0)]


def test_a_slow_worker_with_a_180_does_not_take_its_ringing_away() -> None:
    """Another one has the 200 behind it in hand meanwhile, and is faster."""
    world, call = World(), Call.forwarded()
    executor = Executor.__new__(Executor)
    executor._progress = world.notes

    def perform(_key: str, action: Action) -> None:
        if isinstance(action, RecordProgress):
            if action.state == "ringing":
                worker.dispatch(CALL_ID, call.ims_reply(200, body=sdp.core_answer()))
            executor._record_progress(action)

    calls = SimpleNamespace(change=lambda _key, step: step(call.record))
    worker = Dispatcher(call.settings, calls, SimpleNamespace(perform=perform))  # type: ignore[arg-type]
    worker.dispatch(CALL_ID, call.ims_reply(180))
    assert [one["type"] for one in world.told()] == ["call_ringing", "call_answered"]


@pytest.mark.parametrize(
    ("state", "kinds", "why"),
    [
        ("started", ["call_started", "call_ended"], "CANCEL"),
        ("elsewhere", ["call_ended"], "answered elsewhere"),
    ],
)
def test_the_end_of_a_call_comes_after_all_else_that_is_told_of_it(
    state: str, kinds: list[str], why: str
) -> None:
    world, over = World(), history.World()
    events: list[dict[str, Any]] = []
    shared = SimpleNamespace(
        finished=lambda _calls: None, note=lambda _b, _s, texts, *_: events.extend(map(json.loads, texts))
    )
    house = Housekeeping.__new__(Housekeeping)
    house._progress, house._history, house._traces = world.progress, over.history, None
    house._shared, house._measuring = shared, SimpleNamespace(finished=lambda _calls: None)  # type: ignore[assignment]
    house._notices = Notices(MemoryTable(), "gw1")
    house._call_progress(1.0)
    # A worker notes both while this process waits for Redis.
    world.note(state, key=history.CALL.key)
    over.notes.ended(
        replace(history.CALL, kinds=(), answered_at=0.0, by="core", why="CANCEL", status=487), 1.2
    )
    house._finished_calls(1.3)
    assert ([one["type"] for one in events], events[-1]["why"]) == (kinds, why)
    assert not world.progress._ranks


def test_a_call_that_is_over_may_come_again_and_says_who_answered_it() -> None:
    world = World()
    world.note("started", "ringing", "elsewhere")
    world.note("started", key="other")
    assert len(world.told()) == 3
    cancelled, other = finished_call("1"), finished_call("2")
    cancelled = msgspec.structs.replace(cancelled, key="key", answered_at=0.0, why="CANCEL")
    other = msgspec.structs.replace(other, key="other", answered_at=0.0, why="CANCEL")
    assert [one.why for one in world.progress.finished([cancelled, other])] == [
        "answered elsewhere",
        "CANCEL",
    ]
    world.note("started")
    assert len(world.told()) == 1


def test_a_cancel_that_crossed_the_answer_is_forgotten() -> None:
    world = World()
    world.note("started", "elsewhere", "answered")
    world.told()
    answered = msgspec.structs.replace(finished_call("1"), key="key", answered_at=2.0, why="BYE")
    assert world.progress.finished([answered]) == [answered]


def test_digits_are_in_no_stream_and_in_no_text_of_the_action() -> None:
    world = World()
    pressed = TellDigit("call-id", "sip:alice@ims.example", "7", 160)
    world.notes.digit(pressed, 1.0)
    told = world.progress.work()
    assert told.events == []
    assert [json.loads(text)["digit"] for text in told.unkept] == ["7"]
    assert "7" not in repr(pressed)
    assert "unkept" not in repr(told)


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_progress, "MOST_CALLS", 2)
    world = World()
    for key in "abc":
        world.note("started", key=key)
        world.told()
    world.note("started", key="b")
    assert world.told() == []
    world.note("started", key="a")  # forgotten
    assert len(world.told()) == 1
