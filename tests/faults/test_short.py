"""A few faults at a small scale, with every run of the tests."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.faults import BY_NAME
from tests.faults.report import table
from tests.faults.rows import Row
from tests.faults.scale import SHORT
from tests.faults.suite import run

SHORT_ONES = ("worker-killed", "relay-killed")


@pytest.mark.lab
def test_promises_hold_with_a_few_calls() -> None:
    rows: list[Row] = []
    asyncio.run(run([BY_NAME[name] for name in SHORT_ONES], SHORT, print, rows))
    assert len(rows) == len(SHORT_ONES)
    assert not [row.broken for row in rows if row.broken], table(rows)
