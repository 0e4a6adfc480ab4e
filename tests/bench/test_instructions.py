"""The arithmetic of the instruction counts, without valgrind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.bench.instructions.compare import changes, counts_from_totals


def test_a_count_is_the_difference_of_some_rounds_and_twice_as_many() -> None:
    totals = [9_999, 1_000 + 10 * 7, 50, 1_000 + 20 * 7, 30, 500 + 10 * 3, 20, 500 + 20 * 3]
    assert counts_from_totals(["a", "b"], totals, 10) == {"a": 7, "b": 3}


def test_a_stray_dump_is_noticed() -> None:
    with pytest.raises(ValueError, match="getppid"):
        counts_from_totals(["a"], [1, 2, 3], 10)


@pytest.mark.parametrize(("now", "is_dearer"), [(1050, False), (1051, True), (700, False)])
def test_more_than_a_twentieth_is_too_much(now: int, is_dearer: bool) -> None:
    (change,) = changes({"a": now}, {"a": 1000})
    assert change.is_dearer is is_dearer
    assert change.line().startswith("BROKEN" if is_dearer else "kept")


def test_a_new_case_breaks_nothing() -> None:
    (change,) = changes({"a": 5}, {})
    assert (change.is_dearer, change.line()[:3]) == (False, "new")


def test_the_counting_of_bytecode_plays_a_call_in_which_nothing_fails() -> None:
    command = [sys.executable, "-m", "tests.bench.instructions.bytecode", "--most", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
