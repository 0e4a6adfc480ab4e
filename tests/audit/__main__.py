"""Runs the whole audit: `python -m tests.audit`. Exit status 1: something was found that nobody has accepted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from tests.audit.advisories import NPM_FOLDERS, Audited, npm_advisories, python_advisories
from tests.audit.code import code_findings
from tests.audit.findings import ACCEPTED, AuditUnavailable, Finding, accepted_from_text, complaints
from tests.audit.secrets import secrets_in, tree


def main() -> int:
    """Audit, and say what was looked at and what was not."""
    today = datetime.now(tz=UTC).date()
    accepted = accepted_from_text(ACCEPTED.read_text(), today)
    services: dict[str, Callable[[], Audited]] = {"python packages": python_advisories}
    for folder in NPM_FOLDERS:
        services[f"npm packages of {folder}"] = lambda folder=folder: npm_advisories(folder)  # type: ignore[misc]
    findings: list[Finding] = []
    complete = True
    with ThreadPoolExecutor() as pool:
        asked = {name: pool.submit(ask) for name, ask in services.items()}
        code = pool.submit(code_findings)
        files = tree()
        findings += secrets_in(files)
        print(f"audit: secrets: {len(files)} files looked at")
        for name, future in asked.items():
            try:
                told = future.result()
            except AuditUnavailable as error:
                complete = False
                print(f"audit: {name}: NOT LOOKED AT: {error}")
                continue
            complete = complete and not told.unknown
            findings += told.findings
            print(f"audit: {name}: {told.packages - told.unknown} of {told.packages} looked at")
        findings += code.result()
        print("audit: code: looked at")
    lines = complaints(findings, accepted, today, complete=complete)
    for line in lines:
        print(f"audit: FOUND: {line}", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
