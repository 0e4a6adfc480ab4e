"""How far a gateway has read commands whose numbers are by a clock that may be another one."""

from __future__ import annotations

from kemi.state.command_position import TOKEN_LIFETIME_S, CommandPosition

NOW = 1_000_000.0


def entry(at: float) -> str:
    return f"{int(at * 1000)}-0"


def position(kept: str | None = None) -> CommandPosition:
    found = CommandPosition()
    found.begin(kept, NOW)
    return found


def test_it_begins_a_tokens_lifetime_ago_or_where_it_was_before_that() -> None:
    oldest = entry(NOW - TOKEN_LIFETIME_S)
    assert (position().at, position(entry(NOW - 1)).at) == (oldest, oldest)
    assert position(entry(NOW - 5000)).at == entry(NOW - 5000)


def test_what_comes_after_the_start_is_not_old_although_the_next_redis_is_behind() -> None:
    one = position()
    assert (one.is_old(entry(NOW - 0.001)), one.is_old(entry(NOW))) == (True, False)
    assert not one.follow(None, NOW + 0.5)
    assert one.is_old(entry(NOW - 0.001))
    behind = NOW - 3600
    assert not one.follow(None, behind), "nothing was read"
    assert (one.is_old(entry(behind - 10)), one.is_old(entry(behind + 1))) == (True, False)


def test_it_is_set_back_where_the_stream_ends_before_it() -> None:
    one = position()
    assert one.is_new(entry(NOW + 1))
    assert not one.follow(entry(NOW + 1), NOW + 1)
    assert not one.follow(entry(NOW + 2), NOW + 2)
    for newest in (entry(NOW), None):
        again = position()
        assert again.is_new(entry(NOW + 1))
        assert again.follow(newest, NOW + 2)
        assert again.at == entry(NOW + 2 - TOKEN_LIFETIME_S)
        assert not again.follow(newest, NOW + 2), "once"
        assert not again.is_new(entry(NOW + 1))
