"""Whether the test of this moment has failed: who cleans up after it then ends what the test did not come to."""

from __future__ import annotations

import pytest

_failed: set[str] = set()


def note(report: pytest.TestReport) -> None:
    """Take note of a phase of a test; the last one is forgotten with the test."""
    if report.when == "teardown":
        _failed.discard(report.nodeid)
    elif report.failed:
        _failed.add(report.nodeid)


def has_failed() -> bool:
    """Whether the running test's own part is over and has failed."""
    return bool(_failed)
