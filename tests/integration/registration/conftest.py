"""A small lab with Redis for the whole folder, a stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.registration.registering import RegistrationStage, registration_lab_of
from tests.lab.lab import Lab


@pytest.fixture(scope="package")
def registration_lab() -> Iterator[Lab]:
    """Gateway, relay and Redis."""
    with registration_lab_of() as lab:
        yield lab


@pytest.fixture
async def stage(registration_lab: Lab) -> AsyncIterator[RegistrationStage]:
    """A core, pages on demand, and afterwards the check that no call is left behind."""
    stage = RegistrationStage(registration_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
