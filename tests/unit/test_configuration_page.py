"""docs/configuration.md names variables that the roles have, with the defaults that they have there."""

from __future__ import annotations

import re
from dataclasses import fields
from fnmatch import filter as matching
from typing import Any

import pytest
import yaml

from kemi.core.limits import LimitSettings
from kemi.settings import (
    MAX_LIFETIME_S,
    MAX_WAIT_S,
    SettingsError,
    TimerSettings,
    settings_from_text,
)
from tests.lab.roles import ROLES
from tests.unit.architecture import REPOSITORY
from tests.unit.site import SETTINGS_TEXT

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


TEMPLATE = (ROLES / "kamailio" / "templates" / "gateway.toml.j2").read_text(encoding="utf-8")
LIMITED = [
    *(("timers", field.name, MAX_WAIT_S) for field in fields(TimerSettings)),
    *(("limits", field.name, MAX_LIFETIME_S) for field in fields(LimitSettings)),
    ("policy", "longest_call_s", MAX_LIFETIME_S),
    ("bans", "window_s", MAX_LIFETIME_S),
]
"""Settings by part and key that may have a longest time, and this."""


def variable_of(part: str, key: str) -> str:
    """Return which variable of the role a setting is."""
    told = TEMPLATE.partition(f"[{part}]")[2].partition("\n[")[0]
    return "".join(re.findall(rf"^{key} = \{{\{{ (\w+) \}}\}}$", told, re.MULTILINE))


def is_refused(part: str, key: str, value: int) -> bool:
    """Whether the gateway does not start with this value, and says how much it may be."""
    kept = SETTINGS_TEXT.partition(f"[{part}]")
    try:
        settings_from_text(f"{kept[0]}\n[{part}]\n{key} = {value + 1}\n")
    except SettingsError as error:
        return bool(re.search(rf"\b{value}\b", str(error)))
    return False


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


def test_a_longest_time_stands_where_an_operator_reads_it() -> None:
    refused = [one for one in LIMITED if is_refused(*one)]
    assert {key for part, key, _ in refused if part == "timers"} >= {"prack_s", "ims_answer_s", "flow_wait_s"}
    assert {part for part, _, _ in refused} == {part for part, _, _ in LIMITED}
    for part, key, most in refused:
        (row,) = [row for row in ROWS if f"`{variable_of(part, key)}`" in "|".join(row)]
        assert f"at most {most}" in row[3], (part, key)


def test_no_variable_stands_there_twice() -> None:
    names = [name for row in ROWS for name in re.findall(r"`([\w*]+)`", row[0])]
    assert sorted({*names}) == sorted(names)
