"""Benches that need nothing but Python run and say figures; one that fails is not passed over."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench import suite
from tests.bench.cpu import Machine
from tests.bench.page.adapters import TEXT_ADAPTERS
from tests.bench.rows import ROOT
from tests.bench.suite import Bench

MACHINE = Machine(2, "a_machine", 0.1, 1700.0, 40000.0)


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
    found = suite.collected(bench(name), since_s, "python", MACHINE)
    assert found
    assert found["rows"]


@pytest.mark.parametrize("found", suite.BENCHES, ids=lambda found: found.name)
def test_what_has_no_short_form_runs_as_always_and_is_none(found: Bench) -> None:
    assert (found.command(short=True) == found.command(short=False)) is not found.has(short=True)
    assert found.has(short=True) is (found.short is not None)
    assert found.has(short=False) is False


def test_the_machine_is_looked_at_before_a_bench_that_only_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = iter([0.5, 57.5])
    monkeypatch.setattr(suite, "LOGS", tmp_path)
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    monkeypatch.setattr(suite, "calibrate", lambda: replace(MACHINE, load_1min=next(loads)))

    def printing(bench: Bench, _short: bool) -> tuple[int, float]:
        (tmp_path / f"{bench.name}.log").write_text("kept   audio: 75 µs of CPU an offer\n")
        assert next(loads) == 57.5  # what is looked at from now on is the bench's own load
        return 0, 0.1

    monkeypatch.setattr(suite, "run", printing)
    found = suite.measured(bench("descriptions"), False)
    assert found is not None
    assert found["machine"]["load_1min"] == 0.5


class LookedAtError(Exception):
    """A bench has looked at the machine."""


@pytest.mark.parametrize("module", ["events.__main__", "logins", "routes", "tokens"])
def test_a_bench_looks_at_the_machine_first(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked() -> Machine:
        raise LookedAtError

    found = import_module(f"tests.bench.{module}")
    monkeypatch.setattr(found, "calibrate", looked)
    for work in {"Lab", "check_us", "check_table"} & vars(found).keys():
        monkeypatch.delattr(found, work)
    assert isinstance(CliRunner().invoke(found.main, []).exception, LookedAtError)


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

    (tmp_path / "r.json").write_text("what an earlier run wrote")
    monkeypatch.setattr(suite, "run", broken)
    done = CliRunner().invoke(suite.main, ["--only", "decisions"])
    assert done.exit_code == 1
    assert "FAILED decisions: AttributeError: no such function (decisions.log)" in done.output
    assert "written" not in done.output
    assert not (tmp_path / "r.json").exists()
