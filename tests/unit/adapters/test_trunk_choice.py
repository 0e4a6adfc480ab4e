"""Which trunk, and which of its next hops, a call is given to."""

from __future__ import annotations

from collections import defaultdict

import pytest

from kemi.adapters.trunks.choice import Trunks
from kemi.core.call.events import TrunkChosen
from kemi.core.trunk.health import Health, health_key, health_to_text
from kemi.settings import settings_from_text
from tests.fakes.table import MemoryTable
from tests.unit.site import SETTINGS_TEXT

A, B, C = "sip:203.0.113.5", "sip:203.0.113.6", "sip:203.0.113.7"
TRUNKS = f"""
[[trunks]]
name = "one"
uris = ["{A}", "{B}"]
most_calls = 1
[[trunks]]
name = "two"
uris = ["{C}"]
"""
DOWN = str(health_to_text(Health(1000.0, "it answered 503", 1e10)))


@pytest.fixture
def tables() -> defaultdict[str, MemoryTable]:
    return defaultdict(MemoryTable)


@pytest.fixture
def trunks(tables: defaultdict[str, MemoryTable]) -> Trunks:
    return Trunks(settings_from_text(SETTINGS_TEXT + TRUNKS), tables.__getitem__, lambda _: True)


@pytest.mark.parametrize(
    ("down", "wanted", "chosen"),
    [
        ([], ("one", "two"), TrunkChosen("one", (A, B), ("two",))),
        ([("one", A)], ("one", "two"), TrunkChosen("one", (B,), ("two",))),
        ([("one", A)], ("one",), TrunkChosen("one", (B, A))),
        ([("one", A), ("one", B)], ("one", "two"), TrunkChosen("two", (C,), ("one",))),
        ([("one", A), ("one", B)], ("one", ""), TrunkChosen("", left=("one",))),
        ([("one", A), ("two", C)], ("two", "one"), TrunkChosen("one", (B, A), ("two",))),
        ([("one", A), ("one", B), ("two", C)], ("one", "two"), TrunkChosen("one", (A, B), ("two",))),
    ],
)
def test_who_is_down_is_tried_when_nobody_else_is_left(
    trunks: Trunks,
    tables: defaultdict[str, MemoryTable],
    down: list[tuple[str, str]],
    wanted: tuple[str, ...],
    chosen: TrunkChosen,
) -> None:
    for name, uri in down:
        tables["trunks"].set(health_key(name, uri), DOWN)
    assert trunks.choose("call-1", "", wanted) == chosen


def test_where_another_one_is_full_who_is_down_may_be_well(
    trunks: Trunks, tables: defaultdict[str, MemoryTable]
) -> None:
    assert trunks.choose("call-1", "", ("one",)).trunk == "one"
    assert trunks.choose("call-2", "", ("one",)).trunk is None
    tables["trunks"].set(health_key("two", C), DOWN)
    assert trunks.choose("call-3", "", ("one", "two")) == TrunkChosen("two", (C,))
