"""Writes docs/conformance.md; ends with status 1 when rows and tests do not fit."""

from __future__ import annotations

import sys

from tests.conformance.page import PAGE, complaints, page_from_rows
from tests.conformance.proofs import proofs_in_repository
from tests.conformance.rows import ROWS, sections_from_text


def main() -> int:
    """Write the page and print what is wrong."""
    sections, proofs = sections_from_text(ROWS.read_text("utf-8")), proofs_in_repository()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page_from_rows(sections, proofs), encoding="utf-8")
    wrong = list(complaints(sections, proofs))
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
