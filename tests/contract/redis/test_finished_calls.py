"""Finished calls in a real Redis: found by id, by identity and by time, and gone when their time is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from kemi.state import history_link, keys
from kemi.state.call_history import FinishedCall
from kemi.state.redis_link import RedisLink
from kemi.state.web.calls import FinishedCalls
from tests.unit.adapters.test_shared_state import finished_call

pytestmark = pytest.mark.contract

KEPT_S = 1000
ALICE, BOB = "sip:alice@ims.example", "sip:bob@ims.example"


@dataclass
class Kept:
    """Both sides of Redis."""

    gateway: RedisLink
    web: FinishedCalls

    def write(self, *calls: FinishedCall) -> None:
        """Ship calls as the gateway does."""
        self.gateway.ship({}, {}, [], calls)


@pytest.fixture
def kept(database: Any, url: str) -> Kept:
    return Kept(RedisLink(url, "node-1", calls_kept_s=KEPT_S), FinishedCalls(database))


def call(number: int, impu: str = ALICE) -> FinishedCall:
    """Make a call that ended at this second."""
    return msgspec.structs.replace(finished_call(name(number)), impu=impu, ended_at=float(number))


def name(number: int, mark: int = 0) -> str:
    """Return the id of a call that ended at this second."""
    return f"{number * 1000:014d}-{mark:016x}"


def test_the_latest_come_first_page_by_page(kept: Kept) -> None:
    calls = [call(number, BOB if number % 2 else ALICE) for number in range(1, 7)]
    kept.write(*calls)
    assert kept.web.get(name(3)) == calls[2]
    first, after = kept.web.page(2)
    assert (first, after) == ([calls[5], calls[4]], name(5))
    assert kept.web.page(2, after=after) == ([calls[3], calls[2]], name(3))
    assert kept.web.page(9, impus=[BOB]) == ([calls[4], calls[2], calls[0]], "")
    assert kept.web.page(9, impus=["sip:nobody@ims.example"]) == ([], "")
    assert kept.web.page(9, impus=[]) == ([], ""), "who has no identity has no calls"


def test_calls_that_ended_at_the_same_moment_are_all_there(kept: Kept) -> None:
    same = [msgspec.structs.replace(call(1), id=name(1, mark)) for mark in range(5)]
    kept.write(*same)
    first, after = kept.web.page(2)
    assert first + kept.web.page(9, after=after)[0] == same[::-1]


@pytest.mark.parametrize("after", ["nan", "1.5", "00003", f"{name(1)}\n"])
def test_a_place_that_is_none(kept: Kept, after: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        kept.web.page(2, after=after)


def test_nothing_is_kept_for_ever(kept: Kept, database: Any) -> None:
    kept.write(call(1), call(2, BOB))
    for key in (keys.CALLS, keys.calls_of(ALICE), keys.finished_call(name(1))):
        assert 0 < database.ttl(key) <= KEPT_S
    kept.write(call(1 + KEPT_S))
    assert database.zrange(keys.CALLS, 0, -1) == [name(2), name(1001)]
    assert database.zrange(keys.calls_of(ALICE), 0, -1) == [name(1001)]
    database.delete(keys.finished_call(name(2)))
    assert [found.id for found in kept.web.page(9)[0]] == [name(1001)]


def test_a_site_may_keep_none(database: Any, url: str) -> None:
    RedisLink(url, "node-1").ship({}, {}, ["{}"], [call(1)])
    assert not database.exists(keys.CALLS)
    assert database.xlen(keys.EVENTS)


def test_who_reads_names_of_keys_does_not_learn_who_calls(kept: Kept, database: Any) -> None:
    kept.write(call(1))
    assert not [name for name in database.scan_iter() if "alice" in name]


def test_a_redis_that_has_little_room_forgets_the_oldest_and_takes_logins(kept: Kept, database: Any) -> None:
    limit = int(database.info("memory")["used_memory"] * 1.3) + 2_000_000
    try:
        database.config_set("maxmemory", limit)
        number = 0
        for _ in range(40):
            calls = [call(number := number + 1, ALICE if number % 2 else BOB) for _ in range(200)]
            kept.write(*[msgspec.structs.replace(one, ended_at=1.0 + one.ended_at / 100) for one in calls])
            shares = [kept.gateway.trim_calls() for _ in range(2)]
        database.set("session", "x" * 1000)
        assert 0.5 < shares[-1] < 0.9
        there = database.zrange(keys.CALLS, 0, -1)
        assert there[-1] == name(number)
        assert name(1) not in there
        # Nothing else is left of what was forgotten.
        assert len(list(database.scan_iter(keys.finished_call("*")))) == len(there) < number
        assert sum(database.zcard(keys.calls_of(impu)) for impu in (ALICE, BOB)) == len(there)
    finally:
        database.config_set("maxmemory", 0)


def test_the_latest_stay_until_redis_is_nearly_full(
    kept: Kept, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_link, "LIMITS", ((0.85, 0), (0.7, 2)))
    kept.write(*(call(number) for number in range(1, 5)))
    used = database.info("memory")["used_memory"]
    left = []
    try:
        for share in (0.6, 0.75, 0.95):
            database.config_set("maxmemory", int(used / share))
            assert kept.gateway.trim_calls() == pytest.approx(share, abs=0.05)
            left.append(database.zcard(keys.CALLS))
    finally:
        database.config_set("maxmemory", 0)
    assert left == [4, 2, 0]
    assert kept.gateway.trim_calls() == 0.0
