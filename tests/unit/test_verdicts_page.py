"""docs/explain.md is what the rules say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kemi.core.explain.judge import RULES
from tests.verdicts_page import PAGE, main, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


def test_each_verdict_has_one_row_of_three_cells() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(rule.code for rule in RULES)
    assert all(row.count(" | ") == 2 for row in rows)


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "explain.md"
    monkeypatch.setattr(sys, "argv", ["verdicts_page", str(path)])
    main()
    assert path.read_text(encoding="utf-8") == page()
