"""Writes docs/clients.md."""

from __future__ import annotations

from tests.browser.matrix.cells import cells
from tests.browser.matrix.page import PAGE, page_from_cells

if __name__ == "__main__":
    PAGE.write_text(page_from_cells(cells()), encoding="utf-8")
