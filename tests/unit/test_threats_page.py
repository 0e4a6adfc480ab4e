"""docs/threats.md names code and tests that are there: each abuse is stopped somewhere, and a test proves it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threats.md"
HEADER = "| abuse | stopped by | proved by |"
_REFERENCE = re.compile(r"`([\w.-]+(?:/[\w.-]+)+|[\w.-]+\.(?:txt|toml|md))((?:::\w+)*)`")


def rows(text: str) -> list[tuple[str, str, str]]:
    """Return the rows of all tables of abuses."""
    found, inside = [], False
    for line in text.splitlines():
        inside = line == HEADER or (inside and line.startswith("|"))
        if inside and line != HEADER and not line.startswith("|---"):
            abuse, stopped, proved = line.strip("| ").split(" | ")
            found.append((abuse, stopped, proved))
    return found


def missing(cell: str, root: Path = ROOT) -> list[str]:
    """Return which of the files, classes and functions named in a cell are not there."""
    return [path + names for path, names in _REFERENCE.findall(cell) if not _is_there(root / path, names)]


def _is_there(file: Path, names: str) -> bool:
    if not file.exists():
        return False
    known = _names_in(file) if names else frozenset()
    return not names or names.removeprefix("::") in known


@cache
def _names_in(file: Path) -> frozenset[str]:
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
            inner = node.body if isinstance(node, ast.ClassDef) else []
            found |= {
                f"{node.name}::{one.name}"
                for one in inner
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return frozenset(found)


def test_the_page_has_abuses_of_every_boundary() -> None:
    found = rows(PAGE.read_text(encoding="utf-8"))
    assert len(found) > 40
    assert len({abuse for abuse, _, _ in found}) == len(found)


@pytest.mark.parametrize("row", rows(PAGE.read_text(encoding="utf-8")), ids=lambda row: row[0][:40])
def test_what_stops_it_and_what_proves_that_are_there(row: tuple[str, str, str]) -> None:
    _, stopped, proved = row
    assert _REFERENCE.search(stopped), "names what stops it"
    assert any("test" in path for path, _ in _REFERENCE.findall(proved)), "names a test"
    assert missing(stopped) + missing(proved) == []


def test_what_is_not_there_would_be_noticed() -> None:
    here = "tests/unit/test_threats_page.py"
    assert missing(f"`{here}`, `{here}::test_the_page_has_abuses_of_every_boundary`") == []
    gone = [f"{here}::test_nothing", "tests/unit/test_nothing.py", "kemi/core/nothing.py::Test::test_x"]
    assert missing(", ".join(f"`{one}`" for one in gone)) == gone
