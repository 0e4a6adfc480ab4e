"""The second try of tests on real daemons: what it forgives, and what it does not."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

ONLY_XDIST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p xdist.plugin -p xdist.looponfail"}
"""The other plugins take a second to load, in each process."""

CONFTEST = """
from tests import second_try

def pytest_configure(config):
    second_try.register(config)
"""

PASSES_LATER = """
import pathlib

def test_it():
    marker = pathlib.Path(__file__).with_suffix(".tried")
    tried, _ = marker.exists(), marker.touch()
    assert tried
"""

NEVER_PASSES = """
def test_it():
    assert False, "never"
"""

MANY = """
import pytest

@pytest.mark.parametrize("number", range(81))
def test_it(number):
    assert False, "all of them"
"""

ENDS_THE_PROCESS = """
import os

def test_it():
    os._exit(3)
"""


def run(folder: Path, files: dict[str, str]) -> tuple[int, str]:
    """Run a project of such test files with two workers; return pytest's exit status and output."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        file = folder / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--numprocesses=2", "--max-worker-restart=2", "tests"],
        cwd=folder,
        env={**os.environ, **ONLY_XDIST, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


def test_twice_is_a_failure_and_pure_code_has_one_try(tmp_path: Path) -> None:
    files = {
        "integration/test_later.py": PASSES_LATER,
        "integration/test_never.py": NEVER_PASSES,
        "integration/test_of_an_end.py": ENDS_THE_PROCESS,
        "unit/test_pure.py": PASSES_LATER,
    }
    status, output = run(tmp_path, files)
    assert status == 1, output
    assert "3 failed, 1 passed, 3 rerun" in output
    assert "TRIED TWICE tests/integration/test_later.py::test_it: " in output
    for failed in ("integration/test_never.py", "integration/test_of_an_end.py", "unit/test_pure.py"):
        assert f"FAILED tests/{failed}::test_it" in output


def test_what_passes_at_the_second_try_has_passed(tmp_path: Path) -> None:
    status, output = run(tmp_path, {"integration/test_later.py": PASSES_LATER})
    assert status == 0, output
    assert "1 passed, 1 rerun" in output


LEAKS = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def nothing_was_found():
    yield
    assert False, "a secret in a log"

def test_it():
    pass
"""


def test_what_the_end_of_a_session_finds_is_no_accident(tmp_path: Path) -> None:
    status, output = run(tmp_path, {"integration/test_it.py": LEAKS})
    assert status == 1, output
    assert "a secret in a log" in output
    assert "rerun" not in output


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    status, output = run(tmp_path, {"integration/test_many.py": MANY})
    assert status == 1, output
    assert "81 failed, 81 rerun" in output


SHARED = """
import pathlib
import pytest

@pytest.fixture(scope="session")
def lab():
    tries = pathlib.Path(__file__).with_suffix(".tries")
    tries.open("a").write("|")
    assert len(tries.read_text()) > {failures}, "not ready"
    yield "lab"

@pytest.mark.parametrize("number", range(100))
def test_it(lab, number):
    assert lab == "lab"
"""


def test_what_many_share_and_did_not_start_is_started_anew_for_the_next(tmp_path: Path) -> None:
    status, output = run(tmp_path, {"integration/test_shared.py": SHARED.format(failures=1)})
    assert status == 0, output
    assert "100 passed" in output
    assert "rerun" in output


def test_what_never_starts_is_not_tried_for_every_test(tmp_path: Path) -> None:
    status, output = run(tmp_path, {"integration/test_shared.py": SHARED.format(failures=1000)})
    assert status == 1, output
    assert "100 errors" in output
    assert (
        len((tmp_path / "tests/integration/test_shared.tries").read_text()) <= 2 * 3
    )  # three in each worker
