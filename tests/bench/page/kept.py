"""What benches handed over, as one document: docs/performance/measured.json.

Knows the document's shape (schema.json) and which of several rows of a figure counts. Must not draw or run anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import OTHERS, SPINE, Figure
from tests.bench.most import bounded
from tests.bench.rows import ROOT, SCHEMA, Ladder, Row, ladder_from_json, row_from_json

FOLDER: Final = ROOT / "docs" / "performance"
KEPT: Final = FOLDER / "measured.json"
Document = dict[str, Any]
"""By the bench's name what it handed over, as JSON."""


@dataclass(frozen=True)
class Shown:
    """A figure and the row that counts; ``bench`` is "" where none has measured it."""

    bench: str
    row: Row


def read(path: Path) -> Document:
    """Return the benches of a document; none when there is no file."""
    if not path.exists():
        return {}
    benches: Document = json.loads(path.read_text())["benches"]
    return benches


def write(path: Path, benches: Document) -> None:
    """Write a document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA, "benches": benches}, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def rows_of(benches: Document) -> Iterator[Shown]:
    """Return every row, those measured last first."""
    for bench, measured in sorted(benches.items(), key=lambda item: item[1]["date"], reverse=True):
        ladders = [ladder_from_json(ladder) for ladder in measured["ladders"]]
        for row in measured["rows"]:
            yield Shown(bench, bounded(row_from_json(row), ladders))


def chosen(benches: Document) -> tuple[list[Shown], list[Shown]]:
    """Return the spine, complete, and the others that were measured: of each figure the value measured last."""
    best: dict[str, Shown] = {}
    for shown in rows_of(benches):
        before = best.get(shown.row.figure.id)
        if before is None or (shown.row.is_measured and not before.row.is_measured):
            best[shown.row.figure.id] = shown

    def shown_of(figure: Figure) -> Shown:
        return best.get(figure.id) or Shown("", Row(figure, None, note="no bench of it has run"))

    spine = [shown_of(figure) for figure in SPINE]
    known = [figure.id for figure in OTHERS if figure.id in best]
    names = {figure.id for figure in SPINE} | set(known)
    return spine, [best[name] for name in (*known, *sorted(best.keys() - names))]


def ladders_of(benches: Document) -> Mapping[str, list[Ladder]]:
    """Return the ladders by id; of one climber the one measured last."""
    found: dict[str, dict[str, Ladder]] = {}
    for _, measured in sorted(benches.items(), key=lambda item: item[1]["date"]):
        for raw in measured["ladders"]:
            ladder = ladder_from_json(raw)
            found.setdefault(ladder.id, {})[ladder.who] = ladder
    return {name: list(climbers.values()) for name, climbers in sorted(found.items())}
