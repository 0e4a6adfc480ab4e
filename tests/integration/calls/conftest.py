"""A small lab for the whole folder; for each test a stage, and where it asks for them real media at both ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from tests.integration.calls.outbound_site import DOCUMENT, PORTS, PROFILES, TRUNKS, Carriers
from tests.integration.calls.routes import load
from tests.integration.calls.stage import ALICE, CLEAN_WITHIN_S, Stage, gateway_options
from tests.integration.calls.two_nodes import Nodes, lab_with_nodes
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.lab.ports import LOOPBACK
from tests.lab.proof import wait_clean
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.carrier import Carrier
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


@pytest.fixture(scope="package")
def outbound_lab() -> Iterator[Lab]:
    """A gateway with trunks and a routing table."""
    options = gateway_options(
        gateway_trunks=TRUNKS, gateway_media_profiles=PROFILES, gateway_emergency="route"
    )
    with Lab(replace(options, parts=options.parts | {Part.REDIS})) as lab:
        load(lab, DOCUMENT)
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture
async def carriers(stage: Stage) -> AsyncIterator[Carriers]:
    """The next hops of all trunks listen; what is left is looked for while they do."""
    async with AsyncExitStack() as stack:
        peers = {
            name: await stack.enter_async_context(Carrier(LOOPBACK, port)) for name, port in PORTS.items()
        }
        yield Carriers(**peers)
        await stage.check_nothing_left()
        broken = [call.violations for peer in peers.values() for call in peer.calls.values()]
        assert not any(broken), broken


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
