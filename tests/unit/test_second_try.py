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


def run(folder: Path, files: dict[str, str], *options: str) -> tuple[int, str]:
    """Run a project of such test files with two workers; return pytest's exit status and output."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        file = folder / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--numprocesses=2", "--max-worker-restart=2", *options, "tests"],
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


LEAVES_A_CALL = """
import pathlib
import pytest
from tests.second_try import NoAccident

left, ended = [], []

@pytest.fixture(scope="session", autouse=True)
def nothing_was_found():
    yield
    if {secret}:
        raise NoAccident("a secret in a log")

@pytest.fixture(scope="module")
def site():
    yield
    assert not left, "left behind: a call"

def test_first(site):
    marker = pathlib.Path(__file__).with_suffix(".tried")
    tried, _ = marker.exists(), marker.touch()
    if not tried or {again}:
        left.append("call")
    assert tried

def test_last(site):
    ended.append("last")
"""

FOUND_LATER = """
import pytest

@pytest.fixture(scope="module")
def site():
    yield
    assert False, "left behind: a call"

def test_it(site):
    pass
"""


def test_what_a_test_that_failed_left_is_tried_again_with_it(tmp_path: Path) -> None:
    text = LEAVES_A_CALL.format(secret=False, again=False)
    status, output = run(tmp_path, {"integration/test_site.py": text}, "--dist=loadfile")
    assert status == 0, output
    assert "2 passed, 2 rerun" in output
    assert "TRIED TWICE tests/integration/test_site.py::test_last: " in output


def test_what_it_leaves_again_is_a_failure(tmp_path: Path) -> None:
    text = LEAVES_A_CALL.format(secret=False, again=True)
    status, output = run(tmp_path, {"integration/test_site.py": text}, "--dist=loadfile")
    assert status == 1, output
    assert "2 passed, 1 error, 2 rerun" in output
    assert "left behind: a call" in output


def test_a_secret_is_no_accident_wherever_something_failed_before(tmp_path: Path) -> None:
    text = LEAVES_A_CALL.format(secret="ended", again=False)
    status, output = run(tmp_path, {"integration/test_site.py": text}, "--dist=loadfile")
    assert status == 1, output
    assert "a secret in a log" in output
    assert "1 error, 1 rerun" in output


DIES = """
import pathlib
import pytest
from tests.second_try import NoAccident

@pytest.fixture
def site():
    marker = pathlib.Path(__file__).with_suffix(".tried")
    is_first, _ = not marker.exists(), marker.touch()
    yield not is_first
    if is_first:
        raise NoAccident("a daemon died")

def test_it(site):
    assert site
"""


def test_a_daemon_that_died_is_no_accident_of_the_test_that_failed_by_it(tmp_path: Path) -> None:
    status, output = run(tmp_path, {"integration/test_site.py": DIES})
    assert status == 1, output
    assert "a daemon died" in output
    assert "1 error, 1 rerun" in output


def test_what_is_found_where_nothing_had_failed_is_no_accident(tmp_path: Path) -> None:
    elsewhere = LEAVES_A_CALL.format(secret=False, again=False)
    files = {"integration/one/test_site.py": elsewhere, "integration/two/test_site.py": FOUND_LATER}
    for name in files:
        (tmp_path / "tests" / name).parent.mkdir(parents=True)
        (tmp_path / "tests" / name).with_name("__init__.py").touch()
    status, output = run(tmp_path, files, "--dist=loadfile")
    assert status == 1, output
    assert "ERROR tests/integration/two/test_site.py::test_it" in output
    assert "1 error" in output


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
    before = len(tries.read_text()) if tries.exists() else 0  # looked at first: one of two workers is always the first
    tries.open("a").write("|")
    assert before >= {failures}, "not ready"
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
