"""The IMS side alone: core, phones, PSTN and conference."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.lab.endpoint import Endpoint
from tests.lab.lab import Lab
from tests.lab.options import IMS_SIDE, LabOptions
from tests.lab.subscribers import BY_NAME
from tests.peers.addresses import sip_uri_from_text
from tests.peers.udp import Address


@pytest.fixture(scope="session")
def ims_side() -> Iterator[Lab]:
    with Lab(LabOptions(parts=IMS_SIDE)) as lab:
        yield lab


@pytest.fixture
def icscf(ims_side: Lab) -> Address:
    return address_of(ims_side.info.ims.icscf)


@pytest.fixture
def pcscf(ims_side: Lab) -> Address:
    return address_of(ims_side.info.ims.pcscf)


@pytest.fixture
async def bob(ims_side: Lab) -> AsyncIterator[Endpoint]:
    """An open endpoint that nobody has registered yet; faults of an earlier test are gone."""
    ims_side.hss.ask("fault", faults={})
    endpoint = Endpoint(BY_NAME["bob"])
    await endpoint.open()
    yield endpoint
    ims_side.hss.ask("fault", faults={})
    await endpoint.close()


def address_of(uri: str) -> Address:
    parsed = sip_uri_from_text(uri)
    return parsed.host, parsed.port or 5060
