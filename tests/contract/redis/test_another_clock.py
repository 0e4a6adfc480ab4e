"""Commands that Redis numbers by another clock than a gateway's, or than another Redis before."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kemi.state import keys
from kemi.state.commands import EndCalls, Logout
from kemi.state.redis_link import RedisLink
from kemi.state.web.streams import CommandStream
from tests.contract.redis.conftest import logout

pytestmark = pytest.mark.contract

END_CALL = {"json": '{"type":"end_call","call_id":"x"}'}


class TestAnotherRedis:
    """What it has is heard, and nothing of it twice."""

    @pytest.fixture
    def ahead(self, link: RedisLink, database: Any) -> int:
        """A gateway has read what a Redis numbered whose clock is an hour ahead; returns the last number."""
        link.exchange((), time.time())
        last = int((time.time() + 3600) * 1000)
        for number in (last - 10, last):
            database.xadd(keys.COMMANDS, END_CALL, f"{number}-0")
        assert link.exchange((), time.time()).commands == [EndCalls("x")] * 2
        return last

    @pytest.mark.usefixtures("ahead")
    def test_an_empty_one(self, link: RedisLink, database: Any) -> None:
        database.flushall()
        assert link.exchange((), time.time()).commands == []
        for _ in range(2):
            CommandStream(database).end_calls(call_id="y", now=time.time())
            logout(database, "a")
            assert link.exchange((), time.time()).commands == [EndCalls("y"), Logout("a", 1.0)]

    @pytest.mark.usefixtures("ahead")
    def test_an_empty_one_that_has_commands_already(self, link: RedisLink, database: Any) -> None:
        database.flushall()
        CommandStream(database).end_calls(call_id="y", now=time.time())
        assert link.exchange((), time.time()).commands == [EndCalls("y")]

    def test_one_without_the_last_entry(self, link: RedisLink, database: Any, ahead: int) -> None:
        database.delete(keys.COMMANDS)
        database.xadd(keys.COMMANDS, END_CALL, f"{ahead - 10}-0")
        CommandStream(database).end_calls(call_id="y", now=time.time())
        assert link.exchange((), time.time()).commands == [EndCalls("y")]
        CommandStream(database).end_calls(call_id="z", now=time.time())
        assert link.exchange((), time.time()).commands == [EndCalls("z")]


def test_a_gateway_whose_clock_is_ahead_hears_what_is_for_the_calls_of_now(
    link: RedisLink, database: Any
) -> None:
    wrong = time.time() + 30
    link.exchange((), wrong)
    CommandStream(database).end_calls(call_id="y", now=time.time())
    assert link.exchange((), wrong).commands == [EndCalls("y")]
