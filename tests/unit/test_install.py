"""`.ci/install` in a tree that was copied or moved: its Python environment is its own, or made anew."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / ".ci" / "install"
_PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "toy"
version = "1"

[project.optional-dependencies]
dev = []
"""
_BACKEND = """
import zipfile

_METADATA = "Metadata-Version: 2.1\\nName: toy\\nVersion: 1\\nProvides-Extra: dev\\n"


def _wheel(folder):
    name = "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("toy.pth", __file__.rpartition("/")[0])
        wheel.writestr("toy-1.dist-info/METADATA", _METADATA)
        wheel.writestr("toy-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("toy-1.dist-info/RECORD", "")
    return name


def build_wheel(folder, *_):
    return _wheel(folder)


def build_editable(folder, *_):
    return _wheel(folder)


def get_requires_for_build_editable(*_):
    return []
"""


def installed(tree: Path) -> Path:
    """Install and return what the environment has on its path."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))
    }
    subprocess.run(["bash", tree / ".ci" / "install"], env=environment, check=True, capture_output=True)
    pip = (tree / ".venv" / "bin" / "pip").read_text().partition("\n")[0]
    assert pip.startswith(f"#!{tree}/.venv/"), pip
    (found,) = (tree / ".venv").glob("lib/python3*/site-packages/toy.pth")
    return Path(found.read_text())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A toy project that is installed."""
    found = tmp_path / "a"
    (found / ".ci").mkdir(parents=True)
    shutil.copy(INSTALL, found / ".ci" / "install")
    (found / ".ci" / "packages.txt").touch()
    (found / "constraints.txt").touch()
    (found / "pyproject.toml").write_text(_PROJECT)
    (found / "backend.py").write_text(_BACKEND)
    assert installed(found) == found
    return found


def test_a_copy_a_moved_tree_and_another_python_get_an_environment_of_their_own(tree: Path) -> None:
    copy = tree.parent / "b"
    shutil.copytree(tree, copy, symlinks=True)
    assert installed(copy) == copy
    assert installed(tree) == tree, "the one that was copied is what it was"
    moved = copy.rename(tree.parent / "c")
    assert installed(moved) == moved
    (packages,) = (tree / ".venv").glob("lib/python3*")
    packages.rename(packages.with_name("python3.1"))
    (tree / "constraints.txt").write_text("# another Python has another fingerprint, too")
    assert installed(tree) == tree
