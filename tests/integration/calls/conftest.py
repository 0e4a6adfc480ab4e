"""A small lab for the whole folder, a stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.calls.stage import CLEAN_WITHIN_S, Stage, gateway_options
from tests.lab.lab import Lab
from tests.lab.proof import wait_clean


@pytest.fixture(scope="package")
def gateway_lab() -> Iterator[Lab]:
    """Gateway and relay; when the last test is over no transaction may stay either."""
    with Lab(gateway_options()) as lab:
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture(autouse=True)
async def stage(gateway_lab: Lab) -> AsyncIterator[Stage]:
    """A core, pages on demand, and afterwards the check that nothing is left behind."""
    stage = Stage(gateway_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
