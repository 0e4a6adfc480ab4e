"""Writes docs/faults.md: `python -m tests.faults.page [RUN.json]`; with a run, that one is kept and shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.faults.report import KEPT, PAGE, page


def main(arguments: list[str]) -> None:
    """Keep a run, if one is named, and write the page."""
    if arguments:
        KEPT.write_text(Path(arguments[0]).read_text())
    PAGE.write_text(page(json.loads(KEPT.read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
