"""Reports of the advisory services are read right, and what nobody answered is never taken for "no holes"."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from typing import Any

import pytest

from tests.audit.advisories import NPM_FOLDERS, ROOT, npm_report, python_report
from tests.audit.findings import ACCEPTED, Accepted, AuditUnavailable, Finding, accepted_from_text, complaints

TODAY = date(2026, 11, 27)
HOLE = Finding("PYSEC-2026-1", "flask 3.1.3", "eats cookies")
ENTRY = Accepted("PYSEC-2026-1", "we bake none", date(2026, 12, 31))
FLASK: dict[str, Any] = {"name": "flask", "version": "3.1.3", "vulns": []}


class TestPython:
    def test_a_hole_is_named_with_its_package(self) -> None:
        hole = {"id": "PYSEC-2026-1", "fix_versions": ["3.2"], "description": "eats cookies\nand more"}
        told = python_report(json.dumps({"dependencies": [{**FLASK, "vulns": [hole]}], "fixes": []}))
        assert (told.findings, told.packages, told.unknown) == ([HOLE], 1, 0)

    def test_packages_that_the_service_does_not_know_are_counted(self) -> None:
        skipped = {"name": "ours", "skip_reason": "not found"}
        told = python_report(json.dumps({"dependencies": [FLASK, skipped]}))
        assert (told.findings, told.packages, told.unknown) == ([], 2, 1)

    @pytest.mark.parametrize(
        "report",
        ["", "Traceback", "[]", "{}", '{"dependencies": [{"name": "flask", "skip_reason": "not found"}]}'],
    )
    def test_without_an_answer_nothing_is_known(self, report: str) -> None:
        with pytest.raises(AuditUnavailable):
            python_report(report)


class TestNpm:
    def test_a_hole_is_named_once_for_each_package(self) -> None:
        url = "https://advisories.example/GHSA-1234"
        hole = {"source": 1, "name": "ws", "title": "floods", "url": url, "severity": "high", "range": "<8"}
        packages = {"ws": {"name": "ws", "via": [hole, hole]}, "engine": {"name": "engine", "via": ["ws"]}}
        report = {"vulnerabilities": packages, "metadata": {"dependencies": {"total": 7}}}
        told = npm_report(json.dumps(report))
        assert (told.findings, told.packages) == ([Finding("GHSA-1234", "ws <8", "floods")], 7)

    @pytest.mark.parametrize(
        "report",
        [
            "",
            "<html>",
            '{"message": "no network"}',
            '{"statusCode": 405, "body": "", "error": {"summary": "", "detail": ""}}',
            '{"error": {"summary": "no network", "detail": ""}}',
        ],
    )
    def test_without_an_answer_nothing_is_known(self, report: str) -> None:
        with pytest.raises(AuditUnavailable):
            npm_report(report)


class TestAccepted:
    def test_what_nobody_accepted_is_told(self) -> None:
        assert complaints([HOLE], [], TODAY, complete=True) == ["PYSEC-2026-1: flask 3.1.3: eats cookies"]

    def test_what_is_accepted_is_not_until_its_day(self) -> None:
        assert complaints([HOLE], [ENTRY], ENTRY.until, complete=True) == []
        (line,) = complaints([HOLE], [ENTRY], date(2027, 1, 1), complete=True)
        assert "was accepted until 2026-12-31: we bake none" in line

    def test_an_entry_for_nothing_is_out_of_date_where_all_was_looked_at(self) -> None:
        assert len(complaints([], [ENTRY], TODAY, complete=True)) == 1
        assert complaints([], [ENTRY], TODAY, complete=False) == []
        of_a_file = Accepted("B404 kemi/x.py", "fine", ENTRY.until)
        assert len(complaints([], [of_a_file], TODAY, complete=False)) == 1

    def test_a_folder_is_covered_by_a_star_and_nothing_else_is(self) -> None:
        entry = Accepted("B404 tests/*", "they run programs", ENTRY.until)
        inside, outside = (Finding(f"B404 {name}/a.py", "line 1", "x") for name in ("tests/b", "kemi"))
        assert complaints([inside, outside], [entry], TODAY, complete=True) == ["B404 kemi/a.py: line 1: x"]

    @pytest.mark.parametrize(
        "entry",
        [
            'what = "a"\nuntil = 2026-12-01',
            'what = "a"\nreason = " "\nuntil = 2026-12-01',
            'what = "a"\nreason = "b"',
            'what = "a"\nreason = "b"\nuntil = "2026-12-01"',
            'what = "a"\nreason = "b"\nuntil = 2028-01-01',
            'what = "a"\nreason = "b"\nuntil = 2026-12-01\nby = "me"',
        ],
    )
    def test_an_entry_without_reason_or_end_is_refused(self, entry: str) -> None:
        with pytest.raises(ValueError, match="accepted"):
            accepted_from_text(f"[[accepted]]\n{entry}\n", TODAY)

    def test_ours_is_well_formed(self) -> None:
        accepted_from_text(ACCEPTED.read_text(), TODAY)


def test_everything_is_pinned() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), line
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        assert re.fullmatch(r"[\w.-]+==[\w.]+", requirement), requirement
    for folder in NPM_FOLDERS:
        packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
        assert [path for path, one in packages.items() if path and "integrity" not in one] == [], folder
