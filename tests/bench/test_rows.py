"""Rows and ladders as benches hand them over."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from tests.bench import rows
from tests.bench.cpu import Machine
from tests.bench.figures import FIGURES, OTHERS, SPINE, Figure, Sense
from tests.bench.rows import Ladder, Peer, Row, Step, hand_over, ladder_from_json, row_from_json, versions

SCHEMA = json.loads((Path(__file__).parent / "page" / "schema.json").read_text())
MACHINE = Machine(2, "a machine", 0.1, 1700.0, 40000.0)
OWN = Figure("own.figure", "something of its own", "ms", Sense.AT_MOST)


def test_no_figure_has_two_bars() -> None:
    assert len(FIGURES) == len(SPINE) + len(OTHERS)


@pytest.mark.parametrize(
    ("figure", "value", "kept"),
    [
        pytest.param("flow.rate", 1000, True, id="at the bar from above"),
        pytest.param("flow.rate", 999.9, False, id="below it"),
        pytest.param("flow.cpu", 1.5, True, id="at the bar from below"),
        pytest.param("flow.cpu", 1.6, False, id="above it"),
        pytest.param("media.packet", 1.6, None, id="no bar"),
        pytest.param("flow.cpu", None, None, id="not measured"),
    ],
)
def test_a_bar_is_kept_on_its_own_side(figure: str, value: float | None, kept: bool | None) -> None:
    assert Row.of(figure, value).is_kept is kept


def test_a_median_of_no_run_is_not_measured() -> None:
    assert Row.median("flow.rate", []).value is None
    assert Row.median("flow.rate", [900, 1100, 1000]).value == 1000


def test_a_figure_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Row.of("flow.rat", 1)


def test_what_is_handed_over_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "OUTPUT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["own.py", "--seconds", "1", "--who", "a|b"])
    monkeypatch.setitem(
        sys.modules, "__main__", SimpleNamespace(__spec__=ModuleSpec("tests.own.__main__", None))
    )
    made = [
        Row.median("web.cpu", [3.5, 3.6], peers=[Peer("Janus", 6.0)], generator=0.5, note="small"),
        Row.of(OWN, 1.0, peers=[Peer("Janus", None, "cannot do this")]),
        Row.of("web.cpu", 3.0, note="60 calls/s", failures="2 silent"),
    ]
    ladder = Ladder("flow", "full flow", "calls/s", "gateway", (Step(100, 99.5, 12.0, 0.005, 0.4),), "tired")
    path = hand_over("own", made, [ladder], machine=MACHINE, details={"more": 1})
    read = json.loads(path.read_text())
    jsonschema.validate(read, SCHEMA)
    assert [row_from_json(row) for row in read["rows"]] == made
    assert (made[2].note, made[2].is_kept) == ("2 silent; 60 calls/s", False)
    assert [ladder_from_json(one) for one in read["ladders"]] == [ladder]
    assert (read["command"], read["machine"]["cores"], read["more"]) == (
        "python -m tests.own --seconds 1 --who 'a|b'", 2, 1,
    )  # fmt: skip


def test_versions_are_numbers() -> None:
    found = versions()
    assert found["kamailio"].startswith(("5.", "6."))
    assert all(number == "" or number[0].isdigit() for number in found.values())
