"""A gateway that takes passwords and tokens, with a scripted core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.calls.stage import CLEAN_WITHIN_S, Stage, gateway_options
from tests.integration.trust.issuers import BEARER_VARIABLES, ISSUER, OPERATOR, publish
from tests.lab.lab import Lab
from tests.lab.proof import wait_clean


@pytest.fixture(scope="package")
def token_lab() -> Iterator[Lab]:
    """Gateway and relay; both issuers have published their keys."""
    with Lab(gateway_options(**BEARER_VARIABLES, gateway_callable_domains=["*"])) as lab:
        for issuer in (ISSUER, OPERATOR):
            publish(lab, issuer.url, issuer.key)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def stage(token_lab: Lab) -> AsyncIterator[Stage]:
    """A core, pages on demand, and afterwards the check that nothing is left behind."""
    stage = Stage(token_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()
