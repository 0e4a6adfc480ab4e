"""Which calls are running, for who asks: an answer reads every call there is, and waits for Redis.

So when many come at once, each tick answers some of them; and nobody who has gone meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from kemi.adapters.shared_state import SharedState
from kemi.adapters.turns import TURNS
from kemi.state.call_questions import ANSWER_S, answer_text
from kemi.state.calls import CallStore
from kemi.state.commands import ListCalls
from kemi.state.running_calls import Figures

ANSWERING_S: Final = 0.02
"""How long one tick may answer; the answer that is begun is given."""


class Questions:
    """The housekeeping process's."""

    def __init__(
        self, node: str, calls: CallStore, figures_of: Callable[[str], Figures], shared: SharedState
    ) -> None:
        """``figures_of``: of a call's key, what is known last."""
        self._node = node
        self._calls = calls
        self._figures_of = figures_of
        self._shared = shared
        self._waiting: deque[tuple[float, ListCalls]] = deque()

    def ask(self, command: ListCalls, now: float) -> None:
        """Take a question, if it is one to this gateway."""
        if command.question.gateway in ("", self._node):
            self._waiting.append((now, command))

    def answer(self, now: float) -> None:
        """Answer what can be answered in a tick."""
        until = time.perf_counter() + ANSWERING_S
        while self._waiting and self._shared.is_up and time.perf_counter() < until:
            came_at, command = self._waiting.popleft()
            if now - came_at > ANSWER_S:
                continue
            text = answer_text(command.asked, command.question, self._calls.texts(), self._figures_of, now)
            self._shared.ship_calls(command.asked, text, now)
            TURNS.give_way()
