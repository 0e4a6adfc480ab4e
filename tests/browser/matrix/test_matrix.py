"""Every client in every browser, called and calling, against the real core: both sides hear and see each other."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import cycle

import pytest

from tests.browser.matrix.cells import Cell, Client, Engine, Way, cells
from tests.browser.matrix.clients import AiortcClient, MatrixClient, PageClient, wait
from tests.browser.matrix.engines import TONE_HZ, Browsers
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, PhoneOptions
from tests.lab.proof import TOLERANCE_HZ, wait_clean, wait_released, wait_until_heard
from tests.lab.waiting import wait_until
from tests.lab.world import UserInfo

pytestmark = [pytest.mark.browser, pytest.mark.lab, pytest.mark.timeout(60)]

PHONES = (PhoneOptions("phone", tone_hz=440), PhoneOptions("videophone", video_codec="VP8", tone_hz=520))
# One after the other: who was just called is left alone while the core forgets his last page.
USERS = cycle(["alice", "bob", "dave", *(f"web{i}" for i in range(1, 9))])
FRAMES = 5
SET_UP_S = 8.0
MEDIA_S = 8.0
HOPELESS_S = 3.0


def address_of_host() -> str:
    """Return the address of the interface with the default route; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """The whole world, once for all cells."""
    # Firefox uses no candidate on the loopback interface: the relay listens on an address of this host.
    relay = {"rtpengine": {"rtpengine_wic_address": address_of_host()}}
    with Lab(LabOptions(phones=PHONES, role_variables=relay)) as lab:
        for phone in PHONES:
            lab.phone(phone.name).listen()
        yield lab
        wait_clean(lab)


@pytest.fixture(scope="module")
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


@pytest.fixture
def beside(browsers: Browsers, cell: Cell, world: Lab, user: UserInfo) -> Iterator[MatrixClient | None]:
    """Another page of the same person, where the cell wants one."""
    if not cell.beside:
        yield None
        return
    other = Cell(Client.SDK, cell.engine, Way.INCOMING, video=False)
    page = PageClient(other, browsers.new_tab(cell.engine))
    page.register(world.info.web, user)
    yield page
    page.close()


PARAMETERS = [
    pytest.param(cell, id=cell.name, marks=[pytest.mark.xfail(reason=cell.todo)] if cell.todo else [])
    for cell in cells()
]


@pytest.mark.parametrize("cell", PARAMETERS)
def test_both_sides_hear_and_see_each_other(
    world: Lab, cell: Cell, client: MatrixClient, user: UserInfo, beside: MatrixClient | None
) -> None:
    name = "videophone" if cell.video else "phone"
    patience_s = MEDIA_S if not cell.todo else HOPELESS_S
    device, phone = world.phone(name), world.info.phones[name]
    device.events.clear()
    device.forget_recordings()
    client.register(world.info.web, user)
    if cell.way is Way.OUTGOING:
        client.call(phone.impu)
    else:
        device.dial(user.impu)
        wait(client, lambda: client.state() == "ringing", "call", SET_UP_S)
        if beside is not None:
            wait(beside, lambda: beside.state() == "ringing", "call at the other page", SET_UP_S)
        client.answer()
    try:
        wait(client, lambda: client.state() == "established", "answer", SET_UP_S)
        wait_until_heard(world, name, TONE_HZ, patience_s)
        wait(
            client,
            lambda: abs(client.heard_hz() - phone.tone_hz) <= TOLERANCE_HZ,
            "tone of the phone",
            patience_s,
        )
        if cell.video and cell.sees:
            wait(client, lambda: client.frames() >= FRAMES, "pictures of the phone", patience_s)
            wait_until(lambda: device.frames_shown() >= FRAMES, "pictures of the page", patience_s)
        if beside is not None:
            wait_until(lambda: "elsewhere" in beside.state(), "word of it at the other page", SET_UP_S)
        client.hangup()
        wait_released(world)
    finally:
        device.hangup_all()
