"""A gateway with small limits for the whole folder, a stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.limits.limited import LimitedStage, limited_options
from tests.lab.lab import Lab


@pytest.fixture(scope="package")
def limited_lab() -> Iterator[Lab]:
    """Gateway, relay and Redis."""
    with Lab(limited_options()) as lab:
        yield lab


@pytest.fixture
async def stage(limited_lab: Lab) -> AsyncIterator[LimitedStage]:
    """A core, pages on demand, and afterwards the check that no call is left behind."""
    stage = LimitedStage(limited_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
