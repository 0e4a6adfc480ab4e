"""What is due when."""

from __future__ import annotations

from kemi.state.deadlines import Deadlines


def test_keys_come_up_in_time_and_once() -> None:
    deadlines = Deadlines()
    deadlines.put("b", 2.0)
    deadlines.put("a", 1.0)
    assert deadlines.due(0.5) == []
    assert deadlines.due(2.0) == ["a", "b"]
    assert deadlines.due(9.0) == []


def test_an_earlier_time_counts_and_a_later_one_waits_for_the_next_look() -> None:
    deadlines = Deadlines()
    deadlines.put("a", 5.0)
    deadlines.put("a", 3.0)
    deadlines.put("a", 8.0)
    assert deadlines.due(3.0) == ["a"]
    assert deadlines.due(9.0) == []


def test_a_key_that_is_put_for_ever_does_not_grow() -> None:
    deadlines = Deadlines()
    now = 0.0
    for _ in range(1000):
        now += 300.0
        deadlines.put("a", now + 600.0)
        for key in deadlines.due(now):
            deadlines.put(key, now + 600.0)
    assert len(deadlines) <= 2
