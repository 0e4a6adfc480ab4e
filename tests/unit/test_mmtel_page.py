"""docs/mmtel.md names tests that exist, and every service has one or a reason."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.unit.architecture import REPOSITORY

PAGE = (REPOSITORY / "docs" / "mmtel.md").read_text("utf-8")
ROWS = [
    line.strip("|").split("|")
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| service")
]
TEST = re.compile(r"`([\w/]+\.py)((?:::\w+)+)`")
SERVICES = (
    "OIP OIR TIP TIR CDIV HOLD CW CB ACR CONF 3PTY ECT MWI CCBS CCNR CCNL MCID AOC CUG FA CAT CRS eCNAM MuD MiD "
    "USSI SMSoIP Ut"
)  # TS 24.173 §4, TS 22.173


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / "tests" / "integration" / path).read_text("utf-8"))
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(f"::{node.name}")
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"::{node.name}::{one.name}" for one in node.body if isinstance(one, ast.AsyncFunctionDef)
            }
    return found


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip() for row in ROWS])
def test_every_row_has_a_test_or_a_reason(row: list[str]) -> None:
    proof = row[3].strip()
    named = TEST.findall(proof)
    assert named or proof.startswith("not done")
    assert proof.startswith("not done") or TEST.sub("", proof).strip(" ,") == ""
    for path, test in named:
        assert test in names_in(path), f"{path}{test}"


def test_no_service_is_left_out() -> None:
    named = {word for row in ROWS for word in re.findall(r"\w+", row[0])}
    assert set(SERVICES.split()) <= named
