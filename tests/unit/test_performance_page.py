"""docs/performance.md and its pictures are what docs/performance/measured.json says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.bench.figures import FIGURES
from tests.bench.page import kept, plots, text
from tests.bench.page.__main__ import PAGE

SCHEMA = json.loads((Path(text.__file__).parent / "schema.json").read_text())
BENCHES = kept.read(kept.KEPT)
FILES = sorted(path.name for path in kept.FOLDER.glob("*.svg"))


def test_what_was_measured_has_the_described_shape() -> None:
    jsonschema.validate(json.loads(kept.KEPT.read_text()), SCHEMA)


def test_the_page_is_what_was_measured() -> None:
    assert PAGE.read_text() == text.page(BENCHES, text.remarks(), FILES), "run: python -m tests.bench.page"


def test_the_pictures_are_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "THEMES", (plots.LIGHT,))  # the dark ones differ in nothing but colours
    drawn = plots.pictures(BENCHES, text.caveats(BENCHES, text.remarks()))
    assert sorted(FILES) == sorted([*drawn, *(name.replace(".svg", "-dark.svg") for name in drawn)])
    stale = [name for name, picture in drawn.items() if (kept.FOLDER / name).read_text() != picture]
    assert not stale, "run: python -m tests.bench.page"


def test_every_missed_bar_has_its_reason_and_the_next_thing_to_try() -> None:
    spine, others = kept.chosen(BENCHES)
    missed = {shown.row.figure.id for shown in (*spine, *others) if shown.row.is_kept is False}
    said = text.remarks()["missed"]
    assert [name for name in sorted(missed) if not {"why", "next"} <= said.get(name, {}).keys()] == []


def test_remarks_are_about_figures_there_are() -> None:
    remarks = text.remarks()
    assert {*remarks["missed"], *remarks["janus"], *remarks["measured"]} <= FIGURES.keys()
