"""The pages of clients and of stream mapping are up to date."""

from __future__ import annotations

from tests.browser.matrix.cells import Cell, Client, Engine, Shape, Way, cells
from tests.browser.matrix.mapping import Step, mapped
from tests.browser.matrix.mapping_page import PAGE as MAPPING
from tests.browser.matrix.mapping_page import page_from_mapped
from tests.browser.matrix.page import PAGE, page_from_cells


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page_from_cells(cells()), "run: make docs"


def test_no_two_cells_are_the_same_call() -> None:
    names = [cell.name for cell in cells()]
    assert len(set(names)) == len(names)


def test_each_cell_has_its_place() -> None:
    page = page_from_cells(
        [
            Cell(Client.SDK, Engine.CHROMIUM, Way.OUTGOING, video=False, shape=Shape.ONE_WAY),
            Cell(Client.SDK, Engine.CHROMIUM, Way.OUTGOING, True, shape=Shape.ONE_WAY, sees=False),
            Cell(Client.SDK, Engine.FIREFOX, Way.OUTGOING, video=False, shape=Shape.ONE_WAY),
            Cell(Client.AIORTC, Engine.NONE, Way.INCOMING, video=False),
        ]
    )
    assert "| SDK, one-way | ✓ | audio | ✓ |  |\n" in page
    assert "| aiortc 1.16.0, two-way | ✓ |  |\n" in page


def test_the_page_of_the_mapping_is_up_to_date() -> None:
    assert MAPPING.read_text("utf-8") == page_from_mapped(mapped()), "run: make docs"


def test_each_mapped_call_goes_through_each_step_once() -> None:
    calls = list(mapped())
    assert len({call.name for call in calls}) == len(calls) == 16
    assert all(sorted(call.steps) == sorted(Step) for call in calls)
