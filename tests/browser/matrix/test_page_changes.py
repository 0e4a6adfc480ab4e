"""Stock clients change their running calls: hold, resume, ICE restart; video added, taken back and added again; another
connection to the gateway.

What browsers offer then has lines that no scripted page writes: Firefox's bundled lines have port 0 and an address of
zeros, a line that was stopped is used anew under another mid, and every line lists all codecs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.browser.matrix.cells import BROWSERS, STOCK, Cell, Client, Shape, Way
from tests.browser.matrix.clients import PageClient, directions, wait
from tests.browser.matrix.engines import TONE_HZ
from tests.lab.lab import Lab
from tests.lab.proof import TOLERANCE_HZ, wait_released, wait_until_heard
from tests.lab.waiting import wait_until
from tests.lab.world import UserInfo

pytestmark = [pytest.mark.browser, pytest.mark.lab]

PHONE = "videophone"
FRAMES = 5
PATIENCE_S = 30.0

AUDIO_CALLS = [
    pytest.param(cell, id=cell.name)
    for client in STOCK
    for engine in BROWSERS
    for shape in (Shape.TWO_WAY, Shape.ONE_WAY)
    for cell in [Cell(client, engine, Way.OUTGOING, video=False, shape=shape)]
]
JSSIP_CALLS = [
    pytest.param(cell, id=cell.name)
    for engine in BROWSERS
    for cell in [Cell(Client.JSSIP, engine, Way.OUTGOING, video=False)]
]


LISTENING_FIRST = [
    pytest.param(cell, id=cell.name)
    for engine in BROWSERS
    for cell in [Cell(Client.JSSIP, engine, Way.OUTGOING, video=False, shape=Shape.LISTENING_FIRST)]
]


@contextmanager
def talking(world: Lab, client: PageClient, user: UserInfo, *, recorded_anew: bool = True) -> Iterator[None]:
    """Call the phone until both hear each other, which they do again when all is done; hang up.

    Args:
        recorded_anew: False where the phone was held: baresip (1.0) takes its recorder out then for good.
    """
    device, phone = world.phone(PHONE), world.info.phones[PHONE]
    device.events.clear()
    device.forget_recordings()
    client.register(world.info.web, user)
    client.call(phone.impu)
    try:
        wait(client, lambda: client.state() == "established", "answer", PATIENCE_S)
        wait_until_heard(world, PHONE, TONE_HZ, PATIENCE_S)
        hears(world, client)
        yield
        hears(world, client)
        wait_until_heard(world, PHONE, TONE_HZ, PATIENCE_S, anew=recorded_anew)
        client.hangup()
        wait_released(world)
    finally:
        device.hangup_all()


def hears(world: Lab, client: PageClient) -> None:
    """Wait for the tone of the phone at the page."""
    tone_hz = world.info.phones[PHONE].tone_hz
    wait(client, lambda: abs(client.heard_hz() - tone_hz) <= TOLERANCE_HZ, "tone of the phone", PATIENCE_S)


@pytest.mark.parametrize("cell", AUDIO_CALLS)
def test_hold_resume_and_ice_restart(world: Lab, cell: Cell, client: PageClient, user: UserInfo) -> None:
    with talking(world, client, user, recorded_anew=False):
        before = directions(client)
        client.change("hold")
        assert directions(client) == (["sendonly"] if len(before) == 1 else ["sendonly", "inactive"])
        assert "audio dir=recvonly" in world.phone(PHONE).command("audio_debug")
        client.change("resume")
        assert directions(client) == before
        assert "audio dir=sendrecv" in world.phone(PHONE).command("audio_debug")
        hears(world, client)
        client.change("restartIce")
        assert directions(client) == before


@pytest.mark.parametrize("cell", LISTENING_FIRST)
def test_a_page_whose_listening_line_comes_first_hears(
    world: Lab, cell: Cell, client: PageClient, user: UserInfo
) -> None:
    """Chromium finds no way to the first line of a shared transport: it gets a line of the gateway's."""
    with talking(world, client, user):
        assert directions(client).count("recvonly") == 1


@pytest.mark.parametrize("cell", AUDIO_CALLS)
def test_who_comes_back_over_another_connection_gets_another_ice(
    world: Lab, cell: Cell, client: PageClient, user: UserInfo
) -> None:
    """No stock client restarts ICE by itself when its network changes."""
    with talking(world, client, user):
        before, wanted = client.tell("iceFragment"), directions(client)
        client.change("loseConnection")
        wait(client, lambda: client.tell("iceFragment") != before, "restart of ICE", PATIENCE_S)
        assert directions(client) == wanted


@pytest.mark.parametrize("cell", JSSIP_CALLS)
def test_the_camera_comes_and_goes(world: Lab, cell: Cell, client: PageClient, user: UserInfo) -> None:
    device = world.phone(PHONE)
    with talking(world, client, user):
        for _ in range(2):
            shown, seen = device.frames_shown() + FRAMES, client.frames() + FRAMES
            client.change("showCamera")
            assert directions(client) == ["sendrecv", "sendrecv"]
            wait(client, partial(reached, client.frames, seen), "pictures of the phone", PATIENCE_S)
            wait_until(partial(reached, device.frames_shown, shown), "pictures of the page", PATIENCE_S)
            client.change("stopCamera")
            hears(world, client)


def reached(count: Callable[[], int], wanted: int) -> bool:
    """Whether a count is as high as that."""
    return count() >= wanted
