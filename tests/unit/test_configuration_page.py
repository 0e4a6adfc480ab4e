"""docs/configuration.md names variables that the roles have, with the defaults that they have there."""

from __future__ import annotations

import re
from fnmatch import filter as matching
from typing import Any

import pytest
import yaml

from tests.lab.roles import ROLES
from tests.unit.architecture import REPOSITORY

PAGE = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
DEFAULTS: dict[str, Any] = {
    name: default
    for file in ROLES.glob("*/defaults/main.yml")
    for name, default in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).items()
}


def numbers(cell: str) -> list[float]:
    """Return the numbers of a cell that has nothing but numbers."""
    parts = [part.strip() for part in cell.split(",")]
    return [float(part) for part in parts] if all(re.fullmatch(r"[\d.]+", part) for part in parts) else []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].split("`")[1])
def test_variables_are_there_with_their_defaults(row: list[str]) -> None:
    names = re.findall(r"`([\w*]+)`", row[0])
    assert [name for name in names if not matching(DEFAULTS, name)] == []
    told = numbers(row[2])
    assert not told or told == [DEFAULTS[name] for name in names]


def test_there_are_numbers_to_compare() -> None:
    assert sum(bool(numbers(row[2])) for row in ROWS) > 15


def test_no_variable_stands_there_twice() -> None:
    names = [name for row in ROWS for name in re.findall(r"`([\w*]+)`", row[0])]
    assert sorted({*names}) == sorted(names)
