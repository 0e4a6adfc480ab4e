"""What Redis keeps of the calls of trunks: it is shipped, outlives a restart, and is written again."""

from __future__ import annotations

import time

import pytest

from kemi.adapters.shared_state import BACK_OFF_S
from kemi.state.redis_link import Stored
from kemi.state.trunks import LONGEST_S, TrunkCall
from tests.unit.adapters.test_shared_state import World


@pytest.fixture
def world() -> World:
    """A gateway, whose Redis is there."""
    return World()


class TestCallsOfTrunks:
    """What the trunk's side of a call needs outlives a restart."""

    @staticmethod
    def begun(world: World, name: str = "c1", since: float = 0.0) -> None:
        call = TrunkCall(
            "acme", "t1", "<sip:1@a>;tag=t1", "<sip:+1@a>;tag=t1", "192.0.2.7", since or time.time()
        )
        assert world.trunks.begin(name, call)

    def test_only_answered_ones_are_kept_until_they_end(self, world: World) -> None:
        self.begun(world)
        world.shared.ship(1.0)
        assert world.redis.records == {}
        world.trunks.answer("c1", "a")
        world.trunks.answer("c1", "a")
        world.shared.ship(1.1)
        (text,) = world.redis.records.values()
        assert '"answered":true' in str(text)
        world.trunks.end("c1", "a", 2.0)
        world.shared.ship(2.0)
        assert world.redis.records == {"trunk c1": None}
        world.trunks.forget("c1")
        self.begun(world)
        world.trunks.forget("c1")
        world.shared.ship(3.0)
        assert world.redis.records == {"trunk c1": None}

    def test_it_goes_on_after_a_restart_and_counts(self, world: World) -> None:
        self.begun(world, "c1")
        self.begun(world, "old", time.time() - LONGEST_S)
        for name in ("c1", "old"):
            world.trunks.answer(name, "a")
        world.shared.ship(1.0)
        after = World()
        kept = {name: str(text) for name, text in world.redis.records.items()}
        after.redis.content = Stored({}, {}, {**kept, "trunk broken": "{"})
        assert after.shared.restore(2.0, 30.0)
        assert after.trunks.call("c1") == world.trunks.call("c1")
        assert (after.room.running("acme"), after.trunks.call("old")) == (1, None)
        after.shared.ship(3.0)
        assert after.redis.records == {"trunk old": None, "trunk broken": None}

    def test_an_empty_redis_hears_of_them_again(self, world: World) -> None:
        self.begun(world)
        world.trunks.answer("c1", "a")
        world.redis.down = True
        world.shared.ship(1.0)
        world.redis.down = False
        world.shared.ship(1.0 + BACK_OFF_S)
        world.redis.records.clear()
        world.redis.down = True
        world.shared.note((), (), ["event"])
        world.shared.ship(3.0)
        world.redis.down = False
        world.shared.ship(3.0 + BACK_OFF_S)
        world.shared.ship(4.0 + BACK_OFF_S)
        assert set(world.redis.records) == {"trunk c1"}
