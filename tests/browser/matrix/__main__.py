"""Writes docs/clients.md and docs/mapping.md."""

from __future__ import annotations

from tests.browser.matrix import mapping_page, page
from tests.browser.matrix.cells import cells
from tests.browser.matrix.mapping import mapped

if __name__ == "__main__":
    page.PAGE.write_text(page.page_from_cells(cells()), encoding="utf-8")
    mapping_page.PAGE.write_text(mapping_page.page_from_mapped(mapped()), encoding="utf-8")
