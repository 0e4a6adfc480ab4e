"""The file that a table becomes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kemi.core.routing.lookup import Query, find
from kemi.core.routing.table import Hours, Route, Target
from kemi.state.route_index import RouteFile, build, build_in_steps


def found(file: RouteFile, number: str) -> list[Route]:
    return find(file, Query("a.example", "", number, 0.0), 0.0)


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    row = Route(
        "night",
        "+49[3-4]0*",
        Target.REFUSE,
        status=403,
        reason="closed",
        hours=Hours(days=("thu",), zone="Europe/Berlin"),
    )
    path = tmp_path / "routes.sqlite"
    build(
        path, [row, Route("all", "*", Target.CORE, realm="a.example", priority=3, weight=7, profile="wide")]
    )
    with RouteFile.open(path) as file:
        assert found(file, "+49301")[0].id == "all"  # the realm's own
        assert find(file, Query("b.example", "", "+49401", 0.0), 0.0) == [row]
        assert found(file, "1" * 40)[0].weight == 7


def test_a_reader_keeps_the_old_file_until_it_opens_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "routes.sqlite"
    build(path, [Route("old", "*", Target.CORE)])
    with RouteFile.open(path) as before:
        steps = build_in_steps(
            path, (Route(f"new-{n}", f"+{n}*", Target.CORE) for n in range(100)), rows_at_once=10
        )
        next(steps)
        with RouteFile.open(path) as meanwhile:
            assert found(meanwhile, "+7")[0].id == "old"
        for _ in steps:
            pass
        assert found(before, "+7")[0].id == "old"
        with RouteFile.open(path) as after:
            assert found(after, "+7")[0].id == "new-7"


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        RouteFile.open(tmp_path / "missing.sqlite")
