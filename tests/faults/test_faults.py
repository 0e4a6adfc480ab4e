"""All faults at full scale, minutes of them: `make test-faults`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.bench.cpu import calibrate
from tests.faults.faults import FAULTS
from tests.faults.report import table
from tests.faults.rows import Row
from tests.faults.scale import Scale
from tests.faults.sites import Kind
from tests.faults.suite import run, written

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """What was measured; a table and a file of it are left at the end."""
    machine, found = calibrate(), list[Row]()
    yield found
    print(f"\n{table(found)}\nwritten: {written(found, Scale.from_environment(), machine)}")


@pytest.mark.parametrize("kind", Kind)
def test_promises_hold(kind: Kind, rows: list[Row]) -> None:
    chosen = [fault for fault in FAULTS if fault.kind is kind]
    before = len(rows)
    asyncio.run(run(chosen, Scale.from_environment(), print, rows))
    found = rows[before:]
    if not found:
        pytest.skip("this machine cannot have such a site; the output says why")
    known = {fault.what for fault in FAULTS if fault.known}
    broken = {row.fault: row.broken for row in found if row.broken and row.fault not in known}
    assert not broken
