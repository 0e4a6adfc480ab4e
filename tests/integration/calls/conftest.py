"""A small lab for the whole folder; for each test a stage, and where it asks for them real media at both ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.calls.stage import ALICE, CLEAN_WITHIN_S, Stage, gateway_options
from tests.integration.calls.two_nodes import Nodes, lab_with_nodes
from tests.lab.lab import Lab
from tests.lab.proof import wait_clean
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.media import RtpEndpoint
from tests.peers.wic import WicIdentity


@pytest.fixture(scope="package")
def gateway_lab() -> Iterator[Lab]:
    """Gateway and relay; when the last test is over no transaction may stay either."""
    with Lab(gateway_options()) as lab:
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture(scope="package")
def nodes_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Nodes]]:
    """A gateway whose two media nodes may be killed."""
    with lab_with_nodes(tmp_path_factory.mktemp("nodes")) as both:
        yield both


@pytest.fixture(autouse=True)
async def stage(gateway_lab: Lab) -> AsyncIterator[Stage]:
    """A core, pages on demand, and afterwards the check that nothing is left behind."""
    stage = Stage(gateway_lab)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


@pytest.fixture
def phone() -> Iterator[RtpEndpoint]:
    """The device's audio."""
    with RtpEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def camera() -> Iterator[RtpEndpoint]:
    """The device's video."""
    with RtpEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def page(stage: Stage) -> AsyncIterator[AiortcWic]:
    """A page with real media, registered."""
    real = AiortcWic(stage.handshake, WicIdentity(ALICE))
    await stage.join(real)
    yield real
