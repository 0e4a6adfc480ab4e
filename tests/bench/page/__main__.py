"""Writes docs/performance.md and its pictures: ``python -m tests.bench.page [RUN.json ...]``.

A RUN is what ``tests.bench.suite`` or a bench wrote; it takes the place of what the same bench measured before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.bench.page import kept, plots, text
from tests.bench.rows import ROOT

PAGE = ROOT / "docs" / "performance.md"


def taken(benches: kept.Document, path: Path) -> kept.Document:
    """Return the benches with those of a run in their places."""
    run = json.loads(path.read_text())
    if "benches" in run:
        return {**benches, **run["benches"]}
    keys = {"schema", "command", "date", "revision", "machine", "versions", "rows", "ladders"}
    name = path.stem.rpartition("-")[0]
    return {**benches, name: {key: run[key] for key in keys}}


def main(arguments: list[str]) -> None:
    """Take runs, if there are some, and write the page."""
    benches = kept.read(kept.KEPT)
    for argument in arguments:
        benches = taken(benches, Path(argument))
    kept.write(kept.KEPT, benches)
    drawn = plots.pictures(benches)
    for old in kept.FOLDER.glob("*.svg"):
        old.unlink()
    for name, picture in drawn.items():
        (kept.FOLDER / name).write_text(picture, encoding="utf-8")
    PAGE.write_text(text.page(benches, text.remarks(), sorted(drawn)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
