"""Benches that need nothing but Python run and say figures; one that fails is not passed over."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench import suite
from tests.bench.page.adapters import TEXT_ADAPTERS
from tests.bench.rows import ROOT
from tests.bench.suite import Bench


def bench(name: str) -> Bench:
    return next(found for found in suite.BENCHES if found.name == name)


def said_by(name: str) -> str:
    """Run the short form of a bench; its status says whether bars were kept, which is not asked here."""
    command = [sys.executable, *bench(name).command(short=True)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in run.stderr, run.stderr
    return run.stdout


@pytest.mark.parametrize("name", sorted(TEXT_ADAPTERS))
def test_what_only_prints_prints_figures(name: str) -> None:
    assert [row.value for row in TEXT_ADAPTERS[name](said_by(name)) if row.value]


@pytest.mark.parametrize("name", ["tokens", "routes"])
def test_what_writes_a_file_writes_one(name: str) -> None:
    since_s = time.time()
    said_by(name)
    found = suite.collected(bench(name), since_s, "python")
    assert found
    assert found["rows"]


def test_a_bench_that_fails_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in (
        ("ROOT", tmp_path),
        ("LOGS", tmp_path),
        ("OUTPUT", tmp_path),
        ("RESULT", tmp_path / "r.json"),
    ):
        monkeypatch.setattr(suite, name, path)

    def broken(bench: Bench, _short: bool) -> tuple[int, float]:
        (tmp_path / f"{bench.name}.log").write_text("Traceback …\nAttributeError: no such function\n\n")
        return 1, 0.1

    monkeypatch.setattr(suite, "run", broken)
    done = CliRunner().invoke(suite.main, ["--only", "decisions"])
    assert done.exit_code == 1
    assert "FAILED decisions: AttributeError: no such function (decisions.log)" in done.output
    assert "written" not in done.output
