"""Writes docs/performance.md and its pictures: ``python -m tests.bench.page [RUN.json ...]``.

A RUN is what ``tests.bench.suite`` or a single bench wrote; it takes the place of what the same bench measured before;
short forms are left out, and so is what was measured earlier than what is kept.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.bench.cpu import Machine
from tests.bench.page import kept, plots, text
from tests.bench.page.adapters import ADAPTERS
from tests.bench.rows import HANDED_OVER, ROOT, handed_over
from tests.bench.suite import module_of

PAGE = ROOT / "docs" / "performance.md"


def taken(benches: kept.Document, path: Path) -> kept.Document:
    """Return the benches with those of a run in their places.

    Raises:
        ValueError: nobody knows this bench's shape.
    """
    found = dict(benches)
    for name, bench in measured(path).items():
        before = benches.get(name)
        if before and datetime.fromisoformat(before["date"]) > datetime.fromisoformat(bench["date"]):
            click.echo(
                f"{path}: {name} of {bench['date']} is left out, that of {before['date']} is later", err=True
            )
        else:
            found[name] = bench
    return found


def measured(path: Path) -> kept.Document:
    """Return what a file holds, short forms left out.

    Raises:
        ValueError: nobody knows this bench's shape.
    """
    run = json.loads(path.read_text())
    if "benches" in run:
        return {name: bench for name, bench in run["benches"].items() if not bench.get("short")}
    written = re.fullmatch(r"(.*?)-?(\d{8})[T-]?(\d{6})Z?", path.stem)
    name = (written[1] if written else path.stem) or "calls"
    if "rows" in run:
        return {name: {key: value for key, value in run.items() if key in HANDED_OVER}}
    if name not in ADAPTERS or written is None:
        raise ValueError(f"{path}: no rows, and no adapter for {name}")
    when = datetime.strptime("".join(written.groups()[1:]), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    # Which options it had, and which commit it was, is known to nobody any more.
    command = f"python -m {module_of(name)} (options not known)"
    found = handed_over(command, *ADAPTERS[name](run), Machine(**run["machine"]))
    return {name: {**found, "date": when.isoformat(timespec="seconds"), "revision": ""}}


def main(arguments: list[str]) -> None:
    """Take runs, if there are some, and write the page."""
    benches = kept.read(kept.KEPT)
    for argument in arguments:
        benches = taken(benches, Path(argument))
    kept.write(kept.KEPT, benches)
    benches = kept.read(kept.KEPT)
    drawn = plots.pictures(benches, text.caveats(benches, text.remarks()))
    for old in kept.FOLDER.glob("*.svg"):
        old.unlink()
    for name, picture in drawn.items():
        (kept.FOLDER / name).write_text(picture, encoding="utf-8")
    PAGE.write_text(text.page(benches, text.remarks(), sorted(drawn)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
