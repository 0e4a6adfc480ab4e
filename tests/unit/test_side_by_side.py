"""How tests are handed out to workers: nothing that needs the processor for itself meets its own kind."""

from pathlib import Path

import pytest

from tests.side_by_side import GROUPS, UNHURRIED, rank, scope_of

ROOT = Path(__file__).parents[2]


def test_browsers_share_one_worker_and_other_files_have_their_own() -> None:
    assert scope_of("tests/browser/sdk/test_hold.py::test_a") == "browsers"
    assert scope_of("tests/browser/matrix/test_matrix.py::test_b[x::y]") == "browsers"
    assert scope_of("tests/browser/test_console.py::test_a") == "tests/browser/test_console.py"
    assert scope_of("tests/unit/core/test_token.py::TestA::test_b[x::y]") == "tests/unit/core/test_token.py"


def test_the_longest_begin_and_the_shortest_fill_the_gaps() -> None:
    folders = ("browser/", "contract/rtpengine/test_media.py", "bench/mixed/", "integration/calls/", "unit/")
    ranks = [rank(f"tests/{folder}") for folder in folders]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize("beginning", [*UNHURRIED, *(text for texts in GROUPS.values() for text in texts)])
def test_what_a_group_names_is_there(beginning: str) -> None:
    assert (ROOT / beginning).exists()
