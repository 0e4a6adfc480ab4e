"""Which answers mean that a next hop lives, and what the table keeps of it."""

from collections.abc import Mapping

import pytest

from kemi.core.trunk.health import (
    MOST_RETRY_AFTER_S,
    UP,
    Health,
    after_answer,
    after_silence,
    health_from_text,
    health_key,
    health_to_text,
    hops_up,
)
from kemi.core.trunk.trunk import Trunk

NOW = 1_000.0


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 405, 481, 486, 500, 501, 504, 600])
def test_whoever_answers_anything_else_lives(status: int) -> None:
    assert after_answer(Health(900.0, "no answer"), status, 0.0, NOW) == UP


@pytest.mark.parametrize("status", [408, 430, 503])
def test_nobody_is_there(status: int) -> None:
    assert after_answer(UP, status, 0.0, NOW) == Health(NOW, f"it answered {status}")


@pytest.mark.parametrize(
    ("status", "retry_after_s", "not_before"),
    [(503, 20.0, NOW + 20), (503, 1e9, NOW + MOST_RETRY_AFTER_S), (503, 0.0, 0.0), (408, 20.0, 0.0)],
)
def test_it_says_when_to_come_again(status: int, retry_after_s: float, not_before: float) -> None:
    assert after_answer(UP, status, retry_after_s, NOW).not_before == not_before


def test_since_is_the_first_silence_and_the_reason_the_last() -> None:
    first = after_silence(UP, NOW)
    assert first == Health(NOW, "no answer")
    assert after_silence(first, NOW + 30, "no connection") == Health(NOW, "no connection")
    assert after_answer(first, 503, 5.0, NOW + 30) == Health(NOW, "it answered 503", NOW + 35)


def test_the_table_knows_those_that_are_down() -> None:
    down = Health(NOW, "it answered 503", NOW + 5)
    assert health_from_text(health_to_text(down)) == down
    assert health_to_text(UP) is None
    assert health_from_text(None) == UP


def test_the_next_hops_that_are_up() -> None:
    trunk = Trunk("acme", ["sip:192.0.2.1", "sip:192.0.2.2"])
    table: Mapping[str, str] = {health_key("acme", "sip:192.0.2.1"): "down 1000.000 0.000 no answer"}

    def read(key: str) -> str | None:
        return table.get(key)

    assert hops_up(trunk, read) == ["sip:192.0.2.2"]
    assert hops_up(trunk, lambda _key: None) == trunk.uris
