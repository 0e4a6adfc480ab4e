"""Writes docs/faults.md and the short table of README.md: `python -m tests.faults.page [RUN.json ...]`.

Runs that are named are kept, and shown.

Of each fault the last run that has it counts; machine and scale are the first one's. A file of `tests.bench.soak`
(`soak-*.json`) among them is shown below the table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.faults import FAULTS
from tests.faults.report import KEPT, PAGE, REPOSITORY, page
from tests.faults.short_table import with_table

README = REPOSITORY / "README.md"


def merged(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one run of several, its rows in the order of the table of faults."""
    rows = {row["fault"]: row for run in runs for row in run["rows"]}
    assert len({json.dumps(run["scale"]) for run in runs}) == 1, "runs of different scales"
    chosen = [(fault, rows[fault.what]) for fault in FAULTS if fault.what in rows]
    return {
        **runs[0],
        "rows": [{**row, "why": fault.known if row["broken"] else ""} for fault, row in chosen],
    }


def soak(run: dict[str, Any]) -> dict[str, Any]:
    """Return of a long run what is shown."""
    return {
        **{name: run[name] for name in ("rate", "seconds", "drift", "left", "web", "descriptors")},
        "calls": sum(run["ran"].values()),
        "kinds": len(run["ran"]),
        "failed": len(run["failures"]),
        "megabytes": [round(sum(run["samples"][at][1].values()) / 1e6, 1) for at in (0, -1)],
    }


def main(arguments: list[str]) -> None:
    """Keep runs, if some are named, and write the page."""
    if arguments:
        runs = [json.loads(Path(one).read_text()) for one in arguments]
        before = json.loads(KEPT.read_text())
        faults, long_ones = [run for run in runs if "rows" in run], [run for run in runs if "ran" in run]
        found = merged(faults) if faults else before
        found["soak"] = soak(long_ones[-1]) if long_ones else before.get("soak")
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
    kept = json.loads(KEPT.read_text())
    PAGE.write_text(page(kept))
    README.write_text(with_table(README.read_text(), kept))


if __name__ == "__main__":
    main(sys.argv[1:])
