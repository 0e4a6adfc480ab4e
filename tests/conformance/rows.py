"""The rows of the checklist, as rows.toml has them.

Knows what a row must say. Must not know the tests.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

ROWS: Final = Path(__file__).with_name("rows.toml")
_ID: Final = re.compile(r"[A-Z]-\d\d")


class Priority(StrEnum):
    """How much a row matters."""

    MUST = "M"
    SHOULD = "S"
    OPTIONAL = "O"
    NEVER = "N"


class RowError(ValueError):
    """rows.toml is wrong; the text names the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement."""

    id: str
    requirement: str
    clause: str
    priority: Priority
    note: str = ""
    """A lasting remark: what of the row is left out, or how it is met."""
    not_met: str = ""
    """Why nothing proves the row: it is not done. Goes when a test proves it."""
    not_tested: str = ""
    """Why nothing proves the row although it may hold. Goes when a test proves it."""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one subject."""

    title: str
    rows: tuple[Row, ...]


def sections_from_text(text: str) -> tuple[Section, ...]:
    """Parse rows.toml; raise RowError for a row that is wrong or there twice."""
    sections = tuple(
        Section(section["title"], tuple(_row(raw) for raw in section["row"]))
        for section in tomllib.loads(text)["section"]
    )
    seen: set[str] = set()
    for row in rows_of(sections):
        if row.id in seen:
            raise RowError(f"{row.id} is there twice")
        seen.add(row.id)
    return sections


def rows_of(sections: Sequence[Section]) -> tuple[Row, ...]:
    """Return the rows of all sections in order."""
    return tuple(row for section in sections for row in section.rows)


def _row(raw: dict[str, Any]) -> Row:
    name = str(raw.get("id", "a row without id"))
    if unknown := raw.keys() - {field.name for field in fields(Row)}:
        raise RowError(f"{name}: unknown {', '.join(sorted(unknown))}")
    try:
        row = Row(**{**raw, "priority": Priority(raw["priority"])})
    except (KeyError, TypeError, ValueError) as error:
        raise RowError(f"{name}: {error}") from error
    if not _ID.fullmatch(row.id):
        raise RowError(f"{name}: an id is like R-20")
    if not (row.requirement and row.clause):
        raise RowError(f"{name}: requirement and clause are needed")
    if row.not_met and row.not_tested:
        raise RowError(f"{name}: either not_met or not_tested")
    return row
