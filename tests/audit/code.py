"""What bandit says of the product's Python code. Most of its rules run with ``ruff check``, too; these are all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from tests.audit.advisories import ROOT
from tests.audit.findings import Finding

FOLDERS: Final = ("kemi", "rtpengine", "webapp_api")
SKIPPED: Final = "B101"
"""assert: says what holds anyway, and guards nothing."""


def code_findings() -> list[Finding]:
    """Run bandit over the product's code."""
    command = [sys.executable, "-m", "bandit", "--recursive", *FOLDERS, "--format", "json", "--quiet"]
    options = ["--skip", SKIPPED, "--exclude", "*/node_modules/*"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    if report["errors"]:
        raise RuntimeError(f"bandit: {report['errors']}")
    return [
        Finding(
            f"{one['test_id']} {one['filename'].removeprefix('./')}",
            f"line {one['line_number']}",
            one["issue_text"],
        )
        for one in report["results"]
    ]
