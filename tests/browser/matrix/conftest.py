"""Fixtures of the matrix: one lab, one browser of each kind, a fresh page for each test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any, Final

import pytest

from tests.browser.matrix.cells import Cell, Engine
from tests.browser.matrix.clients import AiortcClient, MatrixClient, PageClient
from tests.browser.matrix.engines import Browsers
from tests.browser.matrix.far_end import FarEnd
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part, PhoneOptions
from tests.lab.ports import LOOPBACK, own_port
from tests.lab.proof import wait_clean
from tests.lab.world import UserInfo

PHONES: Final = (
    PhoneOptions("phone", tone_hz=440),
    PhoneOptions("videophone", video_codec="VP8", tone_hz=520),
)
MEDIA_PORTS: Final = 120
# One after the other: who was just called is left alone while the core forgets his last page.
USERS: Final = cycle(["alice", "bob", "dave", *(f"web{i}" for i in range(1, 9))])


def address_of_host() -> str:
    """Return the address of the interface with the default route; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.fail("Firefox needs an interface beside the loopback one, with a route", pytrace=False)
        return str(probe.getsockname()[0])


def running(**kamailio: Any) -> Iterator[Lab]:
    """Run the whole world, with these variables of the gateway."""
    # Firefox uses no candidate on the loopback interface: the relay listens on an address of this host.
    variables: dict[str, dict[str, Any]] = {
        "rtpengine": {"rtpengine_wic_address": address_of_host()},
        "kamailio": kamailio,
    }
    with Lab(LabOptions(phones=PHONES, media_ports=MEDIA_PORTS, role_variables=variables)) as lab:
        for phone in PHONES:
            lab.phone(phone.name).listen()
        yield lab
        wait_clean(lab)


@contextmanager
def before_far_end() -> Iterator[tuple[Lab, FarEnd]]:
    """Run the gateway and its web service before a scripted core."""
    port = own_port()
    options = LabOptions(
        parts=frozenset({Part.REDIS, Part.RTPENGINE, Part.GATEWAY, Part.WEB_API, Part.HAPROXY}),
        phones=(),
        role_variables={
            "rtpengine": {"rtpengine_wic_address": address_of_host()},
            "kamailio": {"gateway_icscf_uris": [f"sip:{LOOPBACK}:{port}"], "kamailio_udp_mtu": 0},
        },
    )
    with Lab(options) as lab, FarEnd(LOOPBACK, port) as far_end:
        yield lab, far_end
        wait_clean(lab)


@pytest.fixture(scope="package")
def usual_world() -> Iterator[Lab]:
    """The whole world, once for all cells."""
    yield from running()


@pytest.fixture(scope="package")
def max_bundle_world() -> Iterator[Lab]:
    """The same for a site whose pages have the bundle policy max-bundle."""
    yield from running(gateway_max_bundle_pages=True)


@pytest.fixture
def world(request: pytest.FixtureRequest, cell: Cell) -> Lab:
    """The world for this cell."""
    name = "max_bundle_world" if cell.needs_setting else "usual_world"
    found: Lab = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="package")
def browsers() -> Iterator[Browsers]:
    """One browser of each kind."""
    with Browsers() as browsers:
        yield browsers


@pytest.fixture
def user(world: Lab) -> UserInfo:
    """Whoever has not been at a page for longest."""
    return world.info.users[next(USERS)]


@pytest.fixture
def client(request: pytest.FixtureRequest, browsers: Browsers, cell: Cell) -> Iterator[MatrixClient]:
    """The cell's client, in a fresh page."""
    scripted = cell.engine is Engine.NONE
    client = AiortcClient(cell) if scripted else PageClient(cell, browsers.new_tab(cell.engine))
    yield client
    client.close()
