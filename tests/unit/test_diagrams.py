"""The diagrams of docs/flow.md are those of the tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kemi.core.call.states import DIALOG, OFFER_ANSWER
from tests.diagrams import PAGE, TABLES, DiagramError, diagram_from_table, main, text_with_diagrams

EMPTY = "# Title\n" + "".join(f"<!-- diagram:{name} -->\n<!-- /diagram -->\ntext\n" for name in TABLES)


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text_with_diagrams(text) == text, "run: make docs"


def test_diagrams_are_drawn_between_the_markers_and_the_rest_stays() -> None:
    drawn = text_with_diagrams(EMPTY)
    assert drawn.count("```mermaid") == len(TABLES)
    assert drawn.startswith("# Title\n<!-- diagram:dialog -->\n```mermaid\nstateDiagram-v2\n")
    assert drawn.endswith("```\n<!-- /diagram -->\ntext\n")
    assert text_with_diagrams(drawn) == drawn


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="no markers"),
        pytest.param(EMPTY.replace("diagram:media", "diagram:medium"), id="unknown marker"),
        pytest.param(EMPTY + EMPTY, id="markers twice"),
        pytest.param(EMPTY.replace("<!-- /diagram -->", ""), id="never closed"),
    ],
)
def test_wrong_markers_are_explained(text: str) -> None:
    with pytest.raises(DiagramError, match="markers"):
        text_with_diagrams(text)


def test_every_transition_is_in_its_diagram() -> None:
    for table in TABLES.values():
        drawn = diagram_from_table(table)
        for row in table.values():
            for event in row:
                assert event.value in drawn


def test_the_first_state_is_where_it_starts_and_an_end_is_marked() -> None:
    drawn = diagram_from_table(DIALOG)
    assert "[*] --> none\n" in drawn
    assert "terminated --> [*]" in drawn
    assert "confirmed --> [*]" not in drawn


def test_states_of_two_words_get_an_identifier_of_one() -> None:
    drawn = diagram_from_table(OFFER_ANSWER)
    assert 'state "offer received" as offer_received' in drawn
    assert "idle --> offer_received: offer received" in drawn


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.md"
    path.write_text(EMPTY, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["diagrams", str(path)])
    main()
    assert path.read_text(encoding="utf-8") == text_with_diagrams(EMPTY)
