"""One gateway without a core for the whole folder; a stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.calls.stage import CLEAN_WITHIN_S
from tests.integration.home.stage import HomeStage, home_lab_of
from tests.lab.lab import Lab
from tests.lab.proof import wait_clean


@pytest.fixture(scope="package")
def home_lab() -> Iterator[Lab]:
    """Gateway, relay and Redis; when the last test is over no transaction may stay either."""
    with home_lab_of() as lab:
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def stage(home_lab: Lab) -> AsyncIterator[HomeStage]:
    """Pages on demand, and afterwards the check that nothing is left behind."""
    stage = HomeStage(home_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
