"""Names of records by something that they have."""

from __future__ import annotations

from kemi.state.index import Index
from tests.fakes.table import MemoryTable


def test_names_are_found_by_what_they_have_until_they_have_it_no_longer() -> None:
    table = MemoryTable()
    index = Index(table)
    for name in ("a", "b", "a"):
        index.add("page 7", name)
    assert index.names("page 7") == ["a", "b"]
    assert index.names("page 8") == []
    index.remove("page 7", "a")
    index.remove("page 7", "never there")
    assert index.names("page 7") == ["b"]
    index.remove("page 7", "b")
    assert index.names("page 7") == []
    assert table.entries == {}
    assert table.locked_keys == set()


def test_what_another_process_adds_meanwhile_stays() -> None:
    table = MemoryTable()
    index = Index(table)
    table.before("locked", lambda: Index(table).add("page 7", "a"))
    index.add("page 7", "b")
    assert sorted(index.names("page 7")) == ["a", "b"]
