"""Every client in every browser, called and calling, against the real core: both sides hear and see each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.matrix.cells import Cell, Client, Shape, Way, cells
from tests.browser.matrix.clients import MatrixClient, PageClient, directions, wait
from tests.browser.matrix.engines import TONE_HZ, Browsers
from tests.lab.lab import Lab
from tests.lab.proof import TOLERANCE_HZ, wait_released, wait_until_heard
from tests.lab.waiting import wait_until
from tests.lab.world import UserInfo

pytestmark = [pytest.mark.browser, pytest.mark.lab]

FRAMES = 5
SET_UP_S = 30.0
MEDIA_S = 30.0
OFFERED = {Shape.TWO_WAY: ["sendrecv"], Shape.ONE_WAY: ["sendonly", "recvonly"]}
"""What the lines of one kind do at a page that is called."""


@pytest.fixture
def beside(browsers: Browsers, cell: Cell, world: Lab, user: UserInfo) -> Iterator[MatrixClient | None]:
    """Another page of the same person, where the cell wants one."""
    if not cell.beside:
        yield None
        return
    other = Cell(Client.SDK, cell.engine, Way.INCOMING, video=False)
    page = PageClient(other, browsers.new_tab(cell.engine))
    try:
        page.register(world.info.web, user)
        yield page
    finally:
        page.close()


PARAMETERS = [pytest.param(cell, id=cell.name) for cell in cells()]


@pytest.mark.conformance("S-20", "S-26")
@pytest.mark.parametrize("cell", PARAMETERS)
def test_both_sides_hear_and_see_each_other(
    world: Lab, cell: Cell, client: MatrixClient, user: UserInfo, beside: MatrixClient | None
) -> None:
    name = "videophone" if cell.video else "phone"
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
        if cell.video and cell.sees:
            wait(client, lambda: client.frames() >= FRAMES, "pictures of the phone", MEDIA_S)
            wait_until(lambda: device.frames_shown() >= FRAMES, "pictures of the page", MEDIA_S)
        wait(
            client,
            lambda: abs(client.heard_hz() - phone.tone_hz) <= TOLERANCE_HZ,
            "tone of the phone",
            MEDIA_S,
        )
        # Last: the phone's ear needs a second of sound, which has begun long ago.
        wait_until_heard(world, name, TONE_HZ, MEDIA_S)
        if isinstance(client, PageClient) and cell.way is Way.INCOMING:
            assert directions(client) == OFFERED[cell.shape] * (2 if cell.video else 1)
        if beside is not None:
            wait_until(lambda: "elsewhere" in beside.state(), "word of it at the other page", SET_UP_S)
        client.hangup()
        wait_released(world)
    finally:
        device.hangup_all()
