"""A gateway that denies premium numbers for the whole folder, a stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.calls.stage import CLEAN_WITHIN_S, Stage
from tests.integration.services.world import CORE_PORT, services_options
from tests.lab.lab import Lab
from tests.lab.proof import wait_clean


@pytest.fixture(scope="package")
def services_lab() -> Iterator[Lab]:
    """Gateway and relay; when the last test is over no transaction may stay either."""
    with Lab(services_options()) as lab:
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture(autouse=True)
async def stage(services_lab: Lab) -> AsyncIterator[Stage]:
    """A core, pages on demand, and afterwards the check that nothing is left behind."""
    stage = Stage(services_lab, CORE_PORT)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
