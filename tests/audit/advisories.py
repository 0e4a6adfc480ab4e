"""Known holes in what the project uses: of Python by pip-audit, of npm by its own audit.

Both ask a service of their registry. Where that does not answer, or does not have this kind of question, nothing is
known, which is said and is no failure: a build must not depend on it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.audit.findings import AuditUnavailable, Finding

ROOT: Final = Path(__file__).parents[2]
NPM_FOLDERS: Final = ("webapp_api/sdk", "tests/browser/matrix", "tests/oidc")
DEADLINE_S: Final = 30.0
_SHORT: Final = 160


@dataclass(frozen=True, slots=True)
class Audited:
    """What came of asking a service."""

    findings: list[Finding]
    packages: int
    unknown: int = 0
    """Packages of which the service does not know anything."""


def python_advisories() -> Audited:
    """Ask about every pinned Python package; raise AuditUnavailable."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        "constraints.txt",
        "--no-deps",
        "--disable-pip",
    ]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    return python_report(_output([*command, *options]))


def python_report(text: str) -> Audited:
    """Read pip-audit's report; raise AuditUnavailable where it has none, or knows no package at all."""
    packages: list[dict[str, Any]] = _document(text).get("dependencies", [])
    unknown = [one for one in packages if "skip_reason" in one]
    if len(unknown) == len(packages):
        raise AuditUnavailable("the advisory service knows none of the packages")
    findings = [
        Finding(hole["id"], f"{one['name']} {one['version']}", _first_line(str(hole.get("description", ""))))
        for one in packages
        for hole in one.get("vulns", [])
    ]
    return Audited(findings, len(packages), len(unknown))


def npm_advisories(folder: str) -> Audited:
    """Ask about the packages of a lock file; raise AuditUnavailable."""
    text = _output(
        ["npm", "audit", "--json", "--fetch-retries=0", "--fetch-timeout=10000", "--prefix", folder]
    )
    return npm_report(text)


def npm_report(text: str) -> Audited:
    """Read the report of npm audit; raise AuditUnavailable where it has none."""
    document = _document(text)
    if "vulnerabilities" not in document:
        told = document.get("error", {}).get("summary") or document.get("message")
        raise AuditUnavailable(_first_line(str(told or f"the registry answers {document.get('statusCode')}")))
    holes: dict[str, Finding] = {}
    for name, package in document["vulnerabilities"].items():
        for hole in package["via"]:
            if isinstance(hole, dict):  # otherwise the name of a package that has one
                ghsa = str(hole["url"]).rpartition("/")[2]
                holes[ghsa + name] = Finding(ghsa, f"{name} {hole['range']}", str(hole["title"]))
    return Audited(list(holes.values()), int(document["metadata"]["dependencies"]["total"]))


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AuditUnavailable(f"no answer within {DEADLINE_S:.0f} s") from error
    # What it found decides its exit status, and that it could not ask, too: the text says which.
    if not done.stdout.strip():
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise AuditUnavailable(_first_line(lines[-1]))
    return done.stdout


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise AuditUnavailable(f"no report: {_first_line(text)}") from error
    if not isinstance(found, dict):
        raise AuditUnavailable(f"no report: {_first_line(text)}")
    return found


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:_SHORT]
