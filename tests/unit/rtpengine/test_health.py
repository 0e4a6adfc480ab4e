"""rtpengine.health: a dead node is known soon, a busy one is not taken for dead."""

from __future__ import annotations

import tracemalloc

import pytest

from rtpengine.health import TRANSITIONS, Health, NodeState, Sign

PING_S = 0.1


class Node:
    """A node that is pinged at its interval; answers take ``delay_s``, None: there are none."""

    def __init__(self) -> None:
        self.health = Health()
        self.now = 100.0
        self._sent: list[float] = []

    def run(self, seconds: float, delay_s: float | None = 0.001, *, refused: bool = False) -> list[NodeState]:
        """Go on for a while; return the states in between, each once."""
        seen = [self.health.state]
        until = self.now + seconds
        while self.now < until:
            self.health.look(self.now)
            self.health.pinged(self.now)
            self._sent.append(self.now)
            if refused:
                self.health.refused()
            self._note(seen)
            self.now += PING_S
            while delay_s is not None and self._sent and self._sent[0] + delay_s <= self.now:
                self.health.answered(self._sent.pop(0) + delay_s)
                self._note(seen)
        return seen

    def _note(self, seen: list[NodeState]) -> None:
        if seen[-1] is not self.health.state:
            seen.append(self.health.state)


@pytest.fixture
def node() -> Node:
    """A node that has been up for a while."""
    node = Node()
    assert node.run(1) == [NodeState.UNKNOWN, NodeState.UP]
    return node


def test_a_stopped_node_is_down_within_a_second_and_not_before_half_of_one(node: Node) -> None:
    assert node.run(0.5, None) == [NodeState.UP, NodeState.SUSPECT]
    assert node.run(0.5, None) == [NodeState.SUSPECT, NodeState.DOWN]


def test_a_killed_node_is_down_at_its_second_refusal(node: Node) -> None:
    assert node.run(2 * PING_S, refused=True, delay_s=None)[-1] is NodeState.DOWN


def test_a_node_that_is_off_for_days_takes_no_memory(node: Node) -> None:
    tracemalloc.start()
    try:
        for _ in range(100_000):
            node.health.look(node.now)
            node.health.pinged(node.now)
            node.now += PING_S
        held, _most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert node.health.state is NodeState.DOWN
    assert held < 10_000


@pytest.mark.parametrize("late_s", [0.3, 0.45, 0.55])
def test_late_answers_never_make_a_node_down(node: Node, late_s: float) -> None:
    assert NodeState.DOWN not in node.run(5, late_s)


def test_one_lost_answer_is_nothing(node: Node) -> None:
    node.health.pinged(node.now)
    node.now += PING_S
    assert node.run(1) == [NodeState.UP]


def test_a_pause_of_our_own_says_nothing_of_the_node(node: Node) -> None:
    node.health.pinged(node.now)
    node.now += 5
    node.health.look(node.now)
    assert node.health.state is NodeState.SUSPECT
    assert node.run(0.3)[-1] is NodeState.UP


def test_who_was_down_has_to_answer_a_few_times(node: Node) -> None:
    node.run(2, None)
    node._sent.clear()
    assert node.run(1) == [NodeState.DOWN, NodeState.RETURNING, NodeState.UP]
    node.run(2, None)
    node._sent.clear()
    node.run(PING_S)
    assert node.run(1, None) == [NodeState.RETURNING, NodeState.DOWN]


def test_a_node_that_never_answered_is_down_too() -> None:
    node = Node()
    assert node.run(1, None) == [NodeState.UNKNOWN, NodeState.DOWN]


def test_nothing_but_silence_brings_a_node_down() -> None:
    ways = {pair for pair, after in TRANSITIONS.items() if after is NodeState.DOWN}
    assert {sign for state, sign in ways if state is not NodeState.RETURNING} == {Sign.SILENT}
