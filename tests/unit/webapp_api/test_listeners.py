"""Listeners of one process: who hears what, and who is cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from webapp_api import listeners
from webapp_api.listeners import LOGGED_OUT, MOST_WAITING, TOO_SLOW, Audience, Hub, Listener

ALICE, BOB = "sip:alice@ims.example", "sip:bob@ims.example"


class World:
    """A hub, and a clock that is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hub = Hub()
        self.now = 0.0
        self.woken = self.aborted = 0
        monkeypatch.setattr("webapp_api.listeners.time.monotonic", lambda: self.now)

    def join(self, *impus: str, sid: str = "sid", **audience: Any) -> Listener:
        listener = Listener(Audience(sid, impus, **audience), wake=self._wake, abort=self._abort)
        self.hub.join(listener)
        return listener

    def _wake(self) -> None:
        self.woken += 1

    def _abort(self) -> None:
        self.aborted += 1

    def tell(self, number: int, impu: str = ALICE, **fields: Any) -> None:
        self.hub.tell([(f"{number}-0", {"type": "call_started", "impu": impu, "at": 5.0, **fields})])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def waiting(listener: Listener) -> list[str]:
    return [json.loads(text).get("seq", "") for text in listener.waiting]


def test_each_hears_the_own_identities_however_they_are_spelt(world: World) -> None:
    alice, both, operator = (
        world.join("sip:alice@IMS.example;a=b"),
        world.join(ALICE, BOB),
        world.join(operator=True),
    )
    world.tell(1)
    world.tell(2, BOB)
    world.tell(3, "sip:carol@ims.example", type="fraud_alarm")
    assert (waiting(alice), waiting(both), waiting(operator)) == (
        ["1-0"],
        ["1-0", "2-0"],
        ["1-0", "2-0", "3-0"],
    )
    assert world.hub.position == "3-0"


def test_each_device_that_rings_has_a_fork_of_its_own_in_the_call(world: World) -> None:
    alice = world.join(ALICE)
    for number, (kind, key) in enumerate(
        [("call_started", "c;gw-in-1"), ("call_started", "c;gw-in-2"), ("call_ended", "c;gw-in-2")], start=1
    ):
        world.tell(number, type=kind, key=key, call_id="c", why="answered elsewhere")
    first, second, ended = map(json.loads, alice.waiting)
    assert first["call_id"] == second["call_id"] == ended["call_id"]
    assert first["fork"] != second["fork"] == ended["fork"]
    assert "gw-in" not in "".join(alice.waiting)


def test_whoever_leaves_hears_no_more_and_leaves_nothing_behind(world: World) -> None:
    alice, operator = world.join(ALICE), world.join(operator=True, sid="o")
    for one in (alice, operator):
        world.hub.leave(one)
        world.hub.leave(one)
    world.tell(1)
    assert not alice.waiting
    assert not operator.waiting
    assert [len(world.hub), world.hub._of_identity, world.hub._of_session, world.hub._operators] == [
        0,
        {},
        {},
        {},
    ]


def test_what_is_known_is_not_told_again(world: World) -> None:
    alice = world.join(ALICE)
    alice.floor = (9, 0)
    world.tell(9)
    world.tell(10)
    assert waiting(alice) == ["10-0"]


def test_a_slow_one_is_cut_off_and_its_messages_are_dropped(world: World) -> None:
    slow, other = world.join(ALICE), world.join(ALICE)
    for number in range(1, MOST_WAITING + 2):
        world.tell(number)
        other.waiting.clear()
    assert (slow.closing, len(slow.waiting), other.closing) == (TOO_SLOW, 0, None)
    world.now = listeners.CUT_S - 0.1
    world.hub.beat()
    assert world.aborted == 0
    world.now = listeners.CUT_S
    world.hub.beat()
    assert world.aborted == 1


def test_signs_of_life_come_now_and_then_and_who_takes_none_is_cut_off(world: World) -> None:
    alice = world.join(ALICE)
    world.hub.beat()
    assert not alice.waiting
    world.now = listeners.BEAT_S
    world.hub.beat()
    assert (len(alice.waiting), alice.due) == (1, True)
    world.now *= 2
    world.hub.beat()
    assert alice.closing == TOO_SLOW


def test_a_session_that_ends_takes_its_listeners_along(world: World) -> None:
    mine, other = world.join(ALICE, sid="a"), world.join(ALICE, sid="b")
    world.hub.end_sessions(["a", "nobody"])
    assert (mine.closing, other.closing) == (LOGGED_OUT, None)


def test_a_gap_is_told_to_everybody(world: World) -> None:
    alice, operator = world.join(ALICE), world.join(operator=True)
    world.hub.moved_to("7-0", gap=True)
    for one in (alice, operator):
        assert json.loads(one.waiting[0]) == {"type": "position", "seq": "7-0", "gap": True}


def test_after_a_gap_events_of_lower_numbers_are_told(world: World) -> None:
    operator = world.join(operator=True)
    operator.floor = (9, 0)
    world.hub.moved_to("7-0", gap=True)
    world.hub.tell([("8-0", {"type": "registered", "impu": ALICE, "at": 1.0})])
    assert [json.loads(text)["type"] for text in operator.waiting] == ["position", "registered"]


def test_nobody_joins_what_has_stopped(world: World) -> None:
    alice = world.join(ALICE)
    world.hub.stop()
    late = world.join(ALICE)
    assert alice.closing == late.closing == listeners.GOING_AWAY
