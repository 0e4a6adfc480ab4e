"""Writes docs/faults.md: `python -m tests.faults.page [RUN.json ...]`; with runs, those are kept and shown.

Of each fault the last run that has it counts; machine and scale are the first one's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.faults import FAULTS
from tests.faults.report import KEPT, PAGE, page


def merged(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one run of several, its rows in the order of the table of faults."""
    rows = {row["fault"]: row for run in runs for row in run["rows"]}
    assert len({json.dumps(run["scale"]) for run in runs}) == 1, "runs of different scales"
    return {**runs[0], "rows": [rows[fault.what] for fault in FAULTS if fault.what in rows]}


def main(arguments: list[str]) -> None:
    """Keep runs, if some are named, and write the page."""
    if arguments:
        run = merged([json.loads(Path(one).read_text()) for one in arguments])
        KEPT.write_text(json.dumps(run, indent=1) + "\n")
    PAGE.write_text(page(json.loads(KEPT.read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
