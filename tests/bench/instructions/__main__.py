"""Counts machine instructions of the hot functions under valgrind's callgrind and compares them with the reference.

    python -m tests.bench.instructions [--update]

A count is the difference between some rounds and twice as many, divided by the rounds: what a round costs, without what
begins and ends them.  It is the same within a few thousandths on a busy and on an idle machine, so that a function that
became dearer is seen where times only scatter.  Counts belong to one version of Python (Debian's builds differ) and are
kept for each in `reference.json`.  Needs valgrind: `apt-get install --no-install-recommends valgrind`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from tests.bench.instructions.compare import changes, counts_from_totals
from tests.bench.instructions.counted import ROUNDS

REFERENCE: Final = Path(__file__).with_name("reference.json")
_SUMMARY: Final = re.compile(r"^summary: (\d+)", re.MULTILINE)


def count() -> dict[str, int]:
    """Return the instructions of a round of each case."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            "--dump-before=getppid",
            sys.executable,
            "-m",
            "tests.bench.instructions.counted",
        ]
        environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        names = json.loads(done.stdout)
        dumps = [
            Path(f"{out}.{number}").read_text(encoding="ascii") for number in range(1, 4 * len(names) + 1)
        ]
    totals = [int(found.group(1)) for text in dumps if (found := _SUMMARY.search(text))]
    return counts_from_totals(names, totals, ROUNDS)


def read_reference() -> dict[str, dict[str, int]]:
    """Return the counts by version of Python."""
    kept: dict[str, dict[str, int]] = (
        json.loads(REFERENCE.read_text(encoding="utf-8")) if REFERENCE.exists() else {}
    )
    return kept


def write_reference(version: str, counts: Mapping[str, int]) -> None:
    """Take counts for what this version of Python needs from now on."""
    kept = read_reference() | {version: dict(counts)}
    REFERENCE.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


@click.command()
@click.option("--update", is_flag=True, help="Take these counts as the new reference.")
def main(update: bool) -> None:
    """Count, compare and report."""
    if shutil.which("valgrind") is None:
        raise click.ClickException("valgrind is missing: apt-get install --no-install-recommends valgrind")
    version, counts = platform.python_version(), count()
    if update:
        write_reference(version, counts)
    known = read_reference().get(version, {})
    found = changes(counts, known)
    for change in found:
        click.echo(change.line())
    if not known:
        raise click.ClickException(f"no counts of Python {version} are kept: take these by --update")
    if any(change.is_dearer for change in found):
        raise click.ClickException(
            "dearer than the reference; if that is meant: --update, and say why in the commit"
        )


if __name__ == "__main__":
    main()
