"""Wheels are fetched for the nodes' Pythons, and not for the one that fetches them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.lab.roles import REPOSITORY
from tests.provision.roots import PYTHON_OF


def test_wheels_are_fetched_for_every_debian_of_nodes(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\necho "$*" >>{tmp_path}/asked\n'
    )
    python.chmod(0o755)
    makefile = (REPOSITORY / "Makefile").read_text()
    ((program, folder, versions),) = re.findall(
        r"^wheelhouse:.*\n\tPYTHON=\S+ (\S+) (\S+) (.*)$", makefile, re.MULTILINE
    )
    assert folder == "build/wheelhouse"
    assert set(versions.split()) == set(PYTHON_OF.values())
    command = [str(REPOSITORY / program), str(tmp_path / "wheels"), *versions.split()]
    subprocess.run(command, env={**os.environ, "PYTHON": str(python)}, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == len(PYTHON_OF)
    for version, line in zip(versions.split(), asked, strict=True):
        assert f"--python-version {version} --only-binary :all: argon2-cffi==" in line
        # Debian 12's Python 3.11.2 wants it, and no newer one.
        assert line.endswith(" async-timeout")
