"""Which calls are running: many who ask at once do not hold up housekeeping."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from kemi.adapters.calls import questions
from kemi.adapters.calls.questions import Questions
from kemi.state.call_questions import ANSWER_S, CallQuestion
from kemi.state.commands import ListCalls


class Shared:
    """What is shipped."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_up = True

    def ship_calls(self, asked: str, _text: str, _now: float) -> None:
        self.asked.append(asked)


@pytest.fixture
def shared() -> Shared:
    return Shared()


@pytest.fixture
def waiting(shared: Any, monkeypatch: pytest.MonkeyPatch) -> Questions:
    """A gateway whose answers take three quarters of what a tick has for them."""
    looks = itertools.count(0, questions.ANSWERING_S * 0.75)
    monkeypatch.setattr(questions, "time", SimpleNamespace(perf_counter=looks.__next__))
    calls: Any = SimpleNamespace(texts=lambda: [])
    return Questions("gw1", calls, lambda _: {}, shared)


def test_a_tick_answers_as_long_as_it_may_and_the_next_one_goes_on(
    waiting: Questions, shared: Shared
) -> None:
    for number in range(3):
        waiting.ask(ListCalls(str(number)), 10.0)
    for tick in range(1, 4):
        waiting.answer(10.0 + tick / 10)
        assert shared.asked == [str(number) for number in range(tick)]
    waiting.answer(11.0)
    assert len(shared.asked) == 3


def test_a_redis_that_is_away_is_not_waited_for_again(waiting: Questions, shared: Shared) -> None:
    waiting.ask(ListCalls("early"), 10.0)
    waiting.ask(ListCalls("late"), 11.0)
    shared.is_up = False
    waiting.answer(11.0)
    assert shared.asked == []
    shared.is_up = True
    waiting.answer(11.1 + ANSWER_S - 1)
    waiting.answer(11.2 + ANSWER_S - 1)
    assert shared.asked == ["late"]


def test_nobody_is_answered_who_has_gone_or_asks_another_gateway(waiting: Questions, shared: Shared) -> None:
    waiting.ask(ListCalls("other", CallQuestion(gateway="gw2")), 10.0)
    waiting.ask(ListCalls("gone"), 10.0)
    waiting.ask(ListCalls("there", CallQuestion(gateway="gw1")), 10.0 + ANSWER_S)
    waiting.answer(10.1 + ANSWER_S)
    waiting.answer(10.2 + ANSWER_S)
    assert shared.asked == ["there"]
