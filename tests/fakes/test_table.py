"""The table in memory keeps the promises of kemi/state/table.py."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kemi.state.table import Table
from tests.fakes.table import MemoryTable


def test_it_is_a_table_to_the_type_checker_and_keeps_what_is_written() -> None:
    table = MemoryTable()
    as_table: Table = table
    as_table.set("a", "1")
    assert as_table.get("a") == "1"
    assert list(as_table.items()) == [("a", "1")]
    as_table.remove("a")
    assert as_table.get("a") is None


def test_removing_a_missing_key_is_fine() -> None:
    MemoryTable().remove("nobody")


def test_items_is_a_snapshot_that_survives_changes() -> None:
    table = MemoryTable()
    table.set("a", "1")
    table.set("b", "2")
    seen = []
    for key, _ in table.items():
        table.remove(key)
        seen.append(key)
    assert seen == ["a", "b"]


def test_locks_nest_and_are_given_back_after_an_error() -> None:
    table = MemoryTable()
    with pytest.raises(RuntimeError), table.locked("a"):
        with table.locked("a"):
            pass
        assert table.locked_keys == {"a"}
        raise RuntimeError
    assert table.locked_keys == set()


def test_another_process_interferes_once_at_the_chosen_moment() -> None:
    table = MemoryTable()
    table.set("a", "1")
    table.before("get", lambda: table.set("a", "2"))
    assert table.get("a") == "2"
    table.set("a", "3")
    assert table.get("a") == "3"


def test_an_unknown_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="no operation"):
        MemoryTable().before("update", lambda: None)


@pytest.mark.parametrize("value", [pytest.param(b"x", id="bytes"), pytest.param(1, id="a number")])
def test_only_text_is_kept(value: object) -> None:
    with pytest.raises(TypeError):
        MemoryTable().set("a", cast("Any", value))
